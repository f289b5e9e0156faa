"""The study of the refinement's plans prints a row for each, and better plans come nearer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from melgan import GeneratorConfig, Vocoder
from melgan.config import OscillatorHeadConfig
from studies.refinement import PLANS, study
from stylize_core.errors import UserError
from stylize_core.mel import MelConfig


def test_a_row_for_each_plan(tmp_path: Path, quick_validation: None) -> None:
    config = GeneratorConfig(n_mels=192, width=8, ratios=(), residual_layers=0, head=OscillatorHeadConfig())
    Vocoder(config, MelConfig()).save_pretrained(tmp_path / "model", {})
    time = np.arange(4 * 22050) / 22050
    for number in range(3):
        (tmp_path / "music").mkdir(exist_ok=True)
        wav = 0.3 * np.sin(2 * np.pi * (220 + 40 * number) * time) * (1 + np.sin(2 * np.pi * 2 * time)) / 2
        soundfile.write(tmp_path / "music" / f"{number}.wav", wav, 22050)
    folder = tmp_path / "music"
    with pytest.raises(UserError, match="folder not found"):
        study(output=tmp_path / "none" / "table.md")
    output = tmp_path / "table.md"
    study(tmp_path / "model", folder, folder, excerpts=1, output=output, threads=1)
    rows = [line.strip("|").split("|") for line in output.read_text().splitlines()[2:]]
    assert len(rows) == len(PLANS) + 1 and rows[-1][0].strip() == "Griffin-Lim alone"
    mel_l1 = [float(row[3]) for row in rows]
    assert mel_l1[2] < mel_l1[1] < mel_l1[0]  # 20, 6 and 0 iterations
