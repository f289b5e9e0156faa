"""The command that makes translated mels: every recording in its own style, aligned, split kept, gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from scripts.command_line import run_command
from scripts.prepare.translations import translations
from stylize import translate
from stylize_core.audio.reader import read_audio
from stylize_core.mel import LogMel, MelConfig
from travelgan import Translator

Run = Callable[..., tuple[int, str, str]]
MEL = MelConfig(n_mels=12)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_models, tmp_path: Path) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        more = ("-o", tmp_path / "out", "--model", tiny_models.translator, "--device", "cpu")
        monkeypatch.setattr("sys.argv", ["translate", *map(str, (*arguments, *more))])
        with pytest.raises(SystemExit) as ended:
            run_command(translations)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three recordings without a label; noise, and zeros in the middle of one."""
    (tmp_path / "own").mkdir()
    for number, seconds in enumerate((2.0, 1.37, 1.5)):
        wav = 0.2 * np.random.default_rng(number).standard_normal(round(seconds * 22050))
        if number == 0:
            wav[15000:25000] = 0
        soundfile.write(tmp_path / "own" / f"{number}.wav", wav, 22050, subtype="FLOAT")
    return tmp_path / "own"


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_an_identity_gives_the_mel_of_each_whole_recording(run: Run, own: Path, tmp_path: Path, monkeypatch) -> None:
    """Blocks of sixteen frames, so that their joins show; frame t is of samples from t * 256 on."""
    monkeypatch.setattr(translate, "BLOCK_FRAMES", 16)
    monkeypatch.setattr(Translator, "forward", lambda self, mel, style: mel)
    code, out, _ = run(own)
    assert code == 0, out
    entries = lines(tmp_path / "out")
    assert len(entries) == 3 and {entry["style"] for entry in entries} == {"itself"}
    for entry in entries:
        wav, _ = read_audio((tmp_path / "out" / entry["audio"]).resolve())
        expected = LogMel(MEL)(torch.from_numpy(wav))[0].numpy()
        mel = load_file(tmp_path / "out" / entry["file"])["mel"]
        assert mel.dtype == np.float16 and mel.shape == (12, wav.shape[1] // 256) == (12, entry["frames"])
        inner = slice(0, mel.shape[1] - 5)  # the last frames see zeros after the end here, its reflection there
        np.testing.assert_allclose(mel[:, inner], expected[:, inner], atol=4e-3)


def test_the_translator_rewrites_and_silence_stays(run: Run, own: Path, tmp_path: Path) -> None:
    run(own)
    mel = load_file(tmp_path / "out" / "own" / "0.wav.safetensors")["mel"].astype(np.float32)
    wav, _ = read_audio(own / "0.wav")
    plain = LogMel(MEL)(torch.from_numpy(wav))[0].numpy()
    silent = (plain <= MEL.log_floor + 1e-4).all(axis=0)
    assert silent.sum() > 20 and np.all(mel[:, silent] == np.float16(MEL.log_floor))
    assert np.abs(mel - plain)[:, ~silent].mean() > 0.05


def test_labelled_recordings_go_to_their_own_style(run: Run, tone_corpus: Path, tmp_path: Path, monkeypatch) -> None:
    used: list[torch.Tensor] = []
    forward = Translator.forward
    monkeypatch.setattr(Translator, "forward", lambda s, mel, style: used.append(style[0]) or forward(s, mel, style))
    assert run(tone_corpus, "--split", "valid")[0] == 0
    entries = lines(tmp_path / "out")
    assert [(entry["style"], entry["split"]) for entry in entries] == [("jazz", "valid")] * 2 + [("metal", "valid")] * 2
    assert len(used) == 4 and not torch.allclose(used[0], used[-1])


def test_a_stopped_run_is_gone_on_with(run: Run, own: Path, tmp_path: Path, monkeypatch) -> None:
    original, done = translate.translate_recording, []

    def stop_after_two(audio, *more):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(audio.name)
        return original(audio, *more)

    monkeypatch.setattr(translate, "translate_recording", stop_after_two)
    assert run(own)[0] == 130 and len(lines(tmp_path / "out")) == 2
    monkeypatch.setattr(translate, "translate_recording", lambda *args: (done.append(args[0].name), original(*args))[1])
    code, out, _ = run(own)
    assert code == 0 and "3 mels" in out and "(1 of them new)" in out and len(done) == len(set(done)) == 3
    assert run(own)[0] == 0 and len(done) == 3


def test_what_cannot_be_done_is_said(run: Run, own: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path / "gone",), "no such folder"),
        ((own, "--split", "tset"), "unknown split 'tset'"),
        ((own, own), "2 folders are called own"),
        ((own, "--split", "test_groove"), "nothing of the splits test_groove"),
    ):
        code, _, err = run(*arguments)
        assert code == 2 and said in err and err.count("\n") == 1, err
    (own / "1.wav").write_text("no audio")
    code, out, _ = run(own)
    assert code == 0 and "skipped" in out and "1.wav" in out and len(lines(tmp_path / "out")) == 2
