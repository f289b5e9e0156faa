"""What the tests of the corpus renderer share."""

from __future__ import annotations

import shutil

import pytest

from data.corpus.synthesis import INSTALL_LINE, check_tools
from stylize_core.errors import UserError


@pytest.fixture
def mma() -> None:
    """Skip where MMA is not installed."""
    if shutil.which("mma") is None:
        pytest.skip(f"mma is not installed: {INSTALL_LINE}")


@pytest.fixture
def tools() -> None:
    """Skip where a real rendering is not possible."""
    try:
        check_tools()
    except UserError as error:
        pytest.skip(str(error))
