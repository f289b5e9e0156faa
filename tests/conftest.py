"""Fixtures that several rooms share."""

from __future__ import annotations

import importlib.util
import json
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
import soundfile
import torch

from stylize_core.mel import MelConfig

ROOT = Path(__file__).parent.parent
RATE = 22050
CHORDS = ((220.0, 277.2, 329.6), (196.0, 246.9, 293.7), (261.6, 329.6, 392.0), (233.1, 293.7, 349.2))

RunModule = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure(config: pytest.Config) -> None:
    """Signals as in a terminal, and librosa's functions compiled once, before several workers do it at the same time.

    A shell that starts the tests in the background has SIGINT ignored, and nohup SIGHUP. librosa's functions write
    numba's cache without a lock; on a fresh environment a worker that read what another had half written ended with a
    segmentation fault. What is compiled for this installation and processor is not compiled again.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    several = getattr(config.option, "numprocesses", None)
    if not several or hasattr(config, "workerinput"):
        return
    place = Path(str(importlib.util.find_spec("librosa").origin))  # type: ignore[union-attr]
    features = llvmlite.binding.get_host_cpu_features().flatten()
    compiled = [str(place), place.stat().st_mtime_ns, version("numba"), features]
    if config.cache is None or config.cache.get("librosa/compiled", None) != compiled:
        code = "import numpy as np; from stylize.evaluate.metrics.content import analyze; "
        code += "analyze(np.random.default_rng(0).normal(0, 0.1, 3 * 22050).astype('float32'))"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        if config.cache is not None:
            config.cache.set("librosa/compiled", compiled)


@dataclass(frozen=True)
class TinyModels:
    """Folders of a translator and a vocoder with random weights that fit together."""

    translator: Path
    vocoder: Path
    styles: tuple[str, ...]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """Real networks, as small as they get; their random weights change a song audibly and do not saturate."""
    from melgan import GeneratorConfig as VocoderConfig
    from melgan import Vocoder
    from travelgan import GeneratorConfig, SiameseConfig, Translator, TranslatorConfig

    torch.manual_seed(0)
    mel_config = MelConfig(n_mels=12)
    styles = ("blues", "jazz", "metal")
    translator_config = TranslatorConfig(
        styles=styles,
        segment_frames=16,
        generator=GeneratorConfig(widths=(6, 8, 10), dilations=(1, 3)),
        siamese=SiameseConfig(widths=(6, 8, 8), content_size=5, style_size=4, style_hidden=8),
    )
    translator = Translator(translator_config, mel_config)
    vocoder = Vocoder(VocoderConfig(n_mels=12, width=32, scale_input=True), mel_config)
    with torch.no_grad():
        translator.generator.exit.convolution.weight.mul_(5)
        for parameter in vocoder.parameters():
            is_kernel = parameter.ndim == 3
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if is_kernel else 0.0)
        loudest = vocoder(torch.empty(1, 12, 64).uniform_(-4.0, 0.0)).abs().max()
        vocoder.generator.head.last.conv.weight.mul_(0.5 / torch.atanh(loudest))
    folder = tmp_path_factory.mktemp("models")
    translator.save_pretrained(folder / "translator")
    vocoder.save_pretrained(folder / "vocoder", training={"steps": 0})
    return TinyModels(folder / "translator", folder / "vocoder", styles)


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Run `python -m MODULE ARGUMENTS`, but within this process, where PyTorch is imported already."""

    def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [module, *map(str, arguments)]
        monkeypatch.setattr("sys.argv", command)
        capsys.readouterr()
        with warnings.catch_warnings():  # that the module is imported already is as it should be here
            warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
            with pytest.raises(SystemExit) as ended:
                runpy.run_module(module, run_name="__main__")
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered corpus in small: chords of pure (jazz) and rich (metal) tones, five songs of 1.5 s in each."""
    root = tmp_path_factory.mktemp("tones")
    time = np.arange(int(1.5 * RATE)) / RATE
    generator = np.random.default_rng(0)
    lines = []
    for genre, partials in (("jazz", 1), ("metal", 6)):
        (root / genre).mkdir()
        for song in range(5):
            wav = 0.003 * generator.standard_normal(len(time))
            for frequency in CHORDS[song % len(CHORDS)]:
                for partial in range(1, partials + 1):
                    wav += 0.1 / partial * np.sin(2 * np.pi * frequency * partial * time)
            wav *= 1 + 0.3 * np.sin(2 * np.pi * (2 + song) * time)
            file = f"{genre}/{genre}.{song:05d}.wav"
            soundfile.write(root / file, wav / 2, RATE, subtype="PCM_16")
            split = "train" if song < 3 else "valid"
            lines.append(json.dumps({"file": file, "genre": genre, "song": f"{song:05d}", "split": split}))
    (root / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return root


def _tiny_loop() -> dict[str, Any]:
    return {"steps": 2, "batch_size": 4, "workers": 0, "wandb": "off", "log_every": 1, "ema_decay": 0.5}


def _tiny_mel() -> dict[str, Any]:
    return {"n_fft": 512, "win_length": 512, "hop_length": 128, "n_mels": 8}


@pytest.fixture
def vocoder_values(tone_corpus: Path) -> dict[str, Any]:
    """Plain values of a vocoder run that trains in a blink."""
    return {
        "loop": _tiny_loop(),
        "data": {
            "folders": [str(tone_corpus)],
            "segment_frames": 16,
            "validation_clips": 2,
            "validation_frames": 172,
        },
        "generator": {
            "n_mels": 8,
            "hop_length": 128,
            "width": 8,
            "ratios": [4],
            "frame_layers": 1,
            "residual_layers": 2,
            "head": {"kind": "istft"},
            "scale_input": True,
        },
        "adversary": {"discriminator": {"scales": 2, "width": 4, "layers": 2}, "first_step": 1},
        "mel": _tiny_mel(),
        "stft_sizes": [128, 512],
    }


@pytest.fixture
def translator_values(tone_corpus: Path) -> dict[str, Any]:
    """Plain values of a translator run that trains in a blink."""
    return {
        "loop": _tiny_loop(),
        "data": {
            "folder": str(tone_corpus),
            "styles": ["jazz", "metal"],
            "cache": str(tone_corpus.parent / "tone-mels"),
            "segment_frames": 16,
            "paired": True,
            "validation_frames": 172,
        },
        "generator": {"widths": [6, 8], "dilations": [1]},
        "siamese": {"widths": [6, 8], "content_size": 5, "style_size": 4, "style_hidden": 8},
        "mel": _tiny_mel(),
        "method": {
            "kind": "joint",
            "weights": {"paired": 10.0},
            "adversary": {"discriminator": {"scales": [1, 2], "widths": [6, 8]}, "feature_matching": 2.0},
        },
    }


@pytest.fixture
def start_training(tmp_path: Path, fresh_accelerate: None) -> Callable[..., Any]:
    """A trainer and its experiment from an experiment's class and plain values."""
    from stylize_core.config import build, to_plain
    from training.loop import Trainer, make_accelerator

    def start(kind: Any, values: dict[str, Any], run: str = "run") -> tuple[Trainer, Any]:
        config = build(kind.config_class, values, "test")
        experiment = kind(config)
        accelerator = make_accelerator(config.loop, "cpu")
        return Trainer(experiment, config.loop, tmp_path / run, accelerator, to_plain(config)), experiment

    return start


@pytest.fixture
def quick_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations without what takes long and has tests of its own: harmony and rhythm are 0.5, pictures are empty."""
    for place in ("melgan.experiment", "stylize_core.metrics.waveform"):
        monkeypatch.setattr(f"{place}.chroma_cosine", lambda *arguments: 0.5)
    monkeypatch.setattr("travelgan.validation.Sounds.chroma", lambda *arguments: 0.5)
    monkeypatch.setattr("travelgan.validation.SAMPLE_ITERATIONS", 1)
    monkeypatch.setattr("stylize_core.metrics.waveform.onset_correlation", lambda *arguments: 0.5)
    monkeypatch.setattr("training.tracking.plot_mels", lambda mels, path: path.touch())


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps one state for the whole process; a test starts without one and leaves none."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
