"""The page in a real Chromium: songs sent, results played, recordings, a reload, a phone, keys."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import math
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stylize import Stylizer
from stylize.local_server import bind
from stylize.web.limits import Limits
from stylize.web.server import make_app
from stylize.web.store import Store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not there: apt-get install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not there: pip install playwright"
    ),
]
PHONE = {"width": 380, "height": 700}
TIMEOUT = 60_000  # milliseconds, on machines that do other things too
SECONDS = 3.0
LOUDNESS = """async (key) => {
    const reply = await fetch(document.getElementById(key).src);
    const buffer = await new OfflineAudioContext(1, 1, 22050).decodeAudioData(await reply.arrayBuffer());
    const samples = buffer.getChannelData(0);
    const square = samples.reduce((sum, value) => sum + value * value, 0);
    return [buffer.duration, Math.sqrt(square / samples.length)];
}"""
FOCUSED = """(() => {
    const element = document.activeElement;
    return element.ariaLabel || element.labels?.[0]?.textContent || element.textContent;
})()"""
SIDES = "[...app.player.sides].map(([key, side]) => [key, side.audio.currentTime, side.gain.gain.value])"


class Gated:
    """The models, which begin with a song when they are let."""

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer, self.gate = stylizer, threading.Event()
        self.gate.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stylizer, name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No song is begun within."""
        self.gate.clear()
        try:
            yield
        finally:
            self.gate.set()

    def style_for(self, order: Any) -> Any:
        assert self.gate.wait(60)
        return self._stylizer.style_for(order)


@pytest.fixture(scope="module")
def gated(bundled_stylizer: Stylizer) -> Gated:
    return Gated(bundled_stylizer)


@pytest.fixture(scope="module")
def port(gated: Any) -> Iterator[int]:
    """The real server in a thread."""
    import uvicorn

    bound: socket.socket = bind("127.0.0.1", 0)
    limits = Limits(max_seconds=20.0, max_bytes=3_000_000)
    config = uvicorn.Config(make_app(gated, Store(limits)), log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join()
    bound.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Visitor:
    """Somebody with a browser of their own."""

    def __init__(self, browser: Any, port: int, **settings: Any) -> None:
        self.page = browser.new_context(**settings).new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self._check_request(request.url, port))
        self.page.goto(f"http://127.0.0.1:{port}/")
        self.page.get_by_role("radio", name="blues").wait_for()

    def _check_request(self, url: str, port: int) -> None:
        if not url.startswith(f"http://127.0.0.1:{port}/"):
            self.problems.append(f"asked for {url}")

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, content: bytes, name: str = "song.wav", place: str = "#song") -> None:
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        self.page.locator(f"{place} input[type=file]").set_input_files(file)

    def ready(self, place: str = "#song") -> None:
        self.page.locator(f"{place} .picker.ready").wait_for()

    def result(self) -> None:
        self.page.locator("#result .player").wait_for()

    def trouble(self, words: str) -> None:
        self.page.get_by_role("alert").filter(has_text=words).wait_for()

    def until(self, script: str, holds: Callable[[Any], bool]) -> Any:
        """Wait for a value. The page's policy forbids what Playwright's own wait_for_function does, which is eval."""
        end = time.monotonic() + TIMEOUT / 1000
        while not holds(value := self.page.evaluate(script)):
            assert time.monotonic() < end, f"{script}: still {value}"
            self.page.wait_for_timeout(20)
        return value

    def fits(self) -> None:
        """Nothing is wider than the screen."""
        # Not window.innerWidth, which grows with the content on a phone.
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.page.viewport_size["width"]


def is_number(value: Any) -> bool:
    """Of a duration, which is NaN until the sound is known."""
    return value is not None and not math.isnan(value)


def test_a_song_is_sent_and_its_result_played(browser: Any, port: int, encode: Any, tmp_path: Path) -> None:
    visitor = Visitor(browser, port, viewport={"width": 1100, "height": 900}, accept_downloads=True)
    page = visitor.page
    visitor.click("Make it")
    visitor.trouble("Choose a song first.")
    visitor.choose(encode(SECONDS))
    visitor.ready()
    page.get_by_role("radio", name="metal").check()
    visitor.click("Make it")
    visitor.result()
    for key in ("input", "output"):
        duration = visitor.until(f"document.getElementById('{key}').duration", is_number)
        assert duration == pytest.approx(SECONDS, abs=0.001)
        decoded, loudness = page.evaluate(LOUDNESS, key)
        assert decoded == pytest.approx(SECONDS, abs=0.001) and loudness > 0.01
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 100)")
    visitor.click("Play")
    visitor.until("app.player.position", lambda position: position > 0.3)
    assert page.evaluate("app.player.heard") == "output"
    visitor.until(SIDES, lambda sides: [round(gain) for *_, gain in sides] == [0, 1])
    page.get_by_role("button", name=re.compile("^Before")).click()
    sides = visitor.until(SIDES, lambda sides: [round(gain) for *_, gain in sides] == [1, 0])
    assert abs(sides[0][1] - sides[1][1]) < 0.1  # seconds; both run on at the same place
    visitor.until("app.player.playing", lambda playing: not playing)  # to the end
    with page.expect_download() as download:
        page.get_by_role("link", name="Download WAV").click()
    assert download.value.suggested_filename == "song.metal.wav"
    assert (download.value.path()).stat().st_size == len(encode(SECONDS))
    page.screenshot(path=tmp_path / "result.png", full_page=True)
    page.reload()  # the result is found again, with the song that it is of and the style that was made
    visitor.result()
    visitor.ready()
    assert page.get_by_role("radio", name="metal").is_checked()
    visitor.click("Remove my files now")
    page.get_by_text("Your files are removed.").wait_for()
    assert page.evaluate("location.hash") == ""
    assert visitor.problems == []


def test_one_song_in_several_styles(browser: Any, port: int, gated: Gated, encode: Any, tmp_path: Path) -> None:
    """Heard before, watched while it is made, kept when the next one is cancelled and the page loaded again."""
    visitor = Visitor(browser, port, viewport={"width": 1000, "height": 900}, accept_downloads=True)
    page = visitor.page
    visitor.choose(encode(1.5), "mine.wav")
    visitor.ready()
    page.locator("#song audio").evaluate("audio => audio.play()")
    visitor.until("app.song.audio.currentTime", lambda position: position > 0.1)
    assert page.evaluate("app.song.audio.duration") == pytest.approx(1.5, abs=0.01)
    for style in ("jazz", "rock"):
        page.get_by_role("radio", name=style).check()
        visitor.click("Make it")
        page.locator(".side").nth(1).get_by_text(style).wait_for()
    rows = page.locator(".made li")
    assert [row.split("\n")[0] for row in rows.all_inner_texts()] == ["rock", "jazz"]

    with gated.held():
        page.get_by_role("radio", name="metal").check()
        visitor.click("Make it")
        page.get_by_text("Making metal …").wait_for()
        visitor.until("document.getElementById('progress').position", lambda share: share > 0)
        before = page.evaluate("document.getElementById('progress').position")
        visitor.until("document.getElementById('progress').position", lambda share: before < share < 1)
        assert re.search("left|almost done", page.locator("#left").inner_text())
        page.get_by_role("radio", name="blues").check()  # which changes neither what is made nor what was
        assert page.locator(".side .hear").nth(1).inner_text().split() == ["After", "rock"]
        page.screenshot(path=tmp_path / "making.png", full_page=True)
        page.reload()
        page.get_by_text("Making metal …").wait_for()
        visitor.ready()
        assert page.get_by_role("radio", name="metal").is_checked()
        visitor.click("Cancel")
    page.get_by_text("Cancelled").wait_for()
    visitor.ready()
    assert page.locator("#song .invitation").inner_text() == "mine.wav"

    rows.filter(has_text="jazz").get_by_role("button").click()
    assert page.locator(".side .hear").nth(1).inner_text().split() == ["After", "jazz"]
    visitor.until("document.getElementById('output').duration", is_number)
    with page.expect_download() as download:
        page.get_by_role("link", name="FLAC of rock, mine.wav").click()
    assert download.value.suggested_filename == "mine.rock.flac"
    assert download.value.path().read_bytes().startswith(b"fLaC")
    visitor.click("Play")
    visitor.until("app.player.position", lambda position: position > 0.2)
    rows.filter(has_text="rock").get_by_role("button").click()  # goes on from there
    visitor.until("app.player.position", lambda position: position > 0.2)
    assert page.evaluate("app.player.heard") == "output"
    page.get_by_role("radio", name="jazz").check()
    visitor.click("Make it")
    page.get_by_text("This was made already.").wait_for()
    assert rows.count() == 2
    page.reload()
    visitor.result()
    assert [row.split("\n")[0] for row in rows.all_inner_texts()] == ["rock", "jazz"]
    assert page.locator(".side .hear").nth(1).inner_text().split() == ["After", "jazz"]
    assert visitor.problems == []


DROP = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, type, content] of files) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    const values = { dataTransfer: transfer, cancelable: true, bubbles: true };
    document.querySelector("footer").dispatchEvent(new DragEvent("dragover", values));
    document.querySelector("footer").dispatchEvent(new DragEvent("drop", values));
}"""


def test_files_that_are_dropped_beside_the_box_or_together(browser: Any, port: int, encode: Any) -> None:
    visitor = Visitor(browser, port)
    page, name = visitor.page, visitor.page.locator("#song .invitation")
    song = base64.b64encode(encode(0.5)).decode()
    page.evaluate(DROP, [])
    visitor.trouble("that is no file; drop one from a folder of this computer")
    page.evaluate(DROP, [["first.wav", "audio/wav", song]])
    visitor.ready()
    assert name.inner_text() == "first.wav" and page.locator(".over").count() == 0
    page.evaluate(DROP, [["second.wav", "", song]])
    page.get_by_text("Taken in place of first.wav.").wait_for()
    visitor.ready()
    assert name.inner_text() == "second.wav"
    sounds = [[file, "audio/wav", song] for file in ("third.wav", "fourth.wav")]
    page.evaluate(DROP, [["cover.jpg", "image/jpeg", song], *sounds])
    page.get_by_text("3 files were dropped, and one song is made at a time: this is third.wav.").wait_for()
    visitor.ready()
    assert name.inner_text() == "third.wav"
    assert visitor.problems == []


def test_everything_with_keys_only(browser: Any, port: int) -> None:
    """From the top of the page to the end with Tab, arrows, Space and Enter, and no element is focused by the test."""
    visitor = Visitor(browser, port)
    page, keys = visitor.page, visitor.page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            if name in page.evaluate(FOCUSED):
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("Choose a file")
    tab_to("Record")
    tab_to("Use the example")
    keys.press("Enter")
    visitor.ready()
    tab_to("One style")
    keys.press("ArrowRight")
    shares = page.locator(".mixture output")
    assert shares.all_inner_texts()[:3] == ["50 %", "50 %", "0 %"]
    for name in ("country", "disco"):  # 50 : 50 : 100 : 100
        tab_to(name)
        keys.press("End")
    assert shares.all_inner_texts()[:5] == ["17 %", "17 %", "33 %", "33 %", "0 %"]
    tab_to("Strength")
    keys.press("Home")
    tab_to("Make it")
    keys.press("Enter")
    visitor.result()
    text = page.locator(".side").nth(1).inner_text()
    assert "blues 17 %, classical 17 %, country 33 %, disco 33 % · strength 0 %" in text
    assert page.evaluate(FOCUSED) == "Play"
    keys.press("s")
    assert page.get_by_role("button", name=re.compile("^Before")).get_attribute("aria-pressed") == "true"
    keys.press("ArrowRight")
    visitor.until("app.player.position", lambda position: position == pytest.approx(5.0, abs=0.01))
    keys.press("ArrowLeft")
    keys.press("Space")  # presses the button that is focused, once
    visitor.until("app.player.position", lambda position: 0 < position < 4.9)
    assert page.evaluate("app.player.playing")
    tab_to("Position")
    keys.press("End")
    visitor.until("app.player.playing", lambda playing: not playing)
    tab_to("Download WAV")
    with page.expect_download() as download:
        keys.press("Enter")
    assert download.value.suggested_filename == "demo_country.blues+classical+country+disco.wav"
    tab_to("Remove my files now")
    keys.press("Enter")
    page.get_by_text("Your files are removed.").wait_for()
    assert visitor.problems == []


def test_a_phone_with_a_recording_and_an_example_of_the_style(
    browser: Any, port: int, encode: Any, tmp_path: Path
) -> None:
    """The fake microphone beeps. What it gives is no format of the server's, and is converted by the page."""
    visitor = Visitor(
        browser, port, viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark", permissions=["microphone"]
    )
    page = visitor.page
    visitor.fits()
    page.locator("#song").get_by_role("button", name="Record").tap()
    page.locator("#song .status", has_text="0:01").wait_for()
    page.locator("#song").get_by_role("button", name="Stop and use it").tap()
    visitor.ready()
    assert "44100 Hz" in page.locator("#song .status").inner_text()
    page.get_by_role("radio", name="A mixture").check()
    visitor.fits()
    page.get_by_role("radio", name="Like a recording").check()
    page.get_by_role("button", name="Make it").tap()
    visitor.trouble("Give a recording in the wanted style.")
    visitor.choose(encode(1.0, 500.0, "OGG"), "a very long name " * 5 + ".ogg", "#style")
    visitor.ready("#style")
    visitor.fits()
    page.get_by_role("button", name="Make it").tap()
    visitor.result()
    visitor.until("document.getElementById('output').duration", is_number)
    assert page.evaluate(LOUDNESS, "input")[1] > 0.001
    visitor.fits()
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert visitor.problems == []


def test_files_that_cannot_be_used(browser: Any, port: int, encode: Any) -> None:
    visitor = Visitor(browser, port)
    for content, name, words in (
        (b"no music at all", "text.wav", "text.wav is not audio"),
        (b"", "nothing.wav", "nothing.wav is empty"),
        (encode(1.0)[:20000], "half.wav", "half.wav is cut off"),
        (encode(21.0, rate=8000), "long.wav", "long.wav is longer than 20 s of music (21 s); send a part of it"),
        (bytes(3_000_001), "zeros.bin", "zeros.bin is not audio"),
        (encode(1.0) + bytes(3_000_000), "big.wav", "more than 3 MB"),
    ):
        visitor.choose(content, name)
        visitor.trouble(words)
        assert visitor.page.get_by_role("alert").count() == 1
        assert visitor.page.locator("#song .picker.ready").count() == 0
    visitor.choose(encode(1.0), "good.wav")
    visitor.ready()
    assert visitor.page.get_by_role("alert").count() == 0
    assert visitor.problems == []


def test_a_dropped_file_in_a_format_of_the_browser_only(browser: Any, port: int) -> None:
    """WebM from the browser's own encoder, dropped with a foreign name."""
    visitor = Visitor(browser, port)
    visitor.page.evaluate(
        """async () => {
            const context = new AudioContext();
            await context.resume();
            const tone = new OscillatorNode(context, { frequency: 330 });
            const target = context.createMediaStreamDestination();
            tone.connect(target);
            tone.start();
            const recorder = new MediaRecorder(target.stream);
            const parts = [];
            recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
            recorder.start();
            await new Promise((done) => setTimeout(done, 600));
            const end = new Promise((done) => recorder.addEventListener("stop", done));
            recorder.stop();
            await end;
            const transfer = new DataTransfer();
            transfer.items.add(new File(parts, "tone.webm"));
            const picker = document.querySelector("#song .picker");
            picker.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true, bubbles: true }));
        }"""
    )
    visitor.ready()
    assert visitor.page.locator("#song .invitation").inner_text() == "tone.webm"
    assert visitor.problems == []


def test_two_people_at_once_hear_their_own_songs(browser: Any, port: int, encode: Any) -> None:
    """Both jobs are under way before the first ends, and neither result can be opened by the other."""
    visitors = {seconds: Visitor(browser, port) for seconds in (1.5, 2.5)}
    for seconds, visitor in visitors.items():
        visitor.choose(encode(seconds), f"{seconds}.wav")
        visitor.ready()
    for visitor in visitors.values():
        visitor.click("Make it")
    for seconds, visitor in visitors.items():
        visitor.result()
        assert f"{seconds}.wav" in visitor.page.locator(".side").first.inner_text()
        for key in ("input", "output"):
            decoded, loudness = visitor.page.evaluate(LOUDNESS, key)
            assert decoded == pytest.approx(seconds, abs=0.001) and loudness > 0.01
    first, second = visitors.values()
    second.page.goto(first.page.url)
    second.page.reload()
    second.trouble("this result is not here any more")
    assert second.page.locator("#result .player").count() == 0
    assert first.problems == second.problems == []


def test_a_recording_that_something_else_replaces(browser: Any, port: int, encode: Any) -> None:
    visitor = Visitor(browser, port, permissions=["microphone"])
    page = visitor.page
    visitor.click("Record")
    page.get_by_role("button", name="Stop and use it").wait_for()
    visitor.choose(encode(1.0), "chosen.wav")
    visitor.ready()
    page.wait_for_timeout(400)  # the clock of the recording ticks every 200 ms
    assert page.locator("#song .invitation").inner_text() == "chosen.wav"
    assert page.locator("#song").get_by_role("button", name="Record").is_visible()
    assert page.evaluate("app.song.recorder") is None
    assert visitor.problems == []


def test_what_the_server_has_forgotten_must_be_chosen_again(browser: Any, port: int, encode: Any) -> None:
    visitor = Visitor(browser, port)
    page = visitor.page
    visitor.choose(encode(1.0))
    visitor.ready()
    page.get_by_role("radio", name="Like a recording").check()
    visitor.choose(encode(1.0), "like.wav", "#style")
    visitor.ready("#style")
    page.evaluate("fetch('api/songs', { method: 'DELETE' }).then(() => null)")
    visitor.click("Make it")
    visitor.trouble("the song is not here any more; choose it again")
    assert page.locator(".picker.ready").count() == 0
    visitor.click("Make it")
    visitor.trouble("Choose a song first.")
    assert visitor.problems == []
