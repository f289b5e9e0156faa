"""`make setup`: what is installed when, with a Python and a pip that only write down what they are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands for python3.11: makes an environment whose python is itself, and notes what it is asked to install.
FAKE_PYTHON = """#!/bin/bash
case "$*" in
    *version_info*) exit 0 ;;
    --version) echo "Python 3.11.99" ;;
    "-m venv --clear .venv")
        rm -rf .venv && mkdir -p .venv/bin .venv/lib/python3.11/site-packages
        cp "$0" .venv/bin/python && echo venv >> log.txt ;;
    "-m pip install --quiet uv") echo uv >> log.txt ;;
    "-m uv pip install"*) [[ ! -f no-uv ]] || exit 1
        echo "uv install" >> log.txt; touch .venv/bin/stylize; chmod +x .venv/bin/stylize ;;
    "-m pip install"*) [[ ! -f no-pip ]] || exit 1
        echo "pip install" >> log.txt; touch .venv/bin/stylize; chmod +x .venv/bin/stylize ;;
    *) echo "unexpected: $*" >> log.txt; exit 1 ;;
esac
"""


class Checkout:
    """A folder with the files that the set-up reads, and a PATH with the stand-in as its only Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder.parent / "tools"
        self.tools.mkdir()
        for tool in ("bash", "cat", "cksum", "cp", "dirname", "head", "mkdir", "rm", "touch", "chmod"):
            (self.tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"{tool} is not installed"))
        self.python = self.tools / "python3.11"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        (folder / "scripts").mkdir(parents=True)
        for name in ("scripts/environment.sh", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)

    def set_up(self) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(self.folder / "scripts" / "environment.sh")]
        return subprocess.run(
            command, env=os.environ | {"PATH": str(self.tools)}, capture_output=True, text=True, cwd="/"
        )

    def log(self) -> list[str]:
        """What happened since the last call."""
        path = self.folder / "log.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout with a space")


def test_the_second_run_installs_nothing(checkout: Checkout) -> None:
    first = checkout.set_up()
    assert first.returncode == 0, first.stderr
    assert "making .venv/ with Python 3.11.99" in first.stdout
    assert checkout.log() == ["venv", "uv", "uv install"]
    listed = next((checkout.folder / ".venv" / "lib").rglob("checkout.pth"))
    assert listed.read_text() == f"{checkout.folder}\n"
    second = checkout.set_up()
    assert (second.returncode, second.stdout) == (0, "environment: up to date\n")
    assert checkout.log() == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "pyproject.toml"])
def test_new_requirements_are_installed_into_the_environment_that_is_there(checkout: Checkout, name: str) -> None:
    checkout.set_up()
    checkout.log()
    with (checkout.folder / name).open("a") as stream:
        stream.write("# another\n")
    assert checkout.set_up().returncode == 0
    assert checkout.log() == ["uv", "uv install"]


def test_an_environment_that_was_moved_is_made_again(checkout: Checkout) -> None:
    checkout.set_up()
    checkout.log()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.set_up().returncode == 0
    assert checkout.log() == ["venv", "uv", "uv install"]


def test_an_environment_without_a_working_python_is_made_again(checkout: Checkout) -> None:
    checkout.set_up()
    checkout.log()
    (checkout.folder / ".venv" / "bin" / "python").write_text("#!/bin/bash\nexit 127\n")
    assert checkout.set_up().returncode == 0
    assert checkout.log() == ["venv", "uv", "uv install"]


def test_pip_installs_where_uv_cannot(checkout: Checkout) -> None:
    (checkout.folder / "no-uv").touch()
    done = checkout.set_up()
    assert done.returncode == 0
    assert "uv does not work here" in done.stdout
    assert checkout.log() == ["venv", "uv", "pip install"]


def test_a_failed_installation_is_tried_again(checkout: Checkout) -> None:
    for name in ("no-uv", "no-pip"):
        (checkout.folder / name).touch()
    failed = checkout.set_up()
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-1] == "error: the installation failed; see above"
    checkout.log()
    (checkout.folder / "no-pip").unlink()
    assert checkout.set_up().returncode == 0
    assert checkout.log() == ["uv", "pip install"]


def test_an_old_python_is_refused(checkout: Checkout) -> None:
    checkout.python.unlink()
    old = checkout.tools / "python3"
    old.write_text("#!/bin/bash\nexit 1\n")  # its version_info is below 3.11
    old.chmod(0o755)
    done = checkout.set_up()
    assert done.returncode == 2
    assert done.stderr.startswith("error: no Python 3.11 or newer found; install it")
    old.write_text(FAKE_PYTHON)
    assert checkout.set_up().returncode == 0
