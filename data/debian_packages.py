"""Audio files of installed Debian packages, and their licenses as short strings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from stylize_core.errors import UserError

DOC_ROOT = Path("/usr/share/doc")


def package_files(package: str) -> list[Path]:
    """Every file an installed package owns, without links; empty when not installed, UserError without ``dpkg``."""
    try:
        listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError("dpkg not found: packages can be read on Debian only, give --folder instead") from error
    if listing.returncode != 0:
        return []
    paths = (Path(line) for line in listing.stdout.splitlines() if line.startswith("/"))
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def installed(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are installed."""
    return [package for package in packages if package_files(package)]


def require_packages(packages: Sequence[str]) -> None:
    """Raise a UserError with the apt line when any of the packages is not installed."""
    there = installed(packages)
    missing = [package for package in packages if package not in there]
    if missing:
        raise UserError(
            f"packages not installed: {', '.join(missing)}; "
            f"install them (sudo apt-get install -y --no-install-recommends {' '.join(missing)}) "
            f"or go on without them (--skip-missing)"
        )


def package_license(package: str, path: Path | None = None, doc_root: Path = DOC_ROOT) -> str:
    """Short license name of a package, or of one of its files where the copyright file tells them apart.

    Args:
        package: Debian package name.
        path: installed path of the file, matched with the ``Files:`` patterns of the copyright file.
        doc_root: folder that holds ``PACKAGE/copyright``.

    Returns:
        for example ``GPL-2+`` or ``CC-BY-SA-3.0``; ``unknown`` for an unknown license.
    """
    copyright_file = doc_root / package / "copyright"
    if not copyright_file.is_file():
        return "unknown"
    text = copyright_file.read_text(encoding="utf-8", errors="replace")
    if re.match(r"Format:", text):
        return _machine_readable_license(text, path)
    return _license_in_prose(text)


def _machine_readable_license(text: str, path: Path | None) -> str:
    """License of the last ``Files:`` paragraph that matches, as the copyright format prescribes."""
    license = "unknown"
    for paragraph in re.split(r"\n\s*\n", text):
        files = re.search(r"^Files:((?:.*\n)(?:[ \t].*\n)*)", paragraph + "\n", re.MULTILINE)
        named = re.search(r"^License:[ \t]*(\S.*)$", paragraph, re.MULTILINE)
        if files is None or named is None:
            continue
        for pattern in files.group(1).split():
            # Patterns are relative to the source package, the path is absolute: match them from the end.
            if pattern == "*" or (path is not None and fnmatchcase(str(path), f"*/{pattern}")):
                license = named.group(1).strip()
    return license


def _license_in_prose(text: str) -> str:
    """License of a copyright file in plain English."""
    words = " ".join(text.split())
    creative_commons = re.search(r"creative commons", words, re.IGNORECASE)
    if creative_commons is not None:
        alike = re.search(r"share[- ]?alike", words, re.IGNORECASE) is not None
        version = re.search(r"(?:alike|attribution|commons)[^.]{0,40}?(\d\.\d)", words, re.IGNORECASE)
        return ("CC-BY-SA" if alike else "CC-BY") + (f"-{version.group(1)}" if version else "")
    if "General Public License" in words:
        version = re.search(r"[Vv]ersion (\d(?:\.\d)?)", words) or re.search(r"GPL-(\d)", words)
        later = "+" if re.search(r"or (?:\(?at your option\)? )?any later version|or later", words) else ""
        return f"GPL-{version.group(1)}{later}" if version else "GPL"
    return "unknown"
