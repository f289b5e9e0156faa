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

from data.mel import LogMel, MelConfig
from data.mel_augmentation import MelAugmentation, augment_mel
from data.segments import AudioSegments, read_clips
from data.sources import list_sources, validation_files
from data.translated import MixedSegments, TranslatedSegments
from melgan.config import DiscriminatorConfig, GeneratorConfig
from melgan.discriminator import MultiScaleDiscriminator
from melgan.filter_bank import FilterBank
from melgan.layers import add_weight_norm
from melgan.losses import feature_matching, hinge_discriminator, hinge_generator, make_subband_loss, subband_stft
from melgan.vocoder import KIND, Vocoder
from training.experiment import Experiment, Sample, Update, evaluating, frozen, weighted_sum
from training.loop import LoopConfig
from training.measures import chroma_cosine, mel_l1, multi_resolution_stft_distance
from training.pretrained import load_start

LARGEST_SUBBAND_REFLECTION = 341
"""Samples of a sub-band beyond its ends that the longest transform of the sub-band loss sees."""

AUGMENTATION_STREAM = 1
"""Keeps the random numbers of the augmentation apart from others of the same seed and step."""


@dataclass(frozen=True)
class VocoderData:
    """What the vocoder learns from.

    Args:
        folders: genre trees, prepared recordings or any folders with audio at the mel's sample rate. Each gets the
            same part of the segments; within prepared recordings each package does.
        weights: of the folders, relative to each other, where the parts are not to be the same.
        split_seed: of the split by hash, see :func:`data.sources.list_split`.
        segment_frames: length of a training segment, mel frames.
        gain_db: random gain of a segment, at most this, decibels.
        validation_clips: number of fixed clips, spread evenly over the same sources whatever the weights.
        validation_frames: their length, mel frames.
        augmentation: damage to the mel of a recording that the generator hears; what it is compared with stays the
            recording.
        translated: folders of `scripts.prepare translations`: mels that a translator made of recordings. The generator
            hears them, as they are, and is compared with the recordings.
        translated_share: of the segments that are such pairs, where there are folders of them; the best state is then
            chosen by both kinds in this proportion.
    """

    folders: tuple[str, ...]
    split_seed: int = 0
    segment_frames: int = 64
    gain_db: float = 6.0
    validation_clips: int = 12
    validation_frames: int = 344
    weights: dict[str, float] = field(default_factory=dict)
    augmentation: MelAugmentation = field(default_factory=MelAugmentation)
    translated: tuple[str, ...] = ()
    translated_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.translated_share <= 1:
            raise ValueError(f"translated_share must be in [0, 1], got {self.translated_share}")
        if self.translated and self.split_seed:
            raise ValueError(f"split_seed is {self.split_seed}, but translated mels are split with seed 0")


@dataclass(frozen=True)
class VocoderWeights:
    """Weights of the generator's losses.

    Args:
        stft: multi-resolution STFT loss of the refined waveform.
        raw_stft: the same of what the network alone makes.
        mel: L1 of log10 mels of what the network alone makes.
        adversarial: hinge loss.
        feature_matching: L1 of the discriminators' feature maps (10 in the paper).
        subband_stft: multi-resolution STFT loss of sub-bands of what the network alone makes (arXiv 2005.05106, section
            3); 0 for none.
    """

    stft: float = 1.0
    raw_stft: float = 0.5
    mel: float = 2.0
    adversarial: float = 1.0
    feature_matching: float = 10.0
    subband_stft: float = 0.0


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
        subbands = self.generator.subbands
        if self.weights.subband_stft and (samples % subbands or samples // subbands <= LARGEST_SUBBAND_REFLECTION):
            raise ValueError(
                f"segments of {samples} samples are too short for {subbands} sub-bands, or no multiple of them; "
                f"subband_stft needs more than {LARGEST_SUBBAND_REFLECTION} samples in each"
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
        if config.weights.subband_stft:
            self.filter_bank = FilterBank(config.generator.subbands)
            self.subband_loss = make_subband_loss()
            self.modules["filter_bank"] = self.filter_bank
        betas = (0.5, 0.9)
        self.optimizers = {
            "generator": torch.optim.Adam(self.vocoder.parameters(), lr=config.generator_lr, betas=betas),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), lr=config.discriminator_lr, betas=betas),
        }
        data = config.data
        self.segments = self._make_segments()
        self.pairs = self._make_pairs(self.segments) if data.translated else None
        self.validation_wavs = read_clips(
            validation_files(data.folders, data.validation_clips, data.split_seed),
            config.mel.sample_rate,
            data.validation_frames * config.mel.hop_length,
        )
        self.validation_pairs: list[tuple[Tensor, Tensor]] = []
        if data.translated:
            self.validation_pairs = self._read_pairs("valid", data.validation_frames).fixed(data.validation_clips)
            self.best_measure = "valid/mixed_mr_stft"
        self.synthesised: list[Tensor] = []
        self.first_frame: Tensor | int = 0

    def _make_segments(self) -> AudioSegments:
        data, mel = self.config.data, self.config.mel
        return AudioSegments(
            list_sources(data.folders, "train", data.weights, data.split_seed),
            sample_rate=mel.sample_rate,
            segment_samples=data.segment_frames * mel.hop_length,
            seed=self.config.loop.seed,
            gain_db=data.gain_db,
        )

    def _make_pairs(self, segments: AudioSegments) -> MixedSegments:
        share, seed = self.config.data.translated_share, self.config.loop.seed
        return MixedSegments(segments, self._read_pairs("train", self.config.data.segment_frames), share, seed)

    def _read_pairs(self, split: str, frames: int) -> TranslatedSegments:
        data = self.config.data
        return TranslatedSegments(
            data.translated,
            split=split,
            mel_config=self.config.mel,
            segment_frames=frames,
            seed=self.config.loop.seed,
            gain_db=data.gain_db,
        )

    @property
    def dataset(self) -> Dataset[Any]:
        """Waveform segments, or where there are translated mels, segments with a mel or none."""
        return self.segments if self.pairs is None else self.pairs

    def training_step(self, batch: Tensor | dict[str, Tensor], step: int, update: Update) -> dict[str, Tensor]:
        """Pre-training updates the generator alone; later steps update the discriminators first."""
        given = {"wav": batch} if isinstance(batch, Tensor) else batch
        mel = self.log_mel(given["wav"])
        heard = self._augment(mel, step)
        if "mel" in given:
            heard = torch.where(given["has_mel"][:, None, None], given["mel"], heard)
        self.first_frame = self._draw_first_frames(len(mel), step).to(mel.device)
        signals = {"real": given["wav"][:, None], "mel": mel, "heard": heard}
        if step < self.config.pretrain_steps:
            return self.generator_step(**signals, update=update, adversarial=False)
        losses = self.discriminator_step(real=signals["real"], heard=heard, update=update)
        return losses | self.generator_step(**signals, update=update, adversarial=True)

    def _draw_first_frames(self, batch: int, step: int) -> Tensor:
        """Where in a song of two hours the segments are said to lie, so that all phases of the carriers are met."""
        generator = torch.Generator().manual_seed(hash((self.config.loop.seed, step)) % 2**63)
        return torch.randint(620_000, (batch,), generator=generator)

    def _augment(self, mel: Tensor, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.config.loop.seed, step, AUGMENTATION_STREAM)) % 2**63)
        return augment_mel(mel, self.config.data.augmentation, generator, self.config.mel.log_floor)

    def synthesise(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """What the network alone makes of a mel, and the same after the refinement of training."""
        raw = self.vocoder.generator(mel, self.first_frame).float()
        refined = self.vocoder.refinement(raw[:, 0], mel, self.config.refine_iterations, low_bands=False)
        return raw, refined[:, None]

    def discriminator_step(self, *, real: Tensor, heard: Tensor, update: Update) -> dict[str, Tensor]:
        """Teach the discriminators to tell real waveforms from what is synthesised of the mel `heard`."""
        with torch.no_grad():
            _, fake = self.synthesise(heard)
        loss = hinge_discriminator(self.discriminator(real), self.discriminator(fake.detach()))
        update("discriminator", loss)
        return {"discriminator": loss.detach()}

    def generator_step(
        self, *, real: Tensor, mel: Tensor, heard: Tensor, update: Update, adversarial: bool
    ) -> dict[str, Tensor]:
        """Teach the generator to come near the real waveform and, if `adversarial`, to convince.

        Args:
            real: recordings (B, 1, samples).
            mel: theirs (B, n_mels, T), which the synthesis is compared with.
            heard: the mel that is synthesised; the refinement draws towards it, as at inference.
            update: the loop's.
            adversarial: whether the discriminators take part.
        """
        raw, fake = self.synthesise(heard)
        losses = {"stft": self.stft_loss(fake, real), "mel": (self.log_mel(raw[:, 0]) - mel).abs().mean()}
        weights = {"stft": self.config.weights.stft, "mel": self.config.weights.mel}
        if self.config.refine_iterations:
            losses["raw_stft"] = self.stft_loss(raw, real)
            weights["raw_stft"] = self.config.weights.raw_stft
        if self.config.weights.subband_stft:
            losses["subband_stft"] = subband_stft(raw, real, self.filter_bank, self.subband_loss)
            weights["subband_stft"] = self.config.weights.subband_stft
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
        """MR-STFT distance, mel L1 and chroma cosine between fixed clips and their synthesis.

        Where there are translated mels, the same again between their recordings and what is made of them.
        """
        device = next(self.vocoder.parameters()).device
        with evaluating(self.vocoder):
            clips = [(wav, self.log_mel(wav[None].to(device))[0]) for wav in self.validation_wavs]
            self.synthesised = [self._synthesise_clip(mel) for _, mel in clips]
            measures = self._compare("valid/", self.validation_wavs, self.synthesised)
            if self.validation_pairs:
                made = [self._synthesise_clip(mel.to(device)) for _, mel in self.validation_pairs]
                measures |= self._compare("valid/translated_", [wav for wav, _ in self.validation_pairs], made)
                natural, translated = measures["valid/mr_stft"], measures["valid/translated_mr_stft"]
                share = self.config.data.translated_share
                measures["valid/mixed_mr_stft"] = (1 - share) * natural + share * translated
        return measures

    def _synthesise_clip(self, mel: Tensor) -> Tensor:
        wav: Tensor = self.vocoder(mel[None])[0, 0].float().cpu()
        return wav

    def _compare(self, prefix: str, wavs: Sequence[Tensor], fakes: Sequence[Tensor]) -> dict[str, float]:
        """Means of the measures over pairs of waveforms."""
        totals = dict.fromkeys(("mr_stft", "mel_l1", "chroma"), 0.0)
        for wav, fake in zip(wavs, fakes, strict=True):
            totals["mr_stft"] += multi_resolution_stft_distance(fake, wav)
            totals["mel_l1"] += mel_l1(fake, wav)
            totals["chroma"] += chroma_cosine(fake, wav, self.config.mel.sample_rate)
        return {prefix + name: total / len(wavs) for name, total in totals.items()}

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
