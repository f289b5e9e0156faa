"""How the autoencoder is trained: damaged mels in, clean mels out, by their L1 distance in log10 units.

Denoising makes features of what belongs together instead of copies of single values (Vincent et al., ICML 2008,
section 2): noise in every band, and stretches of hidden columns that only their neighborhood can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from data.segments import AudioSegments, read_clips
from data.sources import list_splits, validation_files
from stylize.optimize.autoencoder import KIND, Autoencoder, AutoencoderConfig
from stylize_core.layers import MEL_CENTER
from stylize_core.mel import GriffinLim, LogMel, MelConfig
from stylize_core.model_folder import load_init
from training.experiment import Experiment, Sample, Update, evaluating
from training.loop_config import LoopConfig

TYPICAL_SEGMENTS = 64
"""Training segments to which the first weights are adapted and whose mean mel is a floor of the validation."""


@dataclass(frozen=True)
class AutoencoderData:
    """What the autoencoder learns from.

    Args:
        folders: genre trees, prepared recordings or any folders with audio at the mel's sample rate.
        split_seed: of the split by hash, see :func:`data.sources.list_split`.
        segment_frames: length of a training segment, mel frames.
        gain_db: random gain of a segment, at most this, decibels.
        noise: largest standard deviation of the noise on an input, log10 units; each segment draws its own from 0 on.
        hidden: share of an input's columns that are hidden, on average.
        hidden_frames: length of a hidden stretch, mel frames.
        validation_clips: number of fixed clips, of songs that are not trained on.
        validation_frames: their length, mel frames.
    """

    folders: tuple[str, ...]
    split_seed: int = 0
    segment_frames: int = 160
    gain_db: float = 6.0
    noise: float = 0.3
    hidden: float = 0.15
    hidden_frames: int = 4
    validation_clips: int = 24
    validation_frames: int = 344

    def __post_init__(self) -> None:
        if self.noise < 0 or not 0 <= self.hidden < 1:
            raise ValueError(f"noise must be at least 0 and hidden within [0, 1), got {self.noise} and {self.hidden}")
        for name in ("segment_frames", "hidden_frames", "validation_clips", "validation_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class AutoencoderTraining:
    """The whole configuration of an autoencoder run.

    Args:
        loop: steps, batch, precision.
        data: folders, segments, damage.
        network: the layers.
        mel: the front-end.
        learning_rate: of Adam.
        init_from: model folder with the initial weights, to fine-tune.
    """

    loop: LoopConfig
    data: AutoencoderData
    network: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    learning_rate: float = 3e-4
    init_from: str | None = None

    def __post_init__(self) -> None:
        frames = max(self.network.frames_per_code, 1 + self.mel.context // self.mel.hop_length)
        for name in ("segment_frames", "validation_frames"):
            if getattr(self.data, name) < frames:
                raise ValueError(f"{name} is {getattr(self.data, name)}; network and mel need at least {frames} frames")


class AutoencoderExperiment(Experiment):
    """Trains an :class:`Autoencoder`; see :class:`training.experiment.Experiment`.

    Args:
        config: the run.

    Raises:
        UserError: a folder is missing or has no audio of a split.
    """

    config_class = AutoencoderTraining
    averaged = ("autoencoder",)
    best_measure = "valid/mel_l1"

    def __init__(self, config: AutoencoderTraining) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.autoencoder = Autoencoder(config.network, config.mel)
        self.log_mel = LogMel(config.mel)
        # The front-end is among the modules only to be moved to the device with them; it has nothing to save.
        self.modules: dict[str, nn.Module] = {"autoencoder": self.autoencoder, "log_mel": self.log_mel}
        self.optimizers = {"autoencoder": torch.optim.Adam(self.autoencoder.parameters(), lr=config.learning_rate)}
        self.segments = AudioSegments(
            list_splits(config.data.folders, "train", config.data.split_seed),
            sample_rate=config.mel.sample_rate,
            segment_samples=config.data.segment_frames * config.mel.hop_length,
            seed=config.loop.seed,
            gain_db=config.data.gain_db,
        )
        files = validation_files(config.data.folders, config.data.validation_clips, config.data.split_seed)
        samples = config.data.validation_frames * config.mel.hop_length
        self.validation = [self.log_mel(wav[None])[0] for wav in read_clips(files, config.mel.sample_rate, samples)]
        typical = self._typical_mels()
        self.mean_mel = typical.mean(dim=(0, 2))[:, None]
        if config.init_from is not None:
            load_init(self.autoencoder, config.init_from, KIND, config.mel)
        else:
            self.autoencoder.adapt(typical)
        self.reconstructed: list[Tensor] = []

    def _typical_mels(self) -> Tensor:
        """Mels of evenly spread training segments, (B, n_mels, T)."""
        count = min(TYPICAL_SEGMENTS, len(self.segments))
        wavs = [self.segments[0, index * len(self.segments) // count] for index in range(count)]
        return self.log_mel(torch.stack(wavs))

    @property
    def dataset(self) -> Dataset[Any]:
        """Waveform segments."""
        return self.segments

    def training_step(self, batch: Tensor, step: int, update: Update) -> dict[str, Tensor]:
        """Reconstruct the clean mels of a batch of waveforms from damaged ones."""
        mel = self.log_mel(batch)
        loss = (self.autoencoder(self.damage(mel)).float() - mel).abs().mean()
        norm = update("autoencoder", loss)
        return {"mel_l1": loss.detach(), "gradient_norm": norm}

    def damage(self, mel: Tensor) -> Tensor:
        """Noise in every band, and stretches of columns replaced by a value that no music has for a whole column.

        Shape: (B, n_mels, T) -> the same.
        """
        data, (batch, _, frames) = self.config.data, mel.shape
        level = data.noise * torch.rand(batch, 1, 1, device=mel.device)
        noisy = (mel + level * torch.randn_like(mel)).clamp(min=self.config.mel.log_floor)
        if data.hidden == 0:
            return noisy
        # A column is seen where none of the stretches that could cover it has begun.
        seen_share = (1 - data.hidden) ** (1 / data.hidden_frames)
        begins = torch.rand(batch, 1, frames + data.hidden_frames - 1, device=mel.device) >= seen_share
        hidden = nn.functional.max_pool1d(begins.float(), data.hidden_frames, stride=1) > 0
        return noisy.masked_fill(hidden, MEL_CENTER)

    def validate(self) -> dict[str, float]:
        """Mel L1 of fixed, undamaged clips, in log10 units, beside two floors.

        `valid/mel_l1_of_mean` is that of the training data's mean column, `valid/mel_l1_of_own_mean` that of each
        clip's own mean column, which knows the clip but nothing of time.
        """
        device = next(self.autoencoder.parameters()).device
        with evaluating(self.autoencoder):
            self.reconstructed = [self.autoencoder(mel[None].to(device))[0].float().cpu() for mel in self.validation]
        pairs = list(zip(self.reconstructed, self.validation, strict=True))
        return {
            "valid/mel_l1": _mean([_l1(made, mel) for made, mel in pairs]),
            "valid/mel_l1_of_mean": _mean([_l1(self.mean_mel, mel) for mel in self.validation]),
            "valid/mel_l1_of_own_mean": _mean([_l1(mel.mean(dim=1, keepdim=True), mel) for mel in self.validation]),
        }

    def samples(self) -> Sequence[Sample]:
        """The first four validation clips through Griffin-Lim, original and reconstructed."""
        griffin_lim, rate = GriffinLim(self.config.mel, iterations=32), self.config.mel.sample_rate
        samples = []
        for index, (mel, made) in enumerate(zip(self.validation[:4], self.reconstructed[:4], strict=True)):
            made = made.clamp(min=self.config.mel.log_floor)
            wavs = griffin_lim(torch.stack([mel, made])).numpy()
            pictures = {"original": mel.numpy(), "reconstructed": made.numpy()}
            samples.append(
                Sample(f"clip-{index}-original", wavs[0], rate, {"original": pictures["original"]}, fixed=True)
            )
            samples.append(Sample(f"clip-{index}", wavs[1], rate, pictures))
        return samples

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the autoencoder's model folder."""
        self.autoencoder.save_pretrained(folder, training)


def _l1(mel: Tensor, reference: Tensor) -> float:
    return float((mel - reference).abs().mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
