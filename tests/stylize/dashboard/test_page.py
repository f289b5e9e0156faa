"""The page of a trial in a real Chromium, opened from the disk: sounds, tables, keys, a phone, hostile names."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stylize.dashboard.command import write_page
from stylize.dashboard.content import MEDIA_FOLDER
from tests.stylize.dashboard.conftest import Dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not there: apt-get install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not there: pip install playwright"
    ),
]
TIMEOUT = 60_000  # milliseconds, on machines that do other things too
CATCH_SOUNDS = """
window.sounds = [];
const make = document.createElement.bind(document);
document.createElement = (tag) => {
  const made = make(tag);
  if (tag === "audio") sounds.push(made);
  return made;
};
"""
"""Audio elements are not in the document: they are caught as they are made."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Opened:
    """A page from the disk, and what went wrong on it or was asked for elsewhere."""

    def __init__(self, browser: Any, file: Path, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.context.add_init_script(CATCH_SOUNDS)
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self._check_address(request.url))
        self.page.on("requestfailed", lambda request: self.problems.append(f"{request.url} {request.failure}"))
        self.page.goto(file.as_uri())

    def _check_address(self, address: str) -> None:
        if not address.startswith(("file:", "data:")):
            self.problems.append(address)

    def systems(self) -> list[str]:
        return [cell.inner_text() for cell in self.page.locator("#systems td.name").all()]

    def wait(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {condition}")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(380, "dark"), (1280, "light")])
def test_all_is_there_and_fits(browser: Any, dashboard: Dashboard, tmp_path: Path, width: int, scheme: str) -> None:
    with Opened(browser, dashboard.page, viewport={"width": width, "height": 800}, color_scheme=scheme) as opened:
        page = opened.page
        assert page.title() == dashboard.trial.title
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert "2 songs · 3 systems · 7 listeners" in page.locator("#facts").inner_text()
        assert page.locator("#rows tbody tr").count() == 6
        assert page.locator("#tests tbody tr").count() == 9  # three pairs for each of three questions
        assert page.locator("#plots img").count() == 3
        assert page.locator("#models tbody tr").count() == 1
        pictures = page.locator("img")
        for index in range(pictures.count()):
            pictures.nth(index).scroll_into_view_if_needed()
            page.wait_for_function(
                "image => image.complete && image.naturalWidth > 0", arg=pictures.nth(index).element_handle()
            )
        assert page.locator("footer a").get_attribute("href") == "dashboard.json"
        page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
        assert opened.problems == []


def test_every_sound_can_be_played(browser: Any, dashboard: Dashboard) -> None:
    with Opened(browser, dashboard.page) as opened:
        durations = opened.page.evaluate(
            """() => Promise.all(sounds.map((audio) => new Promise((done) => {
                audio.onloadedmetadata = () => done(audio.duration);
                audio.onerror = () => done(-1);
                audio.preload = "auto";
                audio.load();
            })))"""
        )
        # Original, example and three systems, of two songs.
        assert durations == pytest.approx([2.0] * 10)


def test_tables_are_sorted_by_their_headings(browser: Any, dashboard: Dashboard) -> None:
    with Opened(browser, dashboard.page) as opened:
        assert opened.systems() == ["copy-content", "griffin-lim", "vocoder"]
        heading = opened.page.locator("#systems").get_by_role("button", name="quality: rating")
        heading.press("Enter")
        assert opened.systems() == ["vocoder", "griffin-lim", "copy-content"]
        assert opened.page.locator("#systems th[aria-sort=ascending]").inner_text() == "quality: rating"
        heading.press("Enter")
        assert opened.systems() == ["copy-content", "griffin-lim", "vocoder"]
        opened.page.locator("#systems").get_by_role("button", name="chroma").click()
        assert opened.systems() == ["vocoder", "griffin-lim", "copy-content"]


def test_a_switch_goes_on_at_the_same_place(browser: Any, dashboard: Dashboard) -> None:
    with Opened(browser, dashboard.page) as opened:
        page = opened.page
        page.locator(".clip").nth(0).click()
        opened.wait("sounds[0].currentTime > 0.4")
        page.locator(".clip").nth(3).click()
        opened.wait("!sounds[3].paused && sounds[0].paused")
        found = page.evaluate("[sounds[0].currentTime, sounds[3].currentTime]")
        assert found[1] > 0.4 and abs(found[1] - found[0]) < 0.5
        page.locator(".song").nth(1).get_by_role("button", name="Play").click()
        opened.wait("sounds[3].paused && sounds.filter((each) => !each.paused).length === 1")


def test_keys_alone_are_enough(browser: Any, dashboard: Dashboard) -> None:
    with Opened(browser, dashboard.page) as opened:
        page = opened.page
        page.keyboard.press("4")
        opened.wait("!sounds[3].paused && sounds[3].currentTime > 0")
        assert page.locator(".clip[aria-pressed=true]").inner_text().startswith("4griffin-lim")
        page.keyboard.press("0")
        opened.wait("sounds.every((each) => each.paused)")
        second = page.locator(".song").nth(1)
        second.get_by_label("position").focus()
        page.keyboard.press("End")  # before anything is loaded
        assert second.locator(".time").inner_text() == "2.0 / 2.0 s"
        page.keyboard.press("Home")
        second.get_by_role("button", name="Loop").press("Space")
        second.locator(".clip").nth(1).press("Enter")
        opened.wait("!sounds[6].paused && sounds[6].currentTime > 1.2")
        opened.wait("!sounds[6].paused && sounds[6].currentTime < 1.2")  # the loop
        page.keyboard.press("9")  # there is none
        assert page.evaluate("!sounds[6].paused")
        reached = []
        page.evaluate("document.activeElement.blur()")
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.className"))
        assert reached.count("clip") >= 10 and "scroll" in reached


def test_a_sound_that_is_gone_does_not_hang_the_card(browser: Any, dashboard: Dashboard, tmp_path: Path) -> None:
    shutil.copytree(dashboard.page.parent, tmp_path / "page")
    lost = json.loads((tmp_path / "page" / "dashboard.json").read_text())["rows"][2]["output"]["audio"]
    (tmp_path / "page" / lost).unlink()
    with Opened(browser, tmp_path / "page" / "index.html") as opened:
        opened.page.locator(".clip").nth(4).click()
        play = opened.page.locator(".song").nth(0).locator("button").first
        opened.page.wait_for_function("button => button.textContent === 'Play'", arg=play.element_handle())
        opened.page.locator(".clip").nth(0).click()
        opened.wait("!sounds[0].paused")


def test_hostile_names_are_text(browser: Any, dashboard: Dashboard, tmp_path: Path) -> None:
    name, content = '<script>hit = 1</script><img src=x onerror="hit = 2">', dashboard.made.content
    systems = tuple(
        dataclasses.replace(each, name=name, details={"iterations": name}) if each.name == "vocoder" else each
        for each in content.trial.systems
    )
    hostile = dataclasses.replace(
        content,
        trial=dataclasses.replace(content.trial, systems=systems, title=f"/*SCRIPT*/ {name}", created=name),
        songs=tuple(dataclasses.replace(song, style=name) for song in content.songs),
        rows=tuple(dataclasses.replace(row, system=name) if row.system == "vocoder" else row for row in content.rows),
        totals={**content.totals, name: content.totals["vocoder"]},
        results=dataclasses.replace(
            content.results,
            differences=tuple(dataclasses.replace(row, second=name) for row in content.results.differences),
        ),
        models={name: {**next(iter(content.models.values())), "folder": name, "wandb_runs": [name]}},
    )
    (tmp_path / MEDIA_FOLDER).symlink_to(dashboard.page.parent / MEDIA_FOLDER)
    write_page(hostile, tmp_path)
    with Opened(browser, tmp_path / "index.html", viewport={"width": 380, "height": 800}) as opened:
        assert opened.page.evaluate("typeof hit") == "undefined"
        assert opened.page.title() == f"/*SCRIPT*/ {name}"
        assert name in opened.systems()
        assert opened.page.locator(".clip", has_text=name).count() >= 2
        assert opened.page.locator("img:not([src^='media/'])").count() == 0
        assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert opened.problems == []
