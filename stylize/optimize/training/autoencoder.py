"""Training of the autoencoder: denoising (Vincent et al., ICML 2008, section 2) of mels with noise and masked columns.

The loss is the L1 distance in log10 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from data.segments import AudioSegments, read_clips
from data.sources import list_splits, validation_files
from stylize.optimize.autoencoder import KIND, Autoencoder, AutoencoderConfig
from stylize_core.layers import MEL_CENTER
from stylize_core.mel import GriffinLim, LogMel
from stylize_core.model_folder import load_init
from training.experiment import Experiment, Sample, Update, evaluating, sample_pair
from training.loop_config import AudioData, TrainingConfig, check_at_least

TYPICAL_SEGMENTS = 64
"""Training segments that initialize the weights, and whose mean mel is a floor of the validation."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderData(AudioData):
    """Data of the autoencoder.

    Args:
        folders, split_seed, segment_frames, gain_db, validation_clips, validation_frames: see
            :class:`training.loop_config.AudioData`.
        noise: largest standard deviation of the noise on an input, log10 units; each segment draws its own from 0 on.
        hidden: mean share of an input's columns that are masked.
        hidden_frames: length of a masked span, mel frames.
    """

    segment_frames: int = 160
    noise: float = 0.3
    hidden: float = 0.15
    hidden_frames: int = 4
    validation_clips: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, hidden_frames=self.hidden_frames)
        if self.noise < 0 or not 0 <= self.hidden < 1:
            raise ValueError(f"noise must be at least 0 and hidden within [0, 1), got {self.noise} and {self.hidden}")


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining(TrainingConfig):
    """The configuration of an autoencoder run.

    Args:
        loop, mel, learning_rate, init_from: see :class:`training.loop_config.TrainingConfig`.
        data: folders, segments, damage.
        network: the layers.
    """

    data: AutoencoderData
    network: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    learning_rate: float = 3e-4

    def __post_init__(self) -> None:
        frames = max(self.network.frames_per_code, 1 + self.mel.context // self.mel.hop_length)
        for name in ("segment_frames", "validation_frames"):
            if getattr(self.data, name) < frames:
                raise ValueError(f"{name} is {getattr(self.data, name)}; network and mel need at least {frames} frames")


class AutoencoderExperiment(Experiment):
    """Trains an :class:`Autoencoder`.

    Raises:
        UserError: a folder is missing or has no audio of a split.
    """

    config_class = AutoencoderTraining
    dataset: AudioSegments
    averaged = ("autoencoder",)
    best_measure = "valid/mel_l1"

    def __init__(self, config: AutoencoderTraining) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.autoencoder = Autoencoder(config.network, config.mel)
        self.log_mel = LogMel(config.mel)
        # The front-end has no state; as a module it moves to the device.
        self.modules: dict[str, nn.Module] = {"autoencoder": self.autoencoder, "log_mel": self.log_mel}
        self.optimizers = {"autoencoder": torch.optim.Adam(self.autoencoder.parameters(), lr=config.learning_rate)}
        self.dataset = AudioSegments(
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
        count = min(TYPICAL_SEGMENTS, len(self.dataset))
        wavs = [self.dataset[0, index * len(self.dataset) // count] for index in range(count)]
        mels: Tensor = self.log_mel(torch.stack(wavs))
        return mels

    def training_step(self, batch: Tensor, step: int, update: Update) -> dict[str, Tensor]:
        """Reconstruct the clean mels of a batch of waveforms from damaged ones."""
        mel = self.log_mel(batch)
        loss = (self.autoencoder(self.damage(mel)).float() - mel).abs().mean()
        norm = update("autoencoder", loss)
        return {"mel_l1": loss.detach(), "gradient_norm": norm}

    def damage(self, mel: Tensor) -> Tensor:
        """Add noise, and replace spans of columns by a constant. Shape: (B, n_mels, T) -> the same."""
        data, (batch, _, frames) = self.config.data, mel.shape
        level = data.noise * torch.rand(batch, 1, 1, device=mel.device)
        noisy = (mel + level * torch.randn_like(mel)).clamp(min=self.config.mel.log_floor)
        if data.hidden == 0:
            return noisy
        # A column is visible where no span that could cover it begins.
        seen_share = (1 - data.hidden) ** (1 / data.hidden_frames)
        begins = torch.rand(batch, 1, frames + data.hidden_frames - 1, device=mel.device) >= seen_share
        hidden = nn.functional.max_pool1d(begins.float(), data.hidden_frames, stride=1) > 0
        return noisy.masked_fill(hidden, MEL_CENTER)

    def validate(self) -> dict[str, float]:
        """Mel L1 of undamaged clips, and two floors: of the training data's mean column, and of each clip's own."""
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
            mels = {"original": mel, "reconstructed": made}
            samples += sample_pair(f"clip-{index}-original", f"clip-{index}", wavs, rate, mels)
        return samples


def _l1(mel: Tensor, reference: Tensor) -> float:
    return float((mel - reference).abs().mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
