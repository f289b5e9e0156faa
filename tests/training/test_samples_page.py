"""The page of a run's validation clips: what is compared with what, and how it works in a browser from the disk."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stylize_core.errors import UserError
from training.experiment import Sample
from training.samples_page import Comparison, compare, pair_samples, read_comparisons, write_samples_page
from training.tracking import Tracker

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RATE = 22050
MEL = {"mel": np.zeros((8, 20))}


def tone(frequency: float = 220.0, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """With a beat, four times a second."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * frequency * time) * (np.sin(2 * np.pi * 4 * time) > 0)).astype(np.float32)


def fixed(name: str, wav: np.ndarray | None, rate: int = RATE) -> Sample:
    return Sample(name, wav, rate, MEL, fixed=True)


def row(step: int, name: str = "clip", value: float = 1.0) -> Comparison:
    return Comparison(step, name, "clip-original", f"{name}.{step}.wav", f"{name}.{step}.png", RATE, {"chroma": value})


def test_outputs_are_paired_with_the_input_before_them() -> None:
    wav = tone()
    samples = [
        Sample("alone", wav, RATE, MEL),
        fixed("a-input", wav),
        Sample("a-to-jazz", wav, RATE, MEL),
        Sample("a-to-rock", wav, RATE, MEL),
        Sample("silent-movie", None, RATE, MEL),
        fixed("picture-input", None),
        Sample("of-a-picture", wav, RATE, MEL),
    ]
    assert [(original.name, output.name) for original, output in pair_samples(samples)] == [
        ("a-input", "a-to-jazz"),
        ("a-input", "a-to-rock"),
    ]


def test_what_is_kept_of_the_input() -> None:
    same = compare(500, fixed("clip-original", tone()), Sample("clip", tone()[:-100], RATE, MEL))
    assert same.measures == {"chroma": pytest.approx(1, abs=1e-4), "onsets": pytest.approx(1, abs=1e-4)}
    assert (same.audio, same.picture) == ("clip.step-00000500.wav", "clip.step-00000500.png")
    other = compare(500, fixed("clip-original", tone(220)), Sample("clip", tone(311.1), RATE, MEL))
    assert other.measures["chroma"] < 0.6 < other.measures["onsets"]  # another note, the same beat


@pytest.mark.parametrize(
    "output",
    [
        Sample("short", tone(seconds=0.4), RATE, MEL),
        Sample("another-rate", tone(rate=16000), 16000, MEL),
        Sample("broken", np.full(RATE, np.nan, np.float32), RATE, MEL),
    ],
    ids=lambda each: each.name,
)
def test_what_cannot_be_measured_is_shown_without_measures(output: Sample) -> None:
    assert compare(1, fixed("input", tone()), output).measures == {}


def test_a_step_that_came_again_counts_once(tmp_path: Path) -> None:
    lines = [row(1), row(2, value=0.1), row(1, "other"), row(2, value=0.9)]
    text = "\n".join(json.dumps(asdict(each)) for each in lines)
    (tmp_path / "all.jsonl").write_text(text + '\n{"step": 3, "na')
    found = read_comparisons(tmp_path / "all.jsonl")
    assert [(each.step, each.name) for each in found] == [(1, "clip"), (1, "other"), (2, "clip")]
    assert found[2].measures == {"chroma": 0.9}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that validated twice."""
    folder = tmp_path / "50% <b>&#run"
    tracker = Tracker(folder, {}, "off")
    for step, frequency in ((100, 330.0), (200, 247.0)):
        samples = []
        for name in ("a<script>#1", "b"):
            samples += [fixed(f"{name}-input", tone(220, 2)), Sample(name, tone(frequency, 2), RATE, MEL)]
        tracker.samples(step, samples)
    tracker.close()
    return folder


def test_the_page_works_from_the_disk(run: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("chromium is not there: apt-get install chromium")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not there: pip install playwright")
    from playwright.sync_api import sync_playwright

    problems: list[str] = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 380, "height": 800})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: check_address(request.url, problems))
        page.goto((run / "samples" / "index.html").as_uri())
        check_page(page)
        page.screenshot(path=run / "page.png", full_page=True)
        browser.close()
    assert problems == []


def check_address(address: str, problems: list[str]) -> None:
    if not address.startswith(("file:", "data:")):
        problems.append(address)


def check_page(page: Any) -> None:
    """Hear an input and two steps of an output by keys alone."""
    assert page.title() == "50% <b>&#run"
    assert page.locator("h2").all_inner_texts() == ["a<script>#1", "b"]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.wait_for_function(
        "() => [...document.images].filter((each) => each.complete && each.naturalWidth > 0).length === 2"
    )
    first = page.locator("article").first
    assert first.locator("output").inner_text() == "200 of 200"
    first.get_by_role("button", name="output").press("Enter")
    playing = "() => { const audio = document.querySelector('audio'); return !audio.paused && audio.currentTime > 0.3 }"
    page.wait_for_function(playing)
    assert page.evaluate("document.querySelector('audio').duration") == pytest.approx(2)
    first.get_by_label("step").press("ArrowLeft")
    assert first.locator("output").inner_text() == "100 of 200"
    assert first.locator("audio").get_attribute("src").endswith("step-00000100.wav")
    page.wait_for_function(playing)  # it goes on
    first.get_by_role("button", name="input").press("Enter")
    assert first.locator("audio").get_attribute("src").endswith("-input.wav")
    page.wait_for_function(playing)
    page.evaluate("document.querySelector('audio').loop = true")  # so that it does not end by itself
    page.locator("article").nth(1).get_by_role("button", name="output").press("Enter")
    page.wait_for_function("() => document.querySelectorAll('audio')[0].paused")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples_page(tmp_path, "run", [row(1)])
    before = (tmp_path / "index.html").read_text()
    monkeypatch.setattr("os.replace", lambda source, target: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(UserError, match="index.html cannot be written: full"):
        write_samples_page(tmp_path, "run", [row(1), row(2)])
    assert (tmp_path / "index.html").read_text() == before


def test_names_cannot_leave_their_block(tmp_path: Path) -> None:
    write_samples_page(tmp_path, "</title>@DATA@", [row(1, "</script><script>hit = 1</script>@TITLE@")])
    page = (tmp_path / "index.html").read_text()
    assert "hit = 1</script>@TITLE@" not in page and page.count("</script>") == 2
    assert "<title>&lt;/title&gt;@DATA@</title>" in page
