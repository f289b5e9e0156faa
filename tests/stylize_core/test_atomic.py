"""Files that appear whole or not at all, and what killed processes leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stylize_core import atomic
from stylize_core.atomic import atomic_path, atomic_write, remove_abandoned, unfinished_file
from stylize_core.errors import UserError

ROOT = Path(__file__).parents[2]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as stream:
        stream.write(b"half")
        raise error
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["out.txt"]


def test_a_file_that_has_appeared_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    for force in (True, False):
        path.unlink(missing_ok=True)
        try:
            with atomic_path(path, force) as temporary:
                temporary.write_text("ours")
                path.write_text("somebody else's")
        except UserError as refusal:
            assert "has appeared meanwhile" in str(refusal) and not force
        assert path.read_text() == ("ours" if force else "somebody else's")
    assert names_in(tmp_path) == ["out.txt"]


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"out\.txt cannot be written: No such file"),
        atomic_write(tmp_path / "no" / "out.txt"),
    ):
        pass


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from stylize_core.atomic import atomic_folder, unfinished_file\n"
        "with unfinished_file(Path(sys.argv[1]), '.f32') as path, atomic_folder(Path(sys.argv[1], 'out')) as folder:\n"
        "    (folder / 'part').touch(); print(path.name, folder.name, flush=True); time.sleep(20)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        left, folder = other.stdout.readline().split()
        assert f"-{other.pid}-" in left and f"-{other.pid}-" in folder
        foreign = left.replace(left.split("-")[1], "00000000")
        others = [foreign, ".unfinished-0123456789ab.f32", "unfinished.txt", ".unfinished"]
        for name in others:
            (tmp_path / name).touch()
        with unfinished_file(tmp_path) as own:
            remove_abandoned(tmp_path)
            assert own.exists()
            assert (tmp_path / left).exists() and (tmp_path / folder / "part").exists()  # their process is at work
        other.kill()
        other.wait()
        atomic._remove_abandoned_once.cache_clear()
        with unfinished_file(tmp_path):
            assert not (tmp_path / left).exists() and not (tmp_path / folder).exists()
    assert names_in(tmp_path) == sorted(others)


def test_an_unfinished_file_of_this_process_is_not_inherited_by_its_number(tmp_path: Path) -> None:
    """The number of a dead process may be that of a living one by now: the lock decides."""
    with unfinished_file(tmp_path) as own:
        name = own.name
    (tmp_path / name).touch()
    assert f"-{os.getpid()}-" in name
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == []


def test_files_are_never_removed_where_locks_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "fcntl", None)
    with atomic_write(tmp_path / "out.txt") as stream:
        stream.write(b"new")
        remove_abandoned(tmp_path)
    assert (tmp_path / "out.txt").read_text() == "new"


def test_ordinary_permissions(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "out.txt") as stream:
            stream.write(b"new")
    finally:
        os.umask(previous)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640
