"""Bad input ends with one line that says what is wrong, exit code 2 and nothing written."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from melgan import Vocoder

if TYPE_CHECKING:
    from tests.conftest import TinyModels
    from tests.stylize.conftest import Refused, Songs


@pytest.mark.usefixtures("no_model")
class TestKnownBeforeAModelLoads:
    """Everything here is refused with `Stylizer.from_pretrained` out of reach."""

    def test_missing_file(self, refused: Refused) -> None:
        assert "missing.mp3" in refused("missing.mp3", "--to", "jazz")

    def test_folder_without_audio(self, refused: Refused, place: Path) -> None:
        (place / "empty").mkdir()
        assert "no audio" in refused("empty", "--to", "jazz")

    def test_text_named_wav(self, refused: Refused, place: Path) -> None:
        (place / "song.wav").write_text("These are words, not samples.\n" * 50)
        assert "song.wav" in refused("song.wav", "--to", "jazz")

    def test_truncated_mp3(self, refused: Refused, songs: Songs, place: Path) -> None:
        song = songs.write(place / "song.mp3", 200_000)
        song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
        assert "song.mp3" in refused("song.mp3", "--to", "jazz")

    def test_truncated_wav(self, refused: Refused, songs: Songs, place: Path) -> None:
        song = songs.write(place / "song.wav", 50_000)
        song.write_bytes(song.read_bytes()[:40_000])
        assert "song.wav" in refused("song.wav", "--to", "jazz")

    def test_zero_samples(self, refused: Refused, place: Path) -> None:
        soundfile.write("song.wav", np.zeros(0), 22050)
        assert "no samples" in refused("song.wav", "--to", "jazz")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_samples_that_are_no_numbers(self, refused: Refused, place: Path, value: float) -> None:
        wav = np.zeros(5000, dtype=np.float32)
        wav[4321] = value
        soundfile.write("song.wav", wav, 22050, subtype="FLOAT")
        assert "NaN or infinite" in refused("song.wav", "--to", "jazz")

    def test_unknown_style_lists_the_known(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "blues, jazz, metal" in refused("song.wav", "--to", "polka")

    def test_mixture_with_some_weights(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "without a weight for metal" in refused("song.wav", "--to", "jazz:0.7,metal")

    @pytest.mark.parametrize("target", [(), ("--to", "jazz", "--like", "song.wav")])
    def test_not_exactly_one_target(self, refused: Refused, songs: Songs, place: Path, target: tuple[str, ...]) -> None:
        songs.write(place / "song.wav", 5000)
        line = refused("song.wav", *target)
        assert "--to" in line
        assert "--like" in line

    def test_bad_reference(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "missing.wav" in refused("song.wav", "--like", "missing.wav")

    def test_output_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "out.wav").write_bytes(b"old")
        line = refused("song.wav", "--to", "jazz", "-o", "out.wav")
        assert "out.wav" in line
        assert "--force" in line

    def test_output_of_a_folder_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        for folder in ("music", "out"):
            songs.write(place / folder / "a.wav", 5000)
        assert "--force" in refused("music", "--to", "jazz", "-o", "out")

    def test_output_is_the_input(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "input itself" in refused("song.wav", "--to", "jazz", "-o", "song.wav", "--force")

    def test_output_folder_is_missing(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "does not exist" in refused("song.wav", "--to", "jazz", "-o", "no/out.wav")

    def test_output_is_not_writable(
        self, refused: Refused, songs: Songs, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        songs.write(place / "song.wav", 5000)
        # The super-user may write anywhere, so a read-only folder cannot be had in every test run.
        monkeypatch.setattr("os.access", lambda _, mode: not mode & os.W_OK)
        assert "not writable" in refused("song.wav", "--to", "jazz", "-o", "out.wav")

    def test_unknown_output_format(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert ".xyz" in refused("song.wav", "--to", "jazz", "-o", "out.xyz")

    def test_rate_that_the_format_lacks(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        assert "48000" in refused("song.wav", "--to", "jazz", "-o", "out.opus", "--sample-rate", 44100)

    def test_picture_exists(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "mel.png").write_bytes(b"old")
        assert "mel.png" in refused("song.wav", "--to", "jazz", "--picture", "mel.png")

    @pytest.mark.parametrize(
        "extra",
        [
            ("--strength", "1.5"),
            ("--strength", "loud"),
            ("--threads", "0"),
            ("--sample-rate", "7"),
            ("--device", "abacus"),
            ("--no-such-option",),
            ("--offset", "-1"),
            ("--offset", "0.3"),  # the song lasts 0.23 s
            ("--duration", "0"),
            ("--bits", "12"),
            ("--quality", "5"),
            ("--filename", "{nme}.wav"),
            ("--quiet", "--verbose"),
            ("--force", "--skip-existing"),
            ("-o", 300 * "x" + ".wav"),
            ("-o", "out.wav", "song.wav"),  # twice, and one output
        ],
    )
    def test_bad_options(self, refused: Refused, songs: Songs, place: Path, extra: tuple[str, ...]) -> None:
        songs.write(place / "song.wav", 5000)
        refused("song.wav", "--to", "jazz", *extra)

    def test_models_of_different_mels(
        self, refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels
    ) -> None:
        songs.write(place / "song.wav", 5000)
        folder = shutil.copytree(tiny_models.vocoder, place / "vocoder")
        config = json.loads((folder / "config.json").read_text())
        config["mel"]["n_mels"] = 80
        (folder / "config.json").write_text(json.dumps(config))
        assert "n_mels: 12 / 80" in refused("song.wav", "--to", "jazz", vocoder=folder)

    def test_another_kind_of_model(self, refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels) -> None:
        songs.write(place / "song.wav", 5000)
        line = refused("song.wav", "--to", "jazz", model=tiny_models.vocoder)
        assert "holds a vocoder, a translator is needed" in line

    def test_no_model_folder(self, refused: Refused, songs: Songs, place: Path) -> None:
        songs.write(place / "song.wav", 5000)
        (place / "foreign").mkdir()
        torch.save({"weight": torch.zeros(3)}, "model.pt")
        assert "not found" in refused("song.wav", "--to", "jazz", model=place / "nowhere")
        assert "not a model folder" in refused("song.wav", "--to", "jazz", model=place / "foreign")
        assert "model.pt is a file" in refused("song.wav", "--to", "jazz", model=place / "model.pt")


@pytest.mark.parametrize("which", ["translator", "vocoder"])
def test_pickle_in_place_of_weights(
    refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels, which: str
) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(getattr(tiny_models, which), place / "bad")
    torch.save({"weight": torch.zeros(3)}, folder / "weights.safetensors")
    line = refused("song.wav", "--to", "jazz", **{"model" if which == "translator" else "vocoder": folder})
    assert "pickle" in line


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5])
def test_corrupted_weights(refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels, kept: float) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(tiny_models.translator, place / "bad")
    weights = folder / "weights.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: int(len(data) * kept if kept < 1 else kept)])
    assert "bad/weights.safetensors" in refused("song.wav", "--to", "jazz", model=folder)


def test_foreign_weights(refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(tiny_models.translator, place / "bad")
    shutil.copy(tiny_models.vocoder / "weights.safetensors", folder)
    assert "do not fit" in refused("song.wav", "--to", "jazz", model=folder)


def test_disk_that_runs_full(refused: Refused, songs: Songs, place: Path) -> None:
    songs.write(place / "song.wav", 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        line = refused("song.wav", "--to", "jazz", "-o", "out.wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "out.wav" in line


@pytest.mark.parametrize("which", ["translator", "vocoder"])
def test_enormous_weights_are_refused_before_the_song_is_worked_on(
    refused: Refused, songs: Songs, place: Path, tiny_models: TinyModels, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs.write(place / "song.wav", 5000)
    folder = shutil.copytree(getattr(tiny_models, which), place / "bad")
    weights = load_file(folder / "weights.safetensors")
    save_file({name: 1e15 * value.float() for name, value in weights.items()}, folder / "weights.safetensors")
    monkeypatch.setattr("stylize.pipeline.Stylizer.convert", None)
    line = refused("song.wav", "--to", "jazz", **{"model" if which == "translator" else "vocoder": folder})
    assert f"the model {folder} makes NaN or infinite values" in line


def test_a_model_that_makes_no_numbers(
    refused: Refused, songs: Songs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs.write(place / "song.wav", 5000)
    forward = Vocoder.forward
    monkeypatch.setattr(Vocoder, "forward", lambda *given: forward(*given) / (given[1].shape[-1] < 12))  # in the song
    line = refused("song.wav", "--to", "jazz")
    assert "NaN or infinite samples" in line
    assert "the model that made them is damaged" in line
