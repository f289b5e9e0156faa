"""How the vocoder is trained: generator alone on spectral losses first, then against the discriminators.

Paper: MelGAN, arXiv 1910.06711, section 2.3; the generator-only start is that of Multi-band MelGAN, arXiv 2005.05106,
section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor, nn
from torch.utils.data import Dataset

from data.audio import read_audio
from data.mel import LogMel, MelConfig
from data.segments import AudioSegments
from data.sources import list_splits
from melgan.config import DiscriminatorConfig, GeneratorConfig
from melgan.discriminator import MultiScaleDiscriminator
from melgan.layers import add_weight_norm
from melgan.losses import feature_matching, hinge_discriminator, hinge_generator
from melgan.vocoder import KIND, Vocoder
from training.experiment import Experiment, Sample, Update, evaluating, frozen, weighted_sum
from training.loop import LoopConfig
from training.measures import chroma_cosine, mel_l1, multi_resolution_stft_distance
from training.pretrained import load_start


@dataclass(frozen=True)
class VocoderData:
    """What the vocoder learns from.

    Args:
        folders: genre trees, prepared recordings or any folders with audio at the mel's sample rate.
        segment_frames: length of a training segment, mel frames.
        gain_db: random gain of a segment, at most this, decibels.
        validation_clips: number of fixed clips.
        validation_frames: their length, mel frames.
    """

    folders: tuple[str, ...]
    segment_frames: int = 64
    gain_db: float = 6.0
    validation_clips: int = 12
    validation_frames: int = 344


@dataclass(frozen=True)
class VocoderWeights:
    """Weights of the generator's losses.

    Args:
        stft: multi-resolution STFT loss of the refined waveform.
        raw_stft: the same of what the network alone makes.
        mel: L1 of log10 mels of what the network alone makes.
        adversarial: hinge loss.
        feature_matching: L1 of the discriminators' feature maps (10 in the paper).
    """

    stft: float = 1.0
    raw_stft: float = 0.5
    mel: float = 2.0
    adversarial: float = 1.0
    feature_matching: float = 10.0


@dataclass(frozen=True)
class VocoderTraining:
    """The whole configuration of a vocoder run.

    Args:
        loop: steps, batch, precision.
        data: folders and segments.
        generator, discriminator: the networks.
        mel: the front-end.
        weights: of the losses.
        generator_lr, discriminator_lr: learning rates of Adam (betas 0.5, 0.9 as in the paper).
        pretrain_steps: steps on the spectral losses alone before the discriminators join.
        stft_sizes: transforms of the multi-resolution loss, samples; hops are a quarter.
        refine_iterations: of the refinement in training; gradients go through it, so that the network learns what the
            refinement cannot mend. Fewer than at inference are enough.
        start_from: model folder whose weights are the start, to fine-tune.
    """

    loop: LoopConfig
    data: VocoderData
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    weights: VocoderWeights = field(default_factory=VocoderWeights)
    generator_lr: float = 2e-4
    discriminator_lr: float = 2e-4
    pretrain_steps: int = 5000
    stft_sizes: tuple[int, ...] = (512, 1024, 2048)
    refine_iterations: int = 0
    start_from: str | None = None

    def __post_init__(self) -> None:
        for name in ("n_mels", "hop_length"):
            network, front_end = getattr(self.generator, name), getattr(self.mel, name)
            if network != front_end:
                raise ValueError(f"{name} is {network} in generator and {front_end} in mel; they must be equal")
        samples = self.data.segment_frames * self.mel.hop_length
        least = 1 + max(self.mel.context, *(size // 2 for size in self.stft_sizes))
        if samples < least:
            raise ValueError(
                f"segments of {self.data.segment_frames} frames are {samples} samples; the transforms of mel and "
                f"stft_sizes need at least {least}"
            )


class VocoderExperiment(Experiment):
    """Trains a :class:`melgan.Vocoder`; see :class:`training.experiment.Experiment`.

    Args:
        config: the run.

    Raises:
        UserError: a folder is missing or has no audio of a split.
    """

    averaged = ("vocoder",)
    best_measure = "valid/mr_stft"

    def __init__(self, config: VocoderTraining) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.vocoder = Vocoder(config.generator, config.mel)
        if config.start_from is not None:
            load_start(self.vocoder.generator, config.start_from, KIND, config.mel)
        add_weight_norm(self.vocoder)
        self.discriminator = MultiScaleDiscriminator(config.discriminator)
        add_weight_norm(self.discriminator)
        self.log_mel = LogMel(config.mel)
        self.stft_loss = MultiResolutionSTFTLoss(
            fft_sizes=list(config.stft_sizes),
            hop_sizes=[size // 4 for size in config.stft_sizes],
            win_lengths=list(config.stft_sizes),
        )
        # The front-end is among the modules only to be moved to the device with them; it has nothing to save.
        self.modules: dict[str, nn.Module] = {
            "vocoder": self.vocoder,
            "discriminator": self.discriminator,
            "log_mel": self.log_mel,
        }
        betas = (0.5, 0.9)
        self.optimizers = {
            "generator": torch.optim.Adam(self.vocoder.parameters(), lr=config.generator_lr, betas=betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), lr=config.discriminator_lr, betas=betas),
        }
        data, hop = config.data, config.mel.hop_length
        self.segments = AudioSegments(
            list_splits(data.folders, "train"),
            sample_rate=config.mel.sample_rate,
            segment_samples=data.segment_frames * hop,
            seed=config.loop.seed,
            train=True,
            gain_db=data.gain_db,
        )
        self.validation_wavs = self._read_validation(_spread(list_splits(data.folders, "valid"), data.validation_clips))
        self.synthesised: list[Tensor] = []
        self.first_frame: Tensor | int = 0

    def _read_validation(self, files: Sequence[Path]) -> list[Tensor]:
        samples = self.config.data.validation_frames * self.config.mel.hop_length
        wavs = []
        for file in files:
            wav, _ = read_audio(file, sample_rate=self.config.mel.sample_rate)
            wavs.append(nn.functional.pad(torch.from_numpy(wav[0, :samples]), (0, max(0, samples - wav.shape[1]))))
        return wavs

    @property
    def dataset(self) -> Dataset[Any]:
        """Waveform segments."""
        return self.segments

    def training_step(self, batch: Tensor, step: int, update: Update) -> dict[str, Tensor]:
        """Pre-training updates the generator alone; later steps update the discriminators first."""
        real = batch[:, None]
        mel = self.log_mel(batch)
        self.first_frame = self._draw_first_frames(len(batch), step).to(mel.device)
        if step < self.config.pretrain_steps:
            return self.generator_step(real=real, mel=mel, update=update, adversarial=False)
        losses = self.discriminator_step(real=real, mel=mel, update=update)
        return losses | self.generator_step(real=real, mel=mel, update=update, adversarial=True)

    def _draw_first_frames(self, batch: int, step: int) -> Tensor:
        """Where in a song of two hours the segments are said to lie, so that all phases of the carriers are met."""
        generator = torch.Generator().manual_seed(hash((self.config.loop.seed, step)) % 2**63)
        return torch.randint(620_000, (batch,), generator=generator)

    def synthesise(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """What the network alone makes of a mel, and the same after the refinement of training."""
        raw = self.vocoder.generator(mel, self.first_frame).float()
        refined = self.vocoder.refinement(raw[:, 0], mel, self.config.refine_iterations)
        return raw, refined[:, None]

    def discriminator_step(self, *, real: Tensor, mel: Tensor, update: Update) -> dict[str, Tensor]:
        """Teach the discriminators to tell real waveforms from synthesised ones."""
        with torch.no_grad():
            _, fake = self.synthesise(mel)
        loss = hinge_discriminator(self.discriminator(real), self.discriminator(fake.detach()))
        update("discriminator", loss)
        return {"discriminator": loss.detach()}

    def generator_step(self, *, real: Tensor, mel: Tensor, update: Update, adversarial: bool) -> dict[str, Tensor]:
        """Teach the generator to come near the real waveform and, if `adversarial`, to convince."""
        raw, fake = self.synthesise(mel)
        losses = {"stft": self.stft_loss(fake, real), "mel": (self.log_mel(raw[:, 0]) - mel).abs().mean()}
        weights = {"stft": self.config.weights.stft, "mel": self.config.weights.mel}
        if self.config.refine_iterations:
            losses["raw_stft"] = self.stft_loss(raw, real)
            weights["raw_stft"] = self.config.weights.raw_stft
        if adversarial:
            with frozen(self.discriminator):
                with torch.no_grad():
                    real_maps = self.discriminator(real)
                fake_maps = self.discriminator(fake)
            losses["adversarial"] = hinge_generator(fake_maps)
            losses["feature_matching"] = feature_matching(real_maps, fake_maps)
            weights["adversarial"] = self.config.weights.adversarial
            weights["feature_matching"] = self.config.weights.feature_matching
        norm = update("generator", weighted_sum(losses, weights))
        return {name: loss.detach() for name, loss in losses.items()} | {"gradient_norm": norm}

    def validate(self) -> dict[str, float]:
        """MR-STFT distance, mel L1 and chroma cosine between fixed clips and their synthesis."""
        self.synthesised = []
        totals = {"valid/mr_stft": 0.0, "valid/mel_l1": 0.0, "valid/chroma": 0.0}
        device = next(self.vocoder.parameters()).device
        with evaluating(self.vocoder):
            for wav in self.validation_wavs:
                fake = self.vocoder(self.log_mel(wav[None].to(device)))[0, 0].float().cpu()
                self.synthesised.append(fake)
                totals["valid/mr_stft"] += multi_resolution_stft_distance(fake, wav)
                totals["valid/mel_l1"] += mel_l1(fake, wav)
                totals["valid/chroma"] += chroma_cosine(fake, wav, self.config.mel.sample_rate)
        return {name: total / len(self.validation_wavs) for name, total in totals.items()}

    def samples(self) -> Sequence[Sample]:
        """The first four validation clips, original and synthesised."""
        rate, samples = self.config.mel.sample_rate, []
        log_mel = LogMel(self.config.mel)
        for index, (wav, fake) in enumerate(zip(self.validation_wavs[:4], self.synthesised[:4], strict=True)):
            mels = {"original": log_mel(wav[None])[0].numpy(), "synthesised": log_mel(fake[None])[0].numpy()}
            samples.append(
                Sample(f"clip-{index}-original", wav.numpy(), rate, {"original": mels["original"]}, fixed=True)
            )
            samples.append(Sample(f"clip-{index}", fake.numpy(), rate, mels))
        return samples

    def export(self, folder: Path, training: dict[str, Any]) -> None:
        """Write the vocoder's model folder."""
        self.vocoder.save_pretrained(folder, training)


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    """`count` files spread evenly over a sorted list, the same ones each time."""
    count = min(count, len(files))
    return [files[index * len(files) // count] for index in range(count)]
