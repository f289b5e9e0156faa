"""Whole tests taken in a real Chromium: two listeners at once, a reload in the middle, a lost connection, a phone."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studies.listening_load import running_server
from stylize.listening.store import read_answers
from stylize.listening.trial import Trial

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not there: apt-get install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not there: pip install playwright"
    ),
]
PHONE = {"width": 380, "height": 700}
TIMEOUT = 60_000  # milliseconds, on machines that do other things too
LOUDNESS = """() => {
    const { player } = listeningTest;
    if (!player.meter) {
        player.meter = player.context.createAnalyser();
        player.output.connect(player.meter);
    }
    const samples = new Float32Array(player.meter.fftSize);
    player.meter.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Visitor:
    """A browser of its own at a test."""

    def __init__(self, browser: Any, port: int, **settings: Any) -> None:
        # A context that keeps its profile on the disk is its own browser.
        self.context = browser.new_context(**settings) if hasattr(browser, "new_context") else browser
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._check_request(request.url, port))
        self.page.goto(f"http://127.0.0.1:{port}/")

    def _check_request(self, url: str, port: int) -> None:
        if not url.startswith(f"http://127.0.0.1:{port}/"):
            self.problems.append(f"asked for {url}")

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def heading(self, text: str) -> None:
        self.page.get_by_role("heading", name=text).wait_for()

    def step(self, text: str) -> None:
        self.page.locator(".step", has_text=text).wait_for()

    def fits(self) -> None:
        """Nothing is wider than the screen."""
        # Not window.innerWidth, which grows with the content on a phone.
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.page.viewport_size["width"]

    def hear(self) -> None:
        """Wait until what plays is no silence."""
        # The page's policy forbids what Playwright's own wait_for_function does, which is eval.
        until = time.monotonic() + TIMEOUT / 1000
        while self.page.evaluate(LOUDNESS) <= 0.005:
            assert time.monotonic() < until, "nothing was to be heard"
            self.page.wait_for_timeout(20)

    def begin(self) -> None:
        """Welcome and level."""
        self.heading("Welcome")
        self.fits()
        self.click("Start")
        self.heading("Set the level")
        self.fits()
        self.click("Play")
        self.hear()
        self.click("Next")
        self.step("Practice")

    def stimuli(self) -> list[str]:
        return [slider.get_attribute("data-stimulus") for slider in self.page.locator(".stimulus input").all()]

    def wait_until_heard(self) -> None:
        """Until the sound that plays counts as heard."""
        self.page.wait_for_timeout(450)

    def reload_with_waiting(self, answer: dict[str, Any]) -> None:
        """As if an answer had not been sent when the browser ended."""
        # What the page is still sending it would write into the storage again when that is done.
        self.page.locator("#saved", has_text="Saved").wait_for()
        item = {"path": "api/answers", "body": answer, "sequence": answer["sequence"]}
        self.page.evaluate(
            """(item) => {
                const [key] = Object.keys(localStorage).filter((name) => name.endsWith("/waiting"));
                localStorage.setItem(key, JSON.stringify({ slot: item }));
            }""",
            item,
        )
        self.page.reload()


def by_keys(visitor: Visitor, values: list[int]) -> Iterator[None]:
    """Numbers pick, Home, Page Up and arrows move: no mouse. Yields while a sound is to be heard."""
    for number, value in enumerate(values, start=1):
        visitor.page.keyboard.press(str(number))
        yield
        visitor.page.keyboard.press("Home")
        for key in ["PageUp"] * (value // 10) + ["ArrowRight"] * (value % 10):
            visitor.page.keyboard.press(key)


def by_touch(visitor: Visitor, values: list[int]) -> Iterator[None]:
    """Taps on the buttons and on the tracks. Yields while a sound is to be heard."""
    for row, value in zip(visitor.page.locator(".stimulus").all(), values, strict=True):
        row.get_by_role("button").tap()
        yield
        slider = row.get_by_role("slider")
        box = slider.bounding_box()
        slider.tap(position={"x": 12 + (box["width"] - 24) * value / 100, "y": box["height"] / 2})


def rate(visitor: Visitor, *raters: Iterator[None]) -> None:
    """Listeners hear their sounds at the same time."""
    for _ in zip(*raters, strict=True):
        visitor.wait_until_heard()


def test_two_listeners_take_a_whole_test_at_once(browser: Any, trial_folder: Path, tmp_path: Path) -> None:
    trial = Trial.read(trial_folder)
    database = tmp_path / "answers.sqlite3"
    given: dict[int, dict[tuple[str, str], int]] = {1: {}, 2: {}}
    with running_server(trial_folder, database) as (_, port):
        desk = Visitor(browser, port, viewport={"width": 1100, "height": 800})
        desk.begin()
        phone = Visitor(browser, port, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
        phone.begin()
        rate(desk, by_keys(desk, [1, 2, 3]), by_touch(phone, [1, 2, 3]))  # practice, which is not kept
        for visitor in (desk, phone):
            visitor.page.screenshot(path=tmp_path / f"practice{id(visitor)}.png", full_page=True)
            visitor.fits()
            visitor.click("Next")
        for number in range(len(trial.screens)):
            wanted = {listener: [3 * number + place + 4 * listener for place in range(3)] for listener in (1, 2)}
            for listener, visitor in ((1, desk), (2, phone)):
                visitor.step(f"{number + 1} of 6")
                assert visitor.stimuli() == trial.order_for(listener)[number][1]
            rate(desk, by_keys(desk, wanted[1]), by_touch(phone, wanted[2]))
            for listener, visitor in ((1, desk), (2, phone)):
                (screen, labels), values = trial.order_for(listener)[number], wanted[listener]
                visitor.hear()
                visitor.fits()
                shown = [int(output.inner_text()) for output in visitor.page.locator(".stimulus output").all()]
                if listener == 1:
                    assert shown == values
                assert all(abs(first - second) <= 2 for first, second in zip(shown, values, strict=True))
                given[listener] |= {(screen.id, identity): value for identity, value in zip(labels, shown, strict=True)}
                if number == 3:  # in the middle, before Next
                    visitor.page.screenshot(path=tmp_path / f"screen{listener}.png", full_page=True)
                    visitor.page.locator("#saved", has_text="Saved").wait_for()
                    visitor.page.reload()
                    visitor.step("4 of 6")
                    again = [int(output.inner_text()) for output in visitor.page.locator(".stimulus output").all()]
                    assert again == shown
                visitor.click("Next")
        for visitor in (desk, phone):
            visitor.heading("Thank you!")
            visitor.page.get_by_text("All your answers are saved").wait_for()
            assert visitor.page.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
            assert visitor.problems == []
        desk.page.reload()  # whoever comes back finds the end
        desk.heading("Thank you!")
    kept: dict[int, dict[tuple[str, str], int]] = {1: {}, 2: {}}
    for answer in read_answers(database):
        kept[answer.listener][answer.screen, answer.stimulus] = answer.value
    assert kept == given


def test_switching_keeps_the_position_and_a_region_repeats(browser: Any, port: int) -> None:
    visitor = Visitor(browser, port)
    visitor.begin()
    page = visitor.page
    assert len(set(page.evaluate("listeningTest.player.sounds.map((sound) => sound.buffer.length)"))) == 1
    page.keyboard.press("1")
    visitor.hear()
    jump = page.evaluate(
        """async () => {
            const { player } = listeningTest;
            const jumps = [];
            for (const { address } of player.sounds) {
                const before = player.position(), time = player.context.currentTime;
                player.select(address);
                const passed = player.context.currentTime - time;
                jumps.push(Math.abs(player.position() - before - passed));
                await new Promise((done) => setTimeout(done, 60));
                const open = [...player.run.gains].filter(([, gain]) => gain.gain.value > 0.5).map(([name]) => name);
                if (open.length !== 1 || open[0] !== address) jumps.push(99);
            }
            return Math.max(...jumps);
        }"""
    )
    assert jump < 0.001
    positions = page.evaluate(
        """async () => {
            const { player } = listeningTest;
            player.setLoop(0.3, 0.85);
            const seen = [];
            for (let turn = 0; turn < 60; turn += 1) {
                seen.push(player.position());
                await new Promise((done) => setTimeout(done, 20));
            }
            return seen;
        }"""
    )
    assert all(0.3 <= position <= 0.86 for position in positions)
    assert any(second < first for first, second in itertools.pairwise(positions))  # it went round
    # What the audio clock is told: all sounds at one instant from one place, then the region again and again.
    passes = page.evaluate(
        """() => {
            const told = [], start = AudioBufferSourceNode.prototype.start;
            AudioBufferSourceNode.prototype.start = function (...values) {
                told.push(values);
                return start.apply(this, values);
            };
            listeningTest.player.seek(0.5);
            AudioBufferSourceNode.prototype.start = start;
            return told;
        }"""
    )
    sounds = page.evaluate("listeningTest.player.sounds.length")
    instants = sorted({when for when, _, _ in passes})
    assert len(passes) == sounds * len(instants) and len(instants) >= 3
    for number, instant in enumerate(instants):
        expected = (0.5, 0.35) if number == 0 else (0.3, 0.55)
        told = [(offset, length) for when, offset, length in passes if when == instant]
        assert len(told) == sounds and all(each == pytest.approx(expected) for each in told)
    assert [second - first for first, second in itertools.pairwise(instants)] == pytest.approx(
        [0.35] + [0.55] * (len(instants) - 2)
    )
    page.keyboard.press("Space")
    assert page.evaluate("listeningTest.player.playing") is False
    page.keyboard.press("\\")
    assert page.evaluate("listeningTest.player.loop") == pytest.approx([0, 1], abs=0.01)
    assert visitor.problems == []


def test_what_is_compared_with_stays_in_reach(browser: Any, port: int) -> None:
    """At the last sound of a page that is longer than the screen, a finger still reaches the original."""
    visitor = Visitor(browser, port, viewport={"width": 380, "height": 480}, has_touch=True, is_mobile=True)
    visitor.begin()
    page = visitor.page
    page.locator(".stimulus").last.scroll_into_view_if_needed()
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("window.scrollY") > 100
    covered = """(button) => {
        const box = button.getBoundingClientRect();
        return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) !== button;
    }"""
    for button in page.locator(".playback button").all():
        assert not button.evaluate(covered)
    page.keyboard.press("1")  # the focus goes to a slider, which must not lie below the playback
    assert not page.locator(".stimulus input").first.evaluate(covered)
    assert visitor.problems == []


def test_a_crash_of_the_browser_loses_nothing(browser: Any, trial_folder: Path, tmp_path: Path) -> None:
    """Chromium is killed in the middle; opened again, it is the same listener at the same page."""
    profile = tmp_path / "profile"
    with running_server(trial_folder, tmp_path / "answers.sqlite3") as (_, port):

        def open_browser() -> Any:
            return browser.browser_type.launch_persistent_context(
                profile, executable_path=CHROMIUM, args=["--no-sandbox"], viewport=PHONE
            )

        visitor = Visitor(open_browser(), port)
        visitor.begin()
        rate(visitor, by_keys(visitor, [0, 0, 0]))
        visitor.click("Next")
        visitor.step("1 of 6")
        rate(visitor, by_keys(visitor, [7, 8, 9]))
        visitor.page.locator("#saved", has_text="Saved").wait_for()
        token = visitor.page.evaluate(
            "JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith('/token'))[1])"
        )
        wait_until(lambda: stored_in(profile, token))  # Chromium writes what a page stores some seconds later
        kill_browser(profile)
        again = Visitor(open_browser(), port)
        again.step("1 of 6")
        shown = [output.inner_text() for output in again.page.locator(".stimulus output").all()]
        assert shown == ["7", "8", "9"]
        again.click("Next")
        again.step("2 of 6")
        assert again.problems == []
        again.context.close()
    kept = read_answers(tmp_path / "answers.sqlite3")
    assert [answer.listener for answer in kept] == [1, 1, 1] and sorted(answer.value for answer in kept) == [7, 8, 9]


def test_an_answer_that_waited_in_vain_does_not_hide_a_newer_one(
    browser: Any, trial_folder: Path, tmp_path: Path
) -> None:
    """A crashed browser may leave on the disk what it has long sent and sent anew."""
    with running_server(trial_folder, tmp_path / "answers.sqlite3") as (_, port):
        visitor = Visitor(browser, port)
        visitor.begin()
        visitor.page.evaluate("listeningTest.go(3)")  # practice is not what this is about
        visitor.step("1 of 6")
        rate(visitor, by_keys(visitor, [7]))
        visitor.page.locator("#saved", has_text="Saved").wait_for()
        sound = visitor.stimuli()[0]
        screen = Trial.read(trial_folder).order_for(1)[0][0].id
        visitor.reload_with_waiting({"screen": screen, "stimulus": sound, "value": 2, "sequence": 1})
        visitor.step("1 of 6")
        visitor.page.locator("#saved", has_text="Saved").wait_for()
        assert visitor.page.locator(".stimulus output").first.inner_text() == "7"
    assert [answer.value for answer in read_answers(tmp_path / "answers.sqlite3")] == [7]


def stored_in(profile: Path, text: str) -> bool:
    """Whether a page's storage on the disk has a text."""
    files = (profile / "Default" / "Local Storage" / "leveldb").glob("*.log")
    return any(form in path.read_bytes() for path in files for form in (text.encode(), text.encode("utf-16-le")))


def kill_browser(profile: Path) -> None:
    """Kill the browser that uses this profile, whose lock names its process."""
    os.kill(int(os.readlink(profile / "SingletonLock").rpartition("-")[2]), signal.SIGKILL)


def wait_until(holds: Callable[[], bool]) -> None:
    """The limit is for a test that fails."""
    end = time.monotonic() + TIMEOUT / 1000
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_answers_wait_on_the_device_while_there_is_no_connection(
    browser: Any, trial_folder: Path, tmp_path: Path
) -> None:
    database = tmp_path / "answers.sqlite3"
    with running_server(trial_folder, database) as (_, port):
        visitor = Visitor(browser, port, viewport=PHONE)
        visitor.begin()
        rate(visitor, by_keys(visitor, [0, 0, 0]))
        visitor.click("Next")
        visitor.step("1 of 6")
        visitor.click("Next")
        visitor.page.get_by_text("Not heard yet: 1, 2, 3; not rated yet: 1, 2, 3.").wait_for()
        visitor.context.set_offline(True)
        rate(visitor, by_keys(visitor, [7, 8, 9]))
        visitor.page.get_by_text("No connection; ").wait_for()
        kept = visitor.page.evaluate("JSON.stringify(localStorage)")
        assert kept.count("api/answers") == 3
        visitor.context.set_offline(False)
        visitor.page.locator("#saved", has_text="Saved").wait_for()
        assert visitor.problems == []
    assert sorted(answer.value for answer in read_answers(database)) == [7, 8, 9]


def test_a_pair_is_chosen_with_keys(browser: Any, pair_folder: Path, tmp_path: Path) -> None:
    trial = Trial.read(pair_folder)
    database = tmp_path / "answers.sqlite3"
    with running_server(pair_folder, database) as (_, port):
        visitor = Visitor(browser, port, viewport=PHONE)
        visitor.begin()
        assert visitor.page.get_by_text("the whole scale").count() == 0  # which a choice does not have
        for step in ("Practice", "1 of 6"):
            visitor.step(step)
            for key in "12":
                visitor.page.keyboard.press(key)
                visitor.wait_until_heard()
            visitor.fits()
            visitor.page.get_by_role("radio", name="A is better").focus()
            visitor.page.keyboard.press("ArrowRight")
            visitor.click("Next")
        visitor.step("2 of 6")
        screen, labels = trial.order_for(1)[0]
        assert [(answer.screen, answer.stimulus) for answer in read_answers(database)] == [(screen.id, labels[1])]
        # A change of mind that comes late takes the place of the first choice, on the page as in the file.
        visitor.reload_with_waiting({"screen": screen.id, "stimulus": labels[0], "value": 1, "sequence": 2**52})
        visitor.step("2 of 6")
        visitor.click("Back")
        visitor.step("1 of 6")  # the screen before has a choice of the same name
        assert visitor.page.get_by_role("radio", name="A is better").is_checked()
        assert visitor.problems == []
    assert [answer.stimulus for answer in read_answers(database)] == [labels[0]]
