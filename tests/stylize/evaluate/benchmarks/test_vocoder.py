"""Vocoders against Griffin-Lim: which excerpts are compared, better methods get better figures, verdicts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from melgan import GeneratorConfig, Vocoder
from melgan.config import SubbandHeadConfig
from stylize import Stylizer
from stylize.evaluate.benchmarks.settings import VocoderSettings
from stylize.evaluate.benchmarks.vocoder import (
    count_multiply_adds,
    count_parameters,
    decide,
    distances_to_styles,
    other_style,
    read_training,
    run_evaluation,
)
from stylize.evaluate.benchmarks.vocoder_report import format_report
from stylize.evaluate.excerpts import pick_excerpts
from stylize.evaluate.metrics import vocoder
from stylize.evaluate.metrics.similarity import StyleClassifier
from stylize.evaluate.metrics.vocoder import (
    BLOCK_FRAMES,
    Method,
    compare_blocks,
    copy_synthesis,
    find_methods,
    make_click,
    measure_methods,
    probe,
    stack_excerpts,
    summarize_kernel_distance,
    synthesize_in_blocks,
)
from stylize.evaluate.speed import PAPER, paper_generator
from stylize_core.errors import UserError
from stylize_core.mel import MEL_PRESETS, GriffinLim, LogMel, MelConfig

if TYPE_CHECKING:
    from tests.conftest import TinyModels

RATE = 22050
RIVAL = "Griffin-Lim"


class QuickGriffinLim(GriffinLim):
    """Griffin-Lim with a coarse estimate of the magnitudes, which take most of the time."""

    def magnitudes(self, log_mel: Tensor, updates: int = 3) -> Tensor:
        return super().magnitudes(log_mel, updates)


def write_files(folder: Path, seconds: dict[str, float], level: float = 0.1) -> list[Path]:
    """Recordings in which every sample says where it is: a slow rise from nothing to `level`."""
    for name, length in seconds.items():
        samples = round(length * RATE)
        soundfile.write(folder / name, np.linspace(0, level, samples), RATE, subtype="FLOAT")
    return sorted(folder.iterdir())


def make_chords(count: int, seconds: float) -> Tensor:
    """Chords that beat, one after the other higher, (count, samples) of whole frames."""
    time = np.arange(round(seconds * RATE) // 256 * 256) / RATE
    beat = 0.06 * (1 + 0.5 * np.sin(8 * np.pi * time))
    wavs = [
        sum(np.sin(2 * np.pi * pitch * 2 ** (number / 6) * time) for pitch in (261.6, 329.6, 392.0)) * beat
        for number in range(count)
    ]
    return torch.from_numpy(np.stack(wavs).astype(np.float32))


@pytest.fixture(scope="module")
def classifier() -> StyleClassifier:
    return StyleClassifier.from_pretrained()


def test_excerpts_are_the_middles_of_evenly_spread_files(tmp_path: Path) -> None:
    files = write_files(tmp_path, {f"{number}.wav": 1.0 + number for number in range(4)})
    excerpts = pick_excerpts(files, 2, 0.5, RATE)
    assert [len(excerpt.wav) for excerpt in excerpts] == [11025, 11025]
    assert [excerpt.path.name for excerpt in excerpts] == ["0.wav", "2.wav"]
    for excerpt, seconds in zip(excerpts, (1.0, 3.0), strict=True):
        assert excerpt.wav.mean() == pytest.approx(0.05, abs=1e-4)
        assert excerpt.wav[-1] - excerpt.wav[0] == pytest.approx(0.1 * 0.5 / seconds, rel=1e-2)
    assert len(pick_excerpts(files, 9, 0.5, RATE)) == 4


def test_short_quiet_and_unreadable_files_give_way_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_files(tmp_path, {"a.wav": 0.2, "b.wav": 2.0, "d.wav": 4.0})
    (tmp_path / "c-broken.wav").write_text("no music")
    write_files(tmp_path, {"c.wav": 2.0}, level=0.01)
    excerpts = pick_excerpts(sorted(tmp_path.iterdir()), 5, 0.5, RATE)
    assert [excerpt.path.name for excerpt in excerpts] == ["b.wav", "d.wav"]
    assert "skipped: " in caplog.text and "c-broken.wav" in caplog.text


def test_methods_are_ranked(classifier: StyleClassifier) -> None:
    originals = make_chords(4, 1.2)
    samples = originals.shape[1]

    def noise(mel: Tensor) -> Tensor:
        return 0.1 * torch.randn(len(mel), 1, samples, generator=torch.Generator().manual_seed(0))

    config = MEL_PRESETS["melgan"]
    hum = 0.02 * torch.sin(2 * torch.pi * 30 * RATE / 256 * torch.arange(samples) / RATE)
    methods = [
        Method("noise", config, noise, RIVAL),
        Method("perfect", config, lambda mel: originals[: len(mel)], RIVAL),
        Method("hum", config, lambda mel: originals[: len(mel)] + hum, RIVAL, line_rate=RATE / 8),
        Method(RIVAL, config, QuickGriffinLim(config, 4), RIVAL),
    ]
    measured = measure_methods(copy_synthesis(methods, originals), methods, classifier)
    rows = measured["rows"]
    assert list(rows) == ["noise", "perfect", "hum", RIVAL, "original"]
    for measure, best in (("mr_stft", 0.0), ("mel_l1", 0.0), ("chroma", 1.0), ("kad", 0.0)):
        assert rows["perfect"][measure]["mean"] == pytest.approx(rows["original"][measure]["mean"], abs=1e-5)
        assert rows["original"][measure]["mean"] == pytest.approx(best, abs=1e-5)
        steps = [abs(rows[name][measure]["mean"] - best) for name in ("perfect", RIVAL, "noise")]
        assert steps == sorted(steps) and steps[1] < 0.8 * steps[2]
        assert rows[RIVAL][measure]["low"] <= rows[RIVAL][measure]["mean"] <= rows[RIVAL][measure]["high"]
    difference = rows["perfect"]["mr_stft"]["minus_griffin_lim"]
    assert difference["mean"] == pytest.approx(-rows[RIVAL]["mr_stft"]["mean"]) and difference["high"] < 0
    assert rows["perfect"]["kad"]["part_of_griffin_lim"]["mean"] == pytest.approx(0.0, abs=1e-6)
    assert rows["noise"]["kad"]["part_of_griffin_lim"]["low"] > 1
    assert rows["noise"]["fad"] > rows[RIVAL]["fad"] > rows["perfect"]["fad"] and measured["floor"]["kad"] > 0
    assert rows["hum"]["line"]["decibels"] > 15 and rows["hum"]["line"]["hertz"] == pytest.approx(30 * RATE / 256)
    assert max(rows["perfect"]["line"]["decibels"], rows["original"]["line"]["decibels"]) <= 0
    assert "inner_line" in rows["hum"] and "inner_line" not in rows[RIVAL]
    few = measure_methods(copy_synthesis(methods[1:], originals[:2]), methods[1:], classifier)
    assert few["floor"] is None and "kad" not in few["rows"]["perfect"]


def test_kernel_distance_has_the_mean_of_its_terms() -> None:
    terms = np.array([[2.0, 1.0], [1.0, 4.0]])
    summary = summarize_kernel_distance(terms, 4 * terms)
    assert (summary["mean"], summary["low"], summary["high"]) == (2.0, 2.0, 4.0)
    assert summary["part_of_griffin_lim"] == pytest.approx({"mean": 0.25, "low": 0.25, "high": 0.25})
    assert "part_of_griffin_lim" not in summarize_kernel_distance(terms, None)


def test_each_front_end_has_its_own_griffin_lim() -> None:
    music, speech = MelConfig(), MEL_PRESETS["melgan"]
    first = Vocoder(GeneratorConfig(n_mels=192, width=32, refine_iterations=1), music)
    second = Vocoder(GeneratorConfig(width=32, ratios=(8, 8), head=SubbandHeadConfig()), speech)
    methods = {method.name: method for method in find_methods({"a": first, "b": second})}
    assert list(methods) == [
        "a",
        "a without Griffin-Lim iterations",
        "b",
        "griffin-lim, 192 bins",
        "griffin-lim, 80 bins",
    ]
    for name, config in (("a", music), ("a without Griffin-Lim iterations", music), ("b", speech)):
        rival = methods[methods[name].griffin_lim]
        assert methods[name].mel_config == rival.mel_config == config
        assert isinstance(rival.synthesize, nn.Module)
    assert methods["b"].line_rate == pytest.approx(RATE / 8) and methods["a"].line_rate is None
    other = Vocoder(GeneratorConfig(n_mels=12, width=32), MelConfig(n_mels=12, sample_rate=44100))
    with pytest.raises(UserError, match="different sample rates"):
        find_methods({"a": first, "c": other})


def test_probes_hear_hum_and_smear() -> None:
    config = MelConfig()
    click = torch.from_numpy(make_click(RATE))
    music = make_chords(1, 3.0)[0].numpy()

    def faulty(level: float) -> Method:
        def synthesize(mel: Tensor) -> Tensor:
            samples = mel.shape[-1] * 256
            wav = torch.full((1, samples), level)
            if float(mel.max()) > -1 and samples <= len(click):  # the click: smeared by 20 ms
                wav += click[:samples] + 0.1 * click[:samples].roll(-441)
            return wav

        return Method("faulty", config, synthesize, RIVAL)

    quiet, loud = probe(faulty(1e-5), music), probe(faulty(1e-2), music)
    assert (quiet["silence"], quiet["silence_after_sound"]) == pytest.approx((-100.0, -100.0), abs=0.1)
    assert (loud["silence"], loud["silence_after_sound"]) == pytest.approx((-40.0, -40.0), abs=0.1)
    assert -27 < quiet["pre_echo"] < -15
    silent = probe(Method("silent", config, lambda mel: torch.zeros(1, mel.shape[-1] * 256), RIVAL), music)
    assert silent["pre_echo"] == -120.0


def test_blocks_meet_without_a_click(tiny_stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = copy.deepcopy(tiny_stylizer.vocoder)
    music = make_chords(1, 5.0)[0].numpy()
    mel = LogMel(vocoder.mel_config)(torch.from_numpy(music)[None])
    with torch.inference_mode():
        whole = vocoder(mel)[0, 0]
    torch.testing.assert_close(synthesize_in_blocks(vocoder, mel, 100), whole, atol=1e-4, rtol=0)
    good = compare_blocks(vocoder, music)
    assert good["joins"] == 2 and good["difference"] < -70
    monkeypatch.setattr(type(vocoder), "context_frames", property(lambda self: 0))
    assert compare_blocks(vocoder, music)["difference"] > good["difference"] + 20
    broken = torch.from_numpy(music).clone()
    broken[BLOCK_FRAMES * 256 : 2 * BLOCK_FRAMES * 256] += 0.1
    monkeypatch.setattr("stylize.evaluate.metrics.vocoder.synthesize_in_blocks", lambda vocoder, mel: broken)
    assert compare_blocks(vocoder, music)["worst"] > 20
    monkeypatch.setattr(
        "stylize.evaluate.metrics.vocoder.synthesize_in_blocks", lambda vocoder, mel: torch.from_numpy(music)
    )
    assert compare_blocks(vocoder, music)["worst"] == 0.0


def test_multiply_adds_by_hand() -> None:
    config = MelConfig(n_mels=12)
    network = nn.Sequential(nn.Conv1d(12, 6, 3, padding=1, bias=False), nn.ConvTranspose1d(6, 1, 256, stride=256))
    # A frame: 12 x 6 x 3 and 6 x 256.
    expected = (12 * 6 * 3 + 6 * 256) * config.frames_per_second
    assert count_multiply_adds(network, config, 0.5) == pytest.approx(expected, rel=1e-6)
    vocoder = Vocoder(GeneratorConfig(n_mels=12, width=32, refine_iterations=0), config)
    filters = (
        12 * 1025 * 2
    )  # a product with the filters and one back, for each frame and iteration; zeros may be skipped
    once = count_multiply_adds(vocoder, config, 0.5)
    vocoder.refine_iterations = 2
    added = (count_multiply_adds(vocoder, config, 0.5) - once) / config.frames_per_second / 2
    assert 0.05 * filters < added <= filters * 1.01


def test_parameters_and_training(tmp_path: Path) -> None:
    paper, config = paper_generator()
    assert 4.2e6 < count_parameters(paper) < 4.4e6  # the paper says 4.26 million (table 1)
    assert config.n_mels == 80
    described = {"format_version": 1, "kind": "vocoder", "mel": {}, "model": {}}
    for training, expected in (
        ({"step": 300, "minutes": 20.0}, {"steps": 300, "steps_per_hour": 900.0}),
        ({"step": 300}, {"steps": 300}),
        ({}, {}),
    ):
        (tmp_path / "config.json").write_text(json.dumps(described | {"training": training}))
        assert read_training(tmp_path) == expected


def test_styles_to_translate_to() -> None:
    styles = ["blues", "jazz", "metal"]
    assert [other_style(styles, "jazz", number) for number in range(3)] == ["metal", "blues", "metal"]
    points = np.random.default_rng(0).standard_normal((12, 4))
    genres = ["jazz"] * 6 + ["metal"] * 6
    points[6:] += 3
    targets = ["metal"] * 6 + ["jazz"] * 6
    wrong = distances_to_styles(points, targets, points, genres)
    right = distances_to_styles(points[::-1], targets, points, genres)
    assert len(wrong) == len(right) == 2 and min(wrong) > max(right) + 20
    assert distances_to_styles(points[:2], targets[:2], points, genres) == []


def fake_document(better: bool) -> dict[str, Any]:
    """A model that is a little better or a little worse than every target."""
    sign = 1 if better else -1

    def entry(mean: float, difference: float) -> dict[str, Any]:
        return {"mean": mean, "minus_griffin_lim": {"mean": difference, "low": -1.0, "high": 1.0}}

    row = {
        "griffin_lim": RIVAL,
        "mr_stft": entry(0.7, -0.01 * sign),
        "mel_l1": entry(0.03, -0.01 * sign),
        "chroma": entry(0.9, 0.01 * sign),
        "kad": {"mean": 0.2, "part_of_griffin_lim": {"mean": 0.5 - 0.01 * sign, "low": 0.3, "high": 0.9}},
        "line": {"decibels": 6.0 - 0.1 * sign, "hertz": 861.0, "worst_excerpt": 9.0},
    }
    return {
        "models": {"m": {}},
        "sources": {"songs": {"rows": {"m": row, RIVAL: row}}},
        "probes": {"m": {"silence": -90.0, "silence_after_sound": -70.0 - sign}},
        "costs": {"rows": {"m": {"times_real_time": 40.0 + sign, "times_baseline": 5.0 + 0.1 * sign}}},
    }


def test_every_target_is_decided_by_its_figure() -> None:
    met, missed = decide(fake_document(True)), decide(fake_document(False))
    assert len(met) == len(missed) == 8
    assert all(each["met"] for each in met) and not any(each["met"] for each in missed)
    assert [each["recordings"] for each in met] == ["songs"] * 5 + [""] * 3
    assert met[0]["found"] == "difference -0.010 (-1.000 to +1.000), vocoder 0.700, Griffin-Lim 0.700"
    inner = fake_document(True)
    inner["sources"]["songs"]["rows"]["m"]["inner_line"] = {"decibels": 7.0, "hertz": 2756.0}
    assert [each["met"] for each in decide(inner)].count(False) == 1


def test_the_whole_evaluation(tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, model = tmp_path / "corpus", tiny_models.vocoder
    lines = []
    for number, wav in enumerate(make_chords(2, 3.1)):
        genre = ("blues", "jazz")[number]
        file = f"{genre}/{genre}.{number:05}.wav"
        (corpus / genre).mkdir(parents=True)
        soundfile.write(corpus / file, wav.numpy(), RATE)
        lines.append(json.dumps({"file": file, "genre": genre, "song": f"{number:05}", "split": "test"}))
    (corpus / "manifest.jsonl").write_text("\n".join(lines))
    monkeypatch.setattr(vocoder, "GriffinLim", QuickGriffinLim)
    monkeypatch.setattr(vocoder, "GRIFFIN_LIM_ITERATIONS", 1)
    monkeypatch.setattr(vocoder, "chroma_cosine", lambda *arguments: 0.5)
    output, pictures = tmp_path / "table.json", tmp_path / "pictures"
    options = {"seconds": 3.0, "translated": tiny_models.translator, "output": output}
    page = run_evaluation(
        VocoderSettings(
            (model,), corpus, tmp_path / "none", pictures=pictures, threads=1, speed_seconds=0.1, repeats=1, **options
        )
    )
    document = json.loads(output.read_text())
    quality = document["sources"]["rendered songs"]
    assert quality["excerpts"] == 2 and list(document["sources"]) == ["rendered songs"]
    assert list(quality["rows"]) == [str(model), "griffin-lim", "original"]
    assert set(document["costs"]["rows"]) == {str(model), "griffin-lim", PAPER}
    identity = document["translated"]["identity"]["rendered songs"]["rows"]
    # Griffin-Lim does what it is asked to; random weights do not.
    assert identity["griffin-lim"]["asked_l1"]["mean"] < identity[str(model)]["asked_l1"]["mean"]
    cross = document["translated"]["cross"]["rendered songs"]
    assert cross["excerpts"] == 2 and cross["rows"][str(model)]["asked_l1"]["mean"] > 0
    assert len(document["verdict"]) == 8
    assert page == format_report(document) == output.with_suffix(".md").read_text()
    assert "## Targets" in page and "| - | not measured in this run |" in page  # KAD needs more clips
    assert sorted(path.name for path in pictures.iterdir()) == ["join_1.png", "mels_rendered_songs.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir())


def test_excerpts_are_cut_to_frames_of_all_methods() -> None:
    methods = [
        Method("a", MelConfig(), lambda mel: mel, RIVAL),
        Method("b", MelConfig(hop_length=300, n_fft=2048), lambda mel: mel, RIVAL),
    ]
    excerpts = [SimpleNamespace(wav=np.zeros(samples, dtype=np.float32)) for samples in (40000, 39000)]
    assert stack_excerpts(excerpts, methods).shape == (2, 38400)  # type: ignore[arg-type]
