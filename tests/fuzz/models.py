"""Try the loaders on damaged model folders: seeded mutations of `config.json` and of the weights.

Each case ends in a network that runs, or in an error of one line; within 10 s and 1 GB. Exit code 1 where one does not.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from melgan.config import GeneratorConfig as VocoderConfig
from melgan.config import InverseSTFTHeadConfig, OscillatorHeadConfig, SubbandHeadConfig
from melgan.vocoder import Vocoder
from stylize.models import read_styles
from stylize.optimize.autoencoder import Autoencoder, AutoencoderConfig
from stylize.optimize.networks import RandomNetwork, RandomNetworkConfig
from stylize.report import describe_model
from stylize_core.classifier import GenreClassifier
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig
from stylize_core.model_folder import CONFIG_NAME, WEIGHTS_NAME, read_model_config, read_training_record
from tests.fuzz.runner import Outcome, run_fuzzer, tabulate
from travelgan.config import GeneratorConfig, SiameseConfig, TranslatorConfig
from travelgan.translator import Translator

MOST_SECONDS, MOST_MEGABYTES, MOST_MESSAGE = 10, 1000, 1000
_FRAMES = 24
_RAW = "@RAW@"
_MEL = MelConfig(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=8, f_max=4000.0)
_BUNDLED = Path(__file__).parents[2] / "stylize" / "models"


def _translator(normalization: str) -> Callable[[Path], None]:
    generator = GeneratorConfig(widths=(6, 8), dilations=(1, 2), normalization=normalization)
    siamese = SiameseConfig(widths=(6, 8), content_size=5, style_size=4, style_hidden=8)
    config = TranslatorConfig(("jazz", "metal"), 32, generator, siamese)
    training = {"step": 3, "config": {"loop": {"steps": 3}}}
    return lambda folder: Translator(config, _MEL).save_pretrained(folder, training)


def _vocoder(**values: Any) -> Callable[[Path], None]:
    config = VocoderConfig(**{"n_mels": 8, "hop_length": 64, "width": 16, "residual_layers": 1} | values)
    return lambda folder: Vocoder(config, _MEL).save_pretrained(folder, {"step": 3})


_TINY: dict[str, Callable[[Path], None]] = {
    "translator": _translator("frame"),
    "translator-norm": _translator("weight"),
    "vocoder": _vocoder(ratios=(8, 8), frame_layers=1),
    "vocoder-istft": _vocoder(ratios=(4,), head=InverseSTFTHeadConfig(n_fft=64, hop_length=16)),
    "vocoder-bands": _vocoder(ratios=(4, 4), head=SubbandHeadConfig(), refine_iterations=2, low_bands=((2, 2),)),
    "vocoder-lines": _vocoder(ratios=(), residual_layers=0, head=OscillatorHeadConfig(n_fft=256, drift=0.2)),
    "classifier": lambda folder: GenreClassifier(("jazz", "metal"), _MEL, 8, 8).save(folder),
    "autoencoder": lambda folder: Autoencoder(AutoencoderConfig((8, 4), (3, 3), (1, 2)), _MEL).save_pretrained(
        folder, {}
    ),
    "random-network": RandomNetwork(RandomNetworkConfig(in_channels=8, layers=2, width=8, kernel=3)).save_pretrained,
}
BASES = (*_TINY, *(f"bundled {kind}" for kind in ("translator", "vocoder", "classifier", "autoencoder")))

_VALUES: tuple[Any, ...] = (
    -1, 0, 1, 2, 3, 7, 64, 1000, 65536, 10**9, 2**31, 2**63, 10**19, 0.5, -0.0, 1e-320, 1e300, True, False, None, "",
    "8", "x" * 100_000, "\ud800", "\x1b[2J\n", [], [[]], {}, {"a": 1}, [1] * 1000, [10**9], [10**9] * 40, [True, "x"],
    [1.5, 2], float("nan"), float("inf"), float("-inf"), ["jazz"], ["jazz", "jazz"],
)  # fmt: skip
_STRINGS = ("frame", "weight", "spectral", "none", "group", "waveform", "istft", "subbands", "oscillators", "jazz")
_LITERALS = ("1" * 6000, "-1e999", "1e-999", "[" * 50_000, "[" * 200 + "]" * 200, '{"a":' * 150 + "1" + "}" * 150,
             "nul", "'x'", "01", "[1,]", "// x", '"\\u12"', '"\\udc80\\ud800"', '{"a": 1, "a": 2}')  # fmt: skip


def _paths(values: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    found = [(*prefix, name) for name, _ in items]
    return found + [path for name, child in items for path in _paths(child, (*prefix, name))]


def _near(rng: np.random.Generator, value: Any, strings: Sequence[str]) -> Any:
    """A value that may still do."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return (value + 1, value - 1, 2 * value, value // 2, 3 * value, value * 2**10)[int(rng.integers(6))]
    if isinstance(value, list) and value:
        return [value * 2, value[:-1], value[1:], [value[0]] * 20][int(rng.integers(4))]
    return strings[int(rng.integers(len(strings)))]


def _mutate_config(rng: np.random.Generator, text: str) -> tuple[str, bytes | int]:
    """Another `config.json`, and what was done."""
    document = json.loads(text)
    paths = [path for path in _paths(document) if path[0] != "training" or rng.random() < 0.02] or [("kind",)]
    literal = None
    done = ""
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        path = paths[int(rng.integers(len(paths)))]
        try:
            owner = document
            for name in path[:-1]:
                owner = owner[name]
            kind = ("value", *["near"] * 4, "value", "literal", "remove", "rename", "scale")[int(rng.integers(10))]
            done += f"{kind} {'.'.join(map(str, path))}; "
            if kind == "value":
                owner[path[-1]] = _VALUES[int(rng.integers(len(_VALUES)))]
            elif kind == "near":
                owner[path[-1]] = _near(rng, owner[path[-1]], _STRINGS)
            elif kind == "literal":
                owner[path[-1]], literal = _RAW, _LITERALS[int(rng.integers(len(_LITERALS)))]
            elif kind == "remove":
                del owner[path[-1]]
            elif kind == "rename":
                owner[f"{path[-1]}x"] = owner.pop(path[-1])
            else:
                owner[path[-1]] = owner[path[-1]] * int(rng.choice([2, 100, 10_000]))
        except (TypeError, LookupError, AttributeError):  # a mutation before took the place away
            continue
    changed = json.dumps(document)
    return done, (changed if literal is None else changed.replace(f'"{_RAW}"', literal)).encode("ascii")


def _mutate_text(rng: np.random.Generator, text: str) -> tuple[str, bytes | int]:
    """Another `config.json`, or a length to which the file is stretched without taking disk space."""
    content = bytearray(text.encode())
    place = int(rng.integers(len(content)))
    flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
    kinds: dict[str, Callable[[], bytes | int]] = {
        "truncated": lambda: bytes(content[:place]),
        "flipped": lambda: bytes(content[:place] + flipped + content[place + 1 :]),
        "noise": lambda: bytes(content[:place] + rng.bytes(20) + content[place:]),
        "utf-16": lambda: text.encode("utf-16"),
        "mark": lambda: b"\xef\xbb\xbf" + content,
        "doubled": lambda: bytes(content * 2),
        "nothing": lambda: b"",
        "stretched": lambda: 1 << int(rng.integers(24, 42)),
        "lists": lambda: b"[" + b"[]," * 2_500_000 + b"[]]",
        "other": lambda: [b"[]", b"3", b"null", b'"x"', b"{}"][place % 5],
    }  # fmt: skip
    name = list(kinds)[int(rng.integers(len(kinds)))]
    return f"text {name}", kinds[name]()


def _mutate_weights(rng: np.random.Generator, content: bytes) -> tuple[str, bytes | int]:
    """Other weights, or a length to which the file is stretched without taking disk space."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]

    def flip(part: bytes, count: int) -> bytes:
        changed = np.frombuffer(part, np.uint8).copy()
        for place in rng.integers(len(part), size=count):
            changed[place] ^= 1 << int(rng.integers(8))
        return changed.tobytes()

    def with_header(text: bytes) -> bytes:
        return len(text).to_bytes(8, "little") + text + data

    def replaced(old: bytes, *new: bytes) -> bytes:
        return with_header(header.replace(old, new[int(rng.integers(len(new)))], int(rng.integers(1, 4))))

    def digit() -> bytes:
        places = [index for index, byte in enumerate(header) if chr(byte).isdigit()]
        place = places[int(rng.integers(len(places)))]
        return with_header(header[:place] + b"%d" % int(rng.choice([0, 9, 10**9, 2**63])) + header[place + 1 :])

    wrong_length = int(rng.choice([0, 1, length - 1, length + 8, 2**24, 2**62])).to_bytes(8, "little")
    value = (b"\xff\x7b", b"\x00\x7e", b"\x00\x7c", b"\x00\x00")[int(rng.integers(4))]  # 65504, NaN, infinity, 0
    kinds: dict[str, Callable[[], bytes | int]] = {
        "bit in header": lambda: content[:8] + flip(header, 1) + data,
        "bit in data": lambda: content[: 8 + length] + flip(data, 1),
        "bits in data": lambda: content[: 8 + length] + flip(data, 100),
        "truncated": lambda: content[: int(rng.integers(len(content)))],
        "longer": lambda: content + bytes(int(rng.integers(1, 5000))),
        "stretched": lambda: 1 << int(rng.integers(32, 42)),
        "length": lambda: wrong_length + content[8:],
        "type": lambda: replaced(b'"F16"', b'"BF16"', b'"I16"', b'"F32"', b'"F8_E5M2"', b'"BOOL"', b'"F4"'),
        "digit": digit,
        "name": lambda: replaced(b"weight", b"waight", b"weight\\n", b"weight\\ud800", b"bias"),
        "spaces": lambda: with_header(header + b" " * (8 << 20)),
        "filled": lambda: content[: 8 + length] + value * (len(data) // 2),
        "pickle": lambda: b"\x80\x02}q\x00.",
        "nothing": lambda: b"",
    }  # fmt: skip
    name = list(kinds)[int(rng.integers(len(kinds)))]
    return f"weights {name}", kinds[name]()


@cache
def _made(base: str) -> Path:
    """The whole folder that cases of a base begin with."""
    if base.startswith("bundled"):
        return _BUNDLED / base.split()[1]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-")) / base
    torch.manual_seed(0)
    _TINY[base](folder)
    return folder


def mutate(seed: int, base: str, folder: Path) -> str:
    """Write the folder of a case; what was done to it."""
    rng = np.random.default_rng((21, seed))
    whole = _made(base)
    shutil.copytree(whole, folder)
    text = (whole / CONFIG_NAME).read_text()
    kind = int(rng.integers(10))
    name = CONFIG_NAME
    if kind < 5 or (base.startswith("bundled") and kind < 8):
        done, content = _mutate_config(rng, text)
    elif kind == 5 or base.startswith("bundled"):
        done, content = _mutate_text(rng, text)
    else:
        name = WEIGHTS_NAME
        done, content = _mutate_weights(rng, (whole / name).read_bytes())
    if isinstance(content, int):
        os.truncate(folder / name, content)
    else:
        (folder / name).write_bytes(content)
    return done


_LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "translator": Translator.from_pretrained,
    "vocoder": Vocoder.from_pretrained,
    "classifier": GenreClassifier.from_pretrained,
    "autoencoder": Autoencoder.from_pretrained,
    "random-network": RandomNetwork.from_pretrained,
}


@torch.inference_mode()
def _run(network: nn.Module) -> Tensor:
    if isinstance(network, RandomNetwork):
        channels = network.config.in_channels
        x = torch.randn(1, channels, *[_FRAMES * 8] * network.config.dimensions)
        return network(x, network.layer_names)[network.layer_names[-1]]
    mel_config: Any = network.mel_config
    mel = torch.rand(1, mel_config.n_mels, _FRAMES) * 6 - 5
    if isinstance(network, Translator):
        style = network.style_vector({network.styles[0]: 1.0})
        return network(mel, style[None])
    return network(mel)


def _use(folder: Path, kind: str) -> str:
    """Everything that is done with a model folder; whether what came out is finite."""
    describe_model(folder).encode("utf-8")
    json.dumps(read_training_record(folder)).encode("utf-8")
    config = read_model_config(folder, kind)
    if kind == "translator":
        read_styles(config, folder)
    network = _LOADERS[kind](folder)
    if isinstance(context := getattr(network, "context_frames", 0), int) and context > 1_000_000:
        raise RuntimeError(f"a context of {context} frames")
    return "finite" if bool(torch.isfinite(_run(network)).all()) else "not finite"


def try_case(seed: int, base: str, folder: Path) -> Outcome:
    """Use the folder of a case and judge what comes of it; all but success and an error of one line is a fault."""
    mutation = mutate(seed, base, folder / "model")
    begun = resource.getrusage(resource.RUSAGE_SELF)
    kind = base.removeprefix("bundled ").split("-")[0] if base != "random-network" else base
    try:
        result, detail = "runs", _use(folder / "model", kind)
    except UserError as error:
        result, detail = "refused", str(error).replace(str(folder), "")
        try:
            detail.encode("utf-8")
        except UnicodeEncodeError:
            result = "FAULT"
        if not detail.isprintable() or len(detail) > MOST_MESSAGE:
            result, detail = "FAULT", repr(detail[:MOST_MESSAGE])
    except Exception as error:  # what comes out is what is looked for
        result, detail = "FAULT", f"{type(error).__name__}: {str(error)[:300]!r}"
    finally:
        shutil.rmtree(folder / "model")
    ended = resource.getrusage(resource.RUSAGE_SELF)
    took = ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime
    peak = ended.ru_maxrss / 1024
    if took > MOST_SECONDS or peak > max(MOST_MEGABYTES, begun.ru_maxrss / 1024 + 100):
        result, detail = "FAULT", f"{took:.1f} s, {peak:.0f} MB; {result} {detail}"
    return Outcome(seed, base, mutation, result, detail, took, peak)


def base_of(seed: int) -> str:
    """The folder that a case begins with."""
    return BASES[seed % len(BASES)]


def _work(first: int, last: int) -> None:
    """A worker: a line of JSON when each case begins and ends; the alarm ends the process."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, last):
            print(json.dumps({"begins": seed}), flush=True)
            signal.alarm(3 * MOST_SECONDS)
            outcome = try_case(seed, base_of(seed), Path(folder))
            signal.alarm(0)
            print(json.dumps(asdict(outcome)), flush=True)
            if outcome.peak > MOST_MEGABYTES:
                return  # the peak is of the process, and would be counted against all that follow


def _describe(seed: int) -> tuple[str, str]:
    return base_of(seed), "?"


def _table(outcomes: Sequence[Outcome]) -> str:
    endless = sum(outcome.detail == "not finite" for outcome in outcomes)
    counted = f"{len(outcomes)} cases, {endless} run and give values that are not finite"
    return "\n".join([*tabulate(outcomes, "folder", BASES, "runs"), counted])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print what came of them."""
    return run_fuzzer("tests.fuzz.models", __doc__, 300, _work, _describe, _table, arguments)


if __name__ == "__main__":
    sys.exit(main())
