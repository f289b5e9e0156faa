"""Try the audio reader on damaged files: seeded mutations of every format that it reads.

Each case ends in sound of the right length, where that is known, or of a plausible one, or in an error of one line;
within 10 s and 1 GB, and without a word from the decoders. Exit code 1 where one does not.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from stylize_core.audio.reader import AudioReader, resampled_length
from stylize_core.errors import UserError
from tests.fuzz.runner import Outcome, run_fuzzer, tabulate

RATE = 16000
SECONDS = 1.2
MOST_SECONDS = 10
MOST_MEGABYTES = 1000
PLAUSIBLE = 120.0
"""No mutation of a sound so short may become longer than this, seconds."""

_READ_RATE = 22050
_LONGEST_FRAME = 0.07
"""Less than so much may be missing of a file that is read without its last bytes, seconds: a frame of MP3 or ADPCM."""
_FORMATS: dict[str, tuple[str, str, str, int, dict[str, object]]] = {  # suffix, format, subtype, channels, more
    "wav-16": (".wav", "WAV", "PCM_16", 2, {}),
    "wav-24": (".wav", "WAVEX", "PCM_24", 2, {}),
    "wav-float": (".wav", "WAV", "FLOAT", 1, {}),
    "wav-ulaw": (".wav", "WAV", "ULAW", 1, {}),
    "wav-adpcm": (".wav", "WAV", "MS_ADPCM", 1, {}),
    "rifx": (".wav", "WAV", "PCM_16", 1, {"endian": "BIG"}),
    "rf64": (".rf64", "RF64", "PCM_16", 1, {}),
    "w64": (".w64", "W64", "PCM_24", 2, {}),
    "aiff": (".aiff", "AIFF", "PCM_16", 2, {}),
    "aifc": (".aifc", "AIFF", "PCM_16", 1, {"endian": "LITTLE"}),
    "aifc-float": (".aifc", "AIFF", "FLOAT", 1, {}),
    "au": (".au", "AU", "PCM_16", 2, {}),
    "caf": (".caf", "CAF", "PCM_16", 2, {}),
    "caf-alac": (".caf", "CAF", "ALAC_16", 2, {}),
    "flac": (".flac", "FLAC", "PCM_16", 2, {}),
    "flac-24": (".flac", "FLAC", "PCM_24", 1, {}),
    "vorbis": (".ogg", "OGG", "VORBIS", 2, {}),
    "opus": (".opus", "OGG", "OPUS", 1, {}),
    "mp3-cbr": (".mp3", "MP3", "MPEG_LAYER_III", 2, {"bitrate_mode": "CONSTANT"}),
    "mp3-vbr": (".mp3", "MP3", "MPEG_LAYER_III", 2, {"bitrate_mode": "VARIABLE"}),
    "mp3-mono": (".mp3", "MP3", "MPEG_LAYER_III", 1, {}),
    "mp3-riff": (".wav", "MP3", "MPEG_LAYER_III", 2, {}),
}


@dataclass(frozen=True)
class Case:
    """A mutated file: what was done to what, its content, and its length in seconds where that is known."""

    base: str
    mutation: str
    suffix: str
    content: bytes
    seconds: float | None


def make_sound(channels: int, seconds: float = SECONDS) -> np.ndarray:
    """Tones with a little noise, the same each time. Shape: (samples, channels)."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = 0.05 * np.random.default_rng(0).standard_normal((len(time), channels))
    tones = [0.3 * np.sin(2 * np.pi * 220 * (1 + channel) * time) for channel in range(channels)]
    return np.asarray(np.stack(tones, axis=1) + noise)


@cache
def make_file(name: str, seconds: float = SECONDS) -> bytes:
    """A whole file in one of the formats."""
    _, container, subtype, channels, more = _FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:  # ALAC cannot be written into memory
        path = Path(folder) / "sound"
        with soundfile.SoundFile(path, "w", RATE, channels, subtype, format=container, **more) as file:  # type: ignore[arg-type]
            file.write(make_sound(channels, seconds))
        content = path.read_bytes()
    return in_riff(content) if name == "mp3-riff" else content


def in_riff(mp3: bytes) -> bytes:
    """MP3 frames in a wav container, as some editors write."""
    form = b"\x55\0\2\0" + RATE.to_bytes(4, "little") + (8000).to_bytes(4, "little") + b"\1\0\0\0\x0c\0"
    form += b"\1\0\2\0\0\0" + (288).to_bytes(2, "little") + b"\1\0\x71\5"
    body = b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"data" + len(mp3).to_bytes(4, "little") + mp3
    body += bytes(len(mp3) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def id3_tag(size: int, claimed: int | None = None, footer: bool = False) -> bytes:
    """An ID3v2 tag with `size` bytes of padding; `claimed` is the size it says it has."""
    value = size if claimed is None else claimed
    sizes = bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))
    version = b"\x04\0\x10" if footer else b"\x03\0\0"
    frame = b"TIT2\0\0\0\5\0\0\0Song" if size >= 15 else b""
    return b"ID3" + version + sizes + frame.ljust(size, b"\0") + (b"3DI" + version + sizes if footer else b"")


def ape_tag() -> bytes:
    """An APEv2 tag with one item, a header and a footer."""
    item = b"\4\0\0\0\0\0\0\0Title\0Song"
    head = b"APETAGEX" + (2000).to_bytes(4, "little") + (len(item) + 32).to_bytes(4, "little") + b"\1\0\0\0"
    header, footer = head + b"\0\0\0\xa0" + bytes(8), head + b"\0\0\0\x80" + bytes(8)
    return header + item + footer


def _flip(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a few bits, mostly of the header."""
    changed = bytearray(content)
    reach = min(len(content), int(rng.choice([64, 256, len(content)])))
    for place in rng.integers(0, reach, int(rng.integers(1, 9))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(rng: np.random.Generator, content: bytes) -> bytes:
    few = int(rng.integers(1, 64)) if rng.random() < 0.3 else int(rng.integers(1, len(content)))
    return content[: len(content) - few]


def _lie(rng: np.random.Generator, content: bytes) -> bytes:
    """Overwrite a number in the header with an extreme one."""
    changed = bytearray(content)
    size = int(rng.choice([1, 2, 3, 4, 8]))
    place = int(rng.integers(0, 80)) & (~1 if size > 1 else ~0)
    extremes = (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 2 ** (8 * size - 1) - 1, int(rng.integers(2**8)))
    value = extremes[int(rng.integers(len(extremes)))] % 2 ** (8 * size)
    changed[place : place + size] = value.to_bytes(size, "big" if rng.random() < 0.5 else "little")
    return bytes(changed[: len(content)])


def _zero_run(rng: np.random.Generator, content: bytes) -> bytes:
    """Zeros over a part of the file, or put in between."""
    start = int(rng.integers(len(content)))
    count = int(rng.choice([16, 512, 4096, 100_000]))
    kept = start if rng.random() < 0.5 else start + count
    return content[:start] + bytes(count) + content[kept:]


def _garbage(rng: np.random.Generator, content: bytes) -> bytes:
    """Noise over a part of the file, in front, or behind."""
    noise = rng.bytes(int(rng.choice([4, 100, 3000])))
    start = int(rng.choice([0, len(content), int(rng.integers(len(content)))]))
    kept = start + (len(noise) if 0 < start < len(content) else 0)
    return content[:start] + noise + content[kept:]


_BLIND: dict[str, Callable[[np.random.Generator, bytes], bytes]] = {
    "flip": _flip, "truncate": _truncate, "lying size": _lie, "zero run": _zero_run, "garbage": _garbage,
}  # fmt: skip


def _tags(rng: np.random.Generator) -> bytes:
    choices = [id3_tag(int(rng.integers(0, 3000))), id3_tag(200, footer=True), ape_tag(),
               id3_tag(10) + ape_tag()]  # fmt: skip
    return choices[int(rng.integers(len(choices)))]


def _behind(rng: np.random.Generator) -> bytes:
    choices = [b"TAG" + b"Song".ljust(125, b"\0"), ape_tag(), ape_tag() + b"TAG" + bytes(125)]
    return choices[int(rng.integers(len(choices)))]


def make_case(seed: int) -> Case:
    """The mutated file of a seed."""
    rng = np.random.default_rng((20, seed))
    names = list(_FORMATS)
    name = names[seed % len(names)]
    suffix, content = _FORMATS[name][0], make_file(name)
    mutation = [*_BLIND, "flip", "lying size", "tag", "tag of wrong size", "join", "join with tags"][
        int(rng.integers(len(_BLIND) + 6))
    ]
    seconds: float | None = SECONDS
    if mutation in _BLIND:
        content = _BLIND[mutation](rng, content)
        seconds = SECONDS if mutation == "truncate" else None
    elif mutation == "tag":
        content = (_tags(rng) + content) if rng.random() < 0.6 else content
        content = content + _behind(rng) if rng.random() < 0.6 else content
    elif mutation == "tag of wrong size":
        content = id3_tag(100, claimed=int(rng.choice([0, 50, 120, 5000, 2**27]))) + content
    else:
        other = name if rng.random() < 0.6 else names[int(rng.integers(len(names)))]
        between = _tags(rng) if mutation == "join with tags" else b""
        content = content + between + make_file(other, 0.7)
        seconds = SECONDS + 0.7
    return Case(name, mutation, suffix, content, seconds)


def try_case(seed: int, folder: Path) -> Outcome:
    """Read the file of a seed and judge what comes of it; any exception but a `UserError` of one line is a fault."""
    case = make_case(seed)
    path = folder / f"case{case.suffix}"
    path.write_bytes(case.content)
    begun = resource.getrusage(resource.RUSAGE_SELF)
    result, detail = _read(path, case)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    took = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
    peak = ended.ru_maxrss / 1024
    if took > MOST_SECONDS or peak > max(MOST_MEGABYTES, begun.ru_maxrss / 1024 + 100):
        result, detail = "FAULT", f"{took:.1f} s, {peak:.0f} MB; {result} {detail}"
    return Outcome(seed, case.base, case.mutation, result, detail, took, peak)


def _read(path: Path, case: Case) -> tuple[str, str]:
    samples = 0
    try:
        with AudioReader(path, _READ_RATE, mono=True) as reader:
            while (block := reader.read(65536)).size:
                samples += block.shape[1]
                if not np.isfinite(block).all():
                    return "FAULT", "samples that are not finite"
                if samples > PLAUSIBLE * _READ_RATE:
                    return "FAULT", f"more than {PLAUSIBLE:g} s of sound"
            info = reader.info
    except UserError as error:
        message = str(error)
        is_wrong = "\n" in message or "\r" in message or (case.seconds is not None and case.mutation == "tag")
        return "FAULT" if is_wrong else "refused", message
    except Exception as error:  # what comes out is what is looked for
        return "FAULT", f"{type(error).__name__}: {error}"
    seconds = samples / _READ_RATE
    announced = resampled_length(info.frames, info.sample_rate, _READ_RATE) / _READ_RATE
    if abs(announced - seconds) > 0.6:
        return "FAULT", f"{seconds:.2f} s decoded, {announced:.2f} s announced"
    least = -_LONGEST_FRAME if case.mutation == "truncate" else -0.01
    if case.seconds is not None and not least <= seconds - case.seconds <= 0.25:  # encoders add up to 0.2 s of padding
        return "FAULT", f"{seconds:.2f} s, expected {case.seconds:.2f} s"
    return "sound", f"{seconds:.2f} s"


def _work(first: int, last: int) -> None:
    """A worker: a line of JSON when each case begins and ends; the alarm ends the process."""
    logging.getLogger().addHandler(logging.NullHandler())  # notes are no words of a decoder
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        for seed in range(first, last):
            print(json.dumps({"begins": seed}), flush=True)
            signal.alarm(2 * MOST_SECONDS)
            outcome = try_case(seed, Path(folder))
            signal.alarm(0)
            if written := os.pread(words.fileno(), 300, 0):
                os.ftruncate(words.fileno(), 0)
                os.lseek(2, 0, os.SEEK_SET)
                outcome = Outcome(seed, outcome.base, outcome.mutation, "FAULT", f"on stderr: {written!r}")
            print(json.dumps(asdict(outcome)), flush=True)


def _describe(seed: int) -> tuple[str, str]:
    case = make_case(seed)
    return case.base, case.mutation


def _table(outcomes: Sequence[Outcome]) -> str:
    return "\n".join(tabulate(outcomes, "format", list(_FORMATS), "sound"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print what came of them."""
    return run_fuzzer("tests.fuzz.audio", __doc__, 1000, _work, _describe, _table, arguments)


if __name__ == "__main__":
    sys.exit(main())
