"""The server as browsers and others meet it: what it serves, and 200 things that it must refuse."""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path

import pytest

from studies.listening_load import Client, run_load, running_server
from stylize.cli import main
from stylize.listening.store import read_answers
from stylize.listening.trial import Trial

Reply = tuple[int, dict[str, str], bytes]


def ask(
    port: int, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """One request on a connection of its own; the path goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def post(port: int, path: str, values: object, token: str | None = None, kind: str = "application/json") -> Reply:
    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = values if isinstance(values, bytes | str) else json.dumps(values)
    return ask(port, "POST", path, body, headers)


@pytest.fixture(scope="module")
def token(port: int) -> str:
    return str(json.loads(post(port, "/api/listeners", {})[2])["token"])


def test_the_page_and_all_it_needs_is_served_with_a_strict_policy(port: int) -> None:
    seen = set()
    waiting = {"/"}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        status, headers, content = ask(port, "GET", path)
        assert status == 200, path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        text = content.decode()
        if not path.endswith(".svg"):
            assert not re.search(r"https?://|//cdn|innerHTML|eval\(", text), path
        assert " style=" not in text and "<script>" not in text and not re.search(r"\son\w+=", text)
        found = re.findall(r'(?:src|href)="([^"]+)"|from "\./([^"]+)"', text)
        waiting |= {"/" + (first or second) for first, second in found} - seen
    assert {"/", "/app.js", "/palette.css", "/style.css", "/player.js", "/outbox.js", "/icon.svg"} <= seen


def test_sounds_are_served_blind(port: int, client: Client, trial: Trial, trial_folder: Path) -> None:
    session = client.begin()
    addresses = {each["sound"] for screen in session["screens"] for each in (*screen["stimuli"], *screen["examples"])}
    assert len(addresses) == len(trial.stimuli)
    for address in addresses:
        status, headers, content = ask(port, "GET", f"/{address}")
        assert (status, headers["content-type"]) == (200, "audio/wav")
        assert content == (trial_folder / address).read_bytes()
        # A date would tell in what order the systems were rendered.
        assert "last-modified" not in headers and "etag" not in headers


def test_nothing_that_a_listener_gets_names_a_system_or_a_song(client: Client) -> None:
    text = json.dumps(client.begin()) + json.dumps(client.request("/api/trial"))
    for word in (
        "copy-content",
        "copy-style",
        '"other"',
        "/tmp",
        "folder",
        "first.wav",
        '"first"',
        '"second"',
        "anchor",
    ):
        assert word not in text


def test_listeners_have_their_own_order_and_answers(port: int) -> None:
    first, second = Client(port), Client(port)
    sessions = first.begin(), second.begin()
    assert sessions[0]["screens"] != sessions[1]["screens"]
    screen = sessions[0]["screens"][0]
    body = {"screen": screen["id"], "stimulus": screen["stimuli"][0]["id"], "value": 64, "sequence": 5}
    first.request("/api/answers", body)
    first.request("/api/place", {"place": 4})
    again = first.request("/api/session")
    assert again["answers"] == [body]
    assert (again["place"], again["sequence"]) == (4, 5)
    assert again["screens"] == sessions[0]["screens"]
    assert second.request("/api/session")["answers"] == []


PATHS = [
    "/manifest.json",
    "/answers.sqlite3",
    "/../manifest.json",
    "/audio/../manifest.json",
    "/audio/..%2fmanifest.json",
    "/audio/%2e%2e/manifest.json",
    "/audio/..%5cmanifest.json",
    "/audio/....//manifest.json",
    "/audio//etc/passwd",
    "/%2fetc%2fpasswd",
    "//etc/passwd",
    "/audio/",
    "/audio",
    "/audio/.wav",
    "/audio/%00.wav",
    "/audio/" + "a" * 32 + ".wav",
    "/audio/" + "a" * 5000 + ".wav",
    "/server.py",
    "/../server.py",
    "/pages/index.html",
    "/index.html%00.js",
    "/app.js/../../server.py",
    "/static/app.js",
    "/.git/config",
    "/api",
    "/api/",
    "/api/listeners/1",
    "/api/session/2",
    "/docs",
    "/%ff%fe",
    "/" + "x" * 20000,
    "/audio/CON.wav",
    "/proc/self/environ",
    "/%2fproc%2fself%2fcmdline",
    "/..%c0%af..%c0%afmanifest.json",
    "/.%2e/manifest.json",
    "/%252e%252e%252fmanifest.json",
    "/manifest.json%00.js",
    "/answers.sqlite3-wal",
    "/answers.sqlite3-shm",
    "/style.css/../../answers.sqlite3",
    "/audio/*.wav",
    "/audio/SOUND",
    "/audio/SOUND.wav/",
    "/audio/SOUND.wav%00",
    "/audio/SOUND.WAV",
    "/audio/SOUND.wav/../../manifest.json",
    "/audio/..%2faudio%2fSOUND.wav",
    "/openapi.json",
    "/api/trial/",
    "/api/answers/1",
    "/__pycache__/server.pyc",
    "/?x=" + "y" * 3000 + "#",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_other_path_gives_anything(port: int, path: str, trial: Trial) -> None:
    status, headers, content = ask(port, "GET", path.replace("SOUND", trial.level))
    assert "copy-content" not in content.decode("latin-1") and b"SQLite" not in content and b"root:" not in content
    if path.startswith("/?"):
        assert status == 200
    else:
        assert 400 <= status < 500 and len(content) < 500
        assert "content-security-policy" in headers


METHODS = ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]
METHOD_PATHS = ["/", "/api/answers", "/api/session", "/audio/x.wav"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", METHOD_PATHS)
def test_other_methods_are_refused(port: int, method: str, path: str) -> None:
    status, _, content = ask(port, method, path)
    assert status == 405 and json.loads(content)["error"]


GOOD: dict[str, object] = {"screen": "SCREEN", "stimulus": "STIMULUS", "value": 50, "sequence": 1}
BAD_VALUES: list[object] = [-1, 101, 10**30, 0.5, 50.0, "50", True, None, [], {}, "NaN", "'; --"]
BAD_IDS: list[object] = ["", "s" * 65, 7, None, ["SCREEN"], {"id": 1}, True]
BAD_ANSWERS: list[tuple[object, int]] = [
    *(({**GOOD, "value": value}, 400) for value in BAD_VALUES),
    *(({**GOOD, "sequence": value}, 400) for value in (-1, 2**53, "1", 1.5, False, None, [1])),
    *(({**GOOD, "screen": value}, 404) for value in ("0" * 16, "../..", "' OR 1=1 --", "<script>", "\u202e", "\0")),
    *(({**GOOD, "screen": value}, 400) for value in BAD_IDS),
    *(
        ({**GOOD, "stimulus": value}, 404)
        for value in ("0" * 32, "../x", "'; DROP TABLE answers; --", "choice", "EXAMPLE", "OTHER SONG", "SCREEN")
    ),
    *(({**GOOD, "stimulus": value}, 400) for value in BAD_IDS[:5]),
    ({**GOOD, "listener": 1}, 400),
    ({**GOOD, "slot": "choice"}, 400),
    ({**GOOD, "token": "A" * 32}, 400),
    ({**GOOD, "__proto__": {}}, 400),
    ({name.upper(): value for name, value in GOOD.items()}, 400),
    ({name: GOOD[name] for name in ("screen", "stimulus", "value")}, 400),
    ({}, 400),
    ([], 400),
    ([GOOD], 400),
    ("text", 400),
    (17, 400),
    (b"", 400),
    (b"null", 400),
    (b"{", 400),
    (b'{"screen": NaN}', 400),
    (b'{"value": Infinity}', 400),
    (b'{"value": 1e999}', 400),
    (b"[" * 2000, 400),
    (b'{"a":' * 400 + b"1" + b"}" * 400, 413),
    (b"\xff\xfe{}", 400),
    (b'{"value": ' + b"9" * 1900 + b"}", 400),
    (b"{" + b" " * 2047 + b"}", 413),
    (b"x" * 100000, 413),
]


@pytest.mark.parametrize(("values", "expected"), BAD_ANSWERS, ids=range(len(BAD_ANSWERS)))
def test_bad_answers_are_refused_and_not_kept(port: int, token: str, values: object, expected: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    session = json.loads(ask(port, "GET", "/api/session", headers=headers)[2])
    screen = session["screens"][0]
    names = {
        "SCREEN": screen["id"],
        "STIMULUS": screen["stimuli"][0]["id"],
        "OTHER SONG": next(
            sound["id"]
            for each in session["screens"]
            for sound in each["stimuli"]
            if sound["id"] not in {own["id"] for own in screen["stimuli"]}
        ),
        "EXAMPLE": session["level"].removeprefix("audio/").removesuffix(".wav"),
    }
    if isinstance(values, dict):
        values = {name: names.get(value, value) if isinstance(value, str) else value for name, value in values.items()}
    status, _, content = post(port, "/api/answers", values, token)
    assert status == expected
    assert 0 < len(json.loads(content)["error"]) < 200
    assert json.loads(ask(port, "GET", "/api/session", headers=headers)[2])["answers"] == []


BAD_PLACES = [-1, 10, 10**20, "1", 1.0, True, None, []]


@pytest.mark.parametrize("place", BAD_PLACES)
def test_bad_places_are_refused(port: int, token: str, place: object) -> None:
    assert post(port, "/api/place", {"place": place}, token)[0] == 400


HEADERS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer x",
    "Basic YTpi",
    "Bearer " + "A" * 32,
    "Bearer " + "A" * 5000,
    "Bearer ../../..",
    "1",
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/session"), ("POST", "/api/answers"), ("POST", "/api/place")]
)
def test_nobody_answers_without_a_token_of_a_listener(port: int, header: str, method: str, path: str) -> None:
    headers = {"Authorization": header, "Content-Type": "application/json"}
    status, _, content = ask(port, method, path, None if method == "GET" else "{}", headers)
    assert status == 401 and json.loads(content)["error"]


def test_other_sites_cannot_send_answers(port: int, token: str) -> None:
    # A form of another site can send these types without asking; JSON it cannot.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert post(port, "/api/listeners", {}, kind=kind)[0] == 415
    assert post(port, "/api/listeners", {"number": 1})[0] == 400
    status, headers, _ = ask(port, "GET", "/api/trial", headers={"Origin": "http://evil.example"})
    assert status == 200 and "access-control-allow-origin" not in headers


FOREIGN_HOSTS = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "[::2]:1", ""]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_other_names_for_this_machine_are_refused(port: int, host: str) -> None:
    assert ask(port, "GET", "/", headers={"Host": host})[0] in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "localhost:99", "LOCALHOST", "127.0.0.1", "[::1]:8000"])
def test_its_own_names_are_served(port: int, host: str) -> None:
    assert ask(port, "GET", "/", headers={"Host": host})[0] == 200


POST = b"POST /api/listeners HTTP/1.1\r\nHost: localhost\r\n"
RAW = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 200000 + b"\r\n\r\n",
    POST + b"Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{",
    POST + b"Content-Type: application/json\r\nContent-Length: -5\r\n\r\n{}",
    POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    POST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"800\r\n"
    + b"x" * 2048
    + b"\r\n800\r\n"
    + b"x" * 2048
    + b"\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET file:///etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n",
    POST + b"Content-Type: application/json\r\nContent-Length: 0x10\r\n\r\n{}",
    POST + b"Content-Type: application/json\r\nContent-Length: " + b"9" * 4000 + b"\r\n\r\n{}",
    POST + b"Content-Type: application/json\r\nTransfer-Encoding: gzip\r\n\r\n",
]


@pytest.mark.parametrize("sent", RAW, ids=range(len(RAW)))
def test_broken_requests_end_in_a_refusal(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        reply = connection.recv(65536)
    assert re.match(rb"HTTP/1\.1 4\d\d ", reply), reply[:100]
    assert ask(port, "GET", "/api/trial")[0] == 200


def test_there_are_two_hundred_of_them() -> None:
    bodies, others = len(BAD_ANSWERS) + len(BAD_PLACES), len(METHODS) * len(METHOD_PATHS) + len(HEADERS) * 3
    assert len(PATHS) - 1 + bodies + others + len(FOREIGN_HOSTS) + len(RAW) >= 200  # one of the paths is in order


def test_a_listener_cannot_answer_for_another_one(trial_folder: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.sqlite3"
    with running_server(trial_folder, answers) as (_, port):
        first, second = Client(port), Client(port)
        session, _ = first.begin(), second.begin()
        screen = session["screens"][0]
        body = {"screen": screen["id"], "stimulus": screen["stimuli"][0]["id"], "value": 1, "sequence": 1}
        second.request("/api/answers", body)
    assert [each.listener for each in read_answers(answers)] == [2]


def test_a_pair_has_one_answer(pair_folder: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.sqlite3"
    with running_server(pair_folder, answers) as (_, port):
        client = Client(port)
        screen = client.begin()["screens"][0]
        first, second = (each["id"] for each in screen["stimuli"])
        for sequence, stimulus in ((1, first), (2, second)):
            body = {"screen": screen["id"], "stimulus": stimulus, "value": 1, "sequence": sequence}
            client.request("/api/answers", body)
        with pytest.raises(http.client.HTTPException, match="400"):
            client.request("/api/answers", {**body, "value": 2})
        assert [each["stimulus"] for each in client.request("/api/session")["answers"]] == [second]
    assert len(read_answers(answers)) == 1


def test_a_crowd_loses_nothing(trial_folder: Path) -> None:
    result = run_load(trial_folder, listeners=8, seconds=1.0, pause=0.05)
    assert result.answers >= result.listeners == 8 and result.lost == 0 and result.failed == 0
    assert not (trial_folder / "answers.sqlite3").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere is no trial"),
        (("TRIAL", "--port", "PORT"), "try another --port"),
        (("TRIAL", "--host", "203.0.113.9"), "cannot listen at 203.0.113.9"),
        (("TRIAL", "--answers", "/nowhere/answers"), "choose another file with --answers"),
        (("run", "nowhere"), "nowhere is no trial"),
        (("run", "TRIAL", "--port", "PORT"), "try another --port"),
        (("--port", "PORT", "TRIAL"), "try another --port"),
        (("TRIAL", "-o", "x"), "No such option: -o"),
        (("results", "TRIAL"), "no answers yet"),
        (("results", "TRIAL", "--unit", "song"), "got --unit song"),
        (("TRIAL", "--results", "--unit", "song"), "got --unit song"),
        (("webmushra", "nowhere", "-o", "x"), "nowhere is no trial"),
    ],
)
def test_a_server_that_cannot_start_says_so_in_one_line(
    port: int, trial_folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    named = {"TRIAL": str(trial_folder), "PORT": str(port)}
    assert main(["listen", *(named.get(part, part) for part in arguments)]) == 2
    printed = capsys.readouterr().err
    assert message in printed and printed.startswith("error: ") and printed.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_group_lists_its_commands(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for command in ("build", "run", "results", "webmushra"):
        assert f" {command} " in printed.out
