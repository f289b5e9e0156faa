"""Licenses read from Debian copyright files."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.debian_packages import package_files, package_license, require_packages
from stylize_core.errors import UserError

MACHINE_READABLE = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: A
License: GPL-2+

Files: music/one.ogg
       music/two.ogg
Copyright: B
License: CC-BY-SA-3.0

Files: debian/*
Copyright: C
License: MIT

License: GPL-2+
 text
"""


def license_of(tmp_path: Path, text: str, path: str | None = None) -> str:
    (tmp_path / "pack").mkdir(exist_ok=True)
    (tmp_path / "pack" / "copyright").write_text(text)
    return package_license("pack", Path(path) if path else None, doc_root=tmp_path)


@pytest.mark.parametrize(
    ("path", "license"),
    [
        (None, "GPL-2+"),
        ("/usr/share/pack/music/two.ogg", "CC-BY-SA-3.0"),
        ("/usr/share/pack/music/three.ogg", "GPL-2+"),
    ],
)
def test_machine_readable_file_names_the_license_of_each_file(tmp_path, path, license):
    assert license_of(tmp_path, MACHINE_READABLE, path) == license


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("under the GNU\nGeneral Public License version 2\n or at your option any later version.", "GPL-2+"),
        (
            "GNU General Public License; either version 3, or (at your option) any later version",
            "GPL-3+",
        ),
        ("the GNU General Public License, version 2 only", "GPL-2"),
        ("CREATIVE COMMONS Attribution-ShareAlike 3.0 Unported", "CC-BY-SA-3.0"),
        ("all rights reserved", "unknown"),
    ],
)
def test_prose(tmp_path, text, license):
    assert license_of(tmp_path, text) == license


def test_package_without_a_copyright_file(tmp_path):
    assert package_license("none", doc_root=tmp_path) == "unknown"


def test_not_installed_package_has_no_files_and_is_named():
    name = "no-such-package-of-music"
    try:
        assert package_files(name) == []
    except UserError:
        pytest.skip("no dpkg on this machine")
    with pytest.raises(UserError, match=f"not installed: {name}; .*apt-get install"):
        require_packages([name])
