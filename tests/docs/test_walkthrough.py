"""The walkthrough runs from top to bottom, with pictures and sounds; run as a script, this file stores its outputs."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "how" / "walkthrough.ipynb"
REFRESH = "python tests/docs/test_walkthrough.py"
SECTIONS = [
    "The whole of it",
    "From a waveform to columns",
    "Columns against squares",
    "The travel vector",
    "Siamese contrast",
    "The adversary",
    "The vocoder",
    "The baseline",
]
MP3 = re.compile(r'src="data:audio/mpeg;base64,([^"]+)"')
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LINK = re.compile(r"\[[^\]]+\]\(([^)]+)\)(?::((?:,? `\w+`)+))?")


def run(folder: Path) -> NotebookNode:
    """The notebook with the outputs of a run from top to bottom, on one thread, with `folder` as working directory."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    # The version of the Python that ran it is no part of the notebook.
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


@pytest.fixture(scope="module")
def stored() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_notebook_runs_from_top_to_bottom(stored: NotebookNode, tmp_path: Path) -> None:
    fresh = run(tmp_path)
    assert not list(tmp_path.iterdir()), "the notebook wrote into the folder it was started in"
    check_outputs(fresh)
    for stored_cell, fresh_cell in zip(code_cells(stored), code_cells(fresh), strict=True):
        # What is trained here takes its own way on another processor; its cells assert what has to hold.
        trained_here = "discriminator" in fresh_cell.source
        check_same_text(printed(stored_cell), printed(fresh_cell), with_numbers=not trained_here)


def test_stored_outputs_are_whole_and_small(stored: NotebookNode) -> None:
    nbformat.validate(stored)
    check_outputs(stored)
    assert NOTEBOOK.stat().st_size < 1_000_000
    for cell in code_cells(stored):
        assert "execution" not in cell.metadata
        assert all(len(picture) < 60_000 for picture in pictures(cell))
        assert all(len(sound) < 20_000 for sound in sounds(cell))
        assert not re.search(r"/(home|tmp|root|work|Users)/", printed(cell)), "the path of a machine"


def test_every_section_says_where_its_code_is_and_what_to_try(stored: NotebookNode) -> None:
    for title, cells in sections(stored):
        text = cells[-1].source
        assert cells[-1].cell_type == "markdown" and "**In the code.**" in text and "**Try.**" in text, title
        assert text.split("**Try.**")[1].count(";") == 2, f"{title}: three things to try"
    last = stored.cells[-1].source
    assert all(f"\n{number}. " in last for number in (1, 2, 3))
    assert f"`{REFRESH}`" in last


def test_links_lead_to_files_and_the_functions_named_beside_them(stored: NotebookNode) -> None:
    found = 0
    for cell in stored.cells:
        if cell.cell_type != "markdown":
            continue
        for target, names in LINK.findall(cell.source):
            path = NOTEBOOK.parent / target
            assert path.is_file(), target
            for name in re.findall(r"\w+", names):
                assert re.search(rf"^ *(?:def|class) {name}\b", path.read_text(), re.MULTILINE), f"{target}: {name}"
                found += 1
    assert found > 20


def check_outputs(notebook: NotebookNode) -> None:
    """Run in order without a word on stderr; in every section pictures of something, sounds neither silent nor clipped.

    Raises:
        AssertionError: the section and what is wrong with it.
    """
    for number, cell in enumerate(code_cells(notebook), start=1):
        assert cell.execution_count == number, f"not run in order; store the outputs again: {REFRESH}"
        bad = [output for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"]
        assert not bad, f"{cell.source[:60]!r} ended with {bad}"
    for title, cells in sections(notebook):
        shown = [picture for cell in cells for picture in pictures(cell)]
        played = [sound for cell in cells for sound in sounds(cell)]
        assert shown, f"{title}: no picture"
        assert played, f"{title}: no sound"
        for picture in shown:
            pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=np.float32)
            assert pixels.shape[1] > 400 and pixels.std() > 10, f"{title}: an empty picture"
        for sound in played:
            wav, rate = soundfile.read(io.BytesIO(sound))
            assert len(wav) > 1.5 * rate, f"{title}: a sound of {len(wav)} samples"
            assert np.sqrt((wav**2).mean()) > 0.01, f"{title}: a silent sound"
            assert np.abs(wav).max() < 0.99, f"{title}: a clipped sound"


def check_same_text(stored: str, fresh: str, with_numbers: bool) -> None:
    """The same words and, if asked, the same numbers but for what another processor rounds in its own way."""
    message = f"the stored outputs are of other code or weights; store them again: {REFRESH}"
    assert NUMBER.sub("#", stored).split() == NUMBER.sub("#", fresh).split(), message
    if not with_numbers:
        return
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (stored, fresh)]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=0.05, atol=0.02, err_msg=message)


def sections(notebook: NotebookNode) -> Iterator[tuple[str, list[NotebookNode]]]:
    """Title and cells of the numbered sections; every one of `SECTIONS` is there, in order."""
    starts = [index for index, cell in enumerate(notebook.cells) if re.match(r"## ", cell.source)]
    assert len(starts) == len(SECTIONS) + 1  # the last says where to go on
    for number, (title, start, stop) in enumerate(zip(SECTIONS, starts, starts[1:], strict=False)):
        assert notebook.cells[start].source.startswith(f"## {number}. {title}")
        yield title, notebook.cells[start:stop]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def pictures(cell: NotebookNode) -> list[bytes]:
    return [base64.b64decode(data["image/jpeg"]) for data in display_data(cell) if "image/jpeg" in data]


def sounds(cell: NotebookNode) -> list[bytes]:
    return [base64.b64decode(sound) for data in display_data(cell) for sound in MP3.findall(data.get("text/html", ""))]


def display_data(cell: NotebookNode) -> list[dict[str, str]]:
    return [output.data for output in cell.get("outputs", []) if output.output_type == "display_data"]


def store() -> None:
    """Run the notebook and put it in place with its outputs."""
    notebook = run(NOTEBOOK.parent)
    unfinished = NOTEBOOK.with_suffix(".unfinished")
    nbformat.write(notebook, unfinished)
    unfinished.replace(NOTEBOOK)


if __name__ == "__main__":
    store()
