"""Training of the vocoder: on spectral losses alone first (Multi-band MelGAN, section 3), then with discriminators.

Papers: MelGAN, arXiv 1910.06711, section 2.3; Multi-band MelGAN, arXiv 2005.05106.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data.mel_augmentation import augment_mel
from data.segments import AudioSegments, read_clips
from data.sources import list_sources, validation_files
from data.translated import MixedSegments, TranslatedSegments
from melgan.config import SubbandHeadConfig
from melgan.discriminator import MultiScaleDiscriminator
from melgan.layers import add_weight_norm
from melgan.losses import SubbandSTFTLoss, make_stft_loss
from melgan.training_config import VocoderTraining
from melgan.vocoder import KIND, Vocoder
from stylize_core.mel import LogMel
from stylize_core.metrics.waveform import chroma_cosine, mel_l1, multi_resolution_stft_distance
from stylize_core.model_folder import load_init
from training.experiment import Experiment, Sample, Update, evaluating, minimize, sample_pair
from training.gan import adversarial_losses, hinge_discriminator
from training.sampler import derive_seed

MAX_FIRST_FRAME = 620_000
"""Positions of segments are drawn from two hours, so that all phases of the oscillators occur."""


class VocoderExperiment(Experiment):
    """Trains a :class:`melgan.Vocoder`.

    Raises:
        UserError: a folder is missing or has no audio of a split.
    """

    config_class = VocoderTraining
    averaged = ("vocoder",)
    best_measure = "valid/mr_stft"

    def __init__(self, config: VocoderTraining) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.vocoder = Vocoder(config.generator, config.mel)
        if config.init_from is not None:
            load_init(self.vocoder.generator, config.init_from, KIND, config.mel)
        add_weight_norm(self.vocoder)
        self.log_mel = LogMel(config.mel)
        # The front-end has no state; as a module it moves to the device.
        self.modules: dict[str, nn.Module] = {"vocoder": self.vocoder, "log_mel": self.log_mel}
        betas = (0.5, 0.9)
        self.optimizers = {"generator": torch.optim.Adam(self.vocoder.parameters(), config.learning_rate, betas)}
        self.discriminator: MultiScaleDiscriminator | None = None
        if adversary := config.adversary:
            self.discriminator = MultiScaleDiscriminator(adversary.discriminator)
            add_weight_norm(self.discriminator)
            self.modules["discriminator"] = self.discriminator
            parameters = self.discriminator.parameters()
            self.optimizers["discriminator"] = torch.optim.Adam(parameters, adversary.learning_rate, betas)
        self.stft_loss = make_stft_loss(config.stft_sizes)
        if config.weights.subband_stft and isinstance(config.generator.head, SubbandHeadConfig):
            self.modules["subband_loss"] = self.subband_loss = SubbandSTFTLoss(config.generator.head.subbands)
        self._open_data()
        self.synthesized: list[Tensor] = []
        self.first_frame: Tensor | int = 0

    def _open_data(self) -> None:
        data, mel, seed = self.config.data, self.config.mel, self.config.loop.seed
        self.segments = AudioSegments(
            list_sources(data.folders, "train", data.weights, data.split_seed),
            sample_rate=mel.sample_rate,
            segment_samples=data.segment_frames * mel.hop_length,
            seed=seed,
            gain_db=data.gain_db,
        )
        self.validation_wavs = read_clips(
            validation_files(data.folders, data.validation_clips, data.split_seed),
            mel.sample_rate,
            data.validation_frames * mel.hop_length,
        )
        self.dataset = self.segments
        self.validation_pairs: list[tuple[Tensor, Tensor]] = []
        if data.translated:
            pairs = self._read_pairs("train", data.segment_frames)
            self.dataset = MixedSegments(self.segments, pairs, data.translated_share, seed)
            self.validation_pairs = self._read_pairs("valid", data.validation_frames).fixed(data.validation_clips)
            self.best_measure = "valid/mixed_mr_stft"

    def _read_pairs(self, split: str, frames: int) -> TranslatedSegments:
        data, mel, seed = self.config.data, self.config.mel, self.config.loop.seed
        return TranslatedSegments(
            data.translated, split=split, mel_config=mel, segment_frames=frames, seed=seed, gain_db=data.gain_db
        )

    def training_step(self, batch: Tensor | dict[str, Tensor], step: int, update: Update) -> dict[str, Tensor]:
        """The discriminators first, from their first step on, then the generator."""
        given = {"wav": batch} if isinstance(batch, Tensor) else batch
        mel = self.log_mel(given["wav"])
        conditioning = self._augment(mel, step)
        if "mel" in given:
            conditioning = torch.where(given["has_mel"][:, None, None], given["mel"], conditioning)
        frames = torch.randint(MAX_FIRST_FRAME, (len(mel),), generator=self._generator("first frames", step))
        self.first_frame = frames.to(mel.device)
        real, adversary = given["wav"][:, None], self.config.adversary
        adversarial = adversary is not None and step >= adversary.first_step
        losses = self.discriminator_step(real=real, conditioning=conditioning, update=update) if adversarial else {}
        return losses | self.generator_step(
            real=real, mel=mel, conditioning=conditioning, update=update, adversarial=adversarial
        )

    def _generator(self, use: str, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(use, self.config.loop.seed, step))

    def _augment(self, mel: Tensor, step: int) -> Tensor:
        augmentation = self.config.data.augmentation
        if augmentation is None:
            return mel
        return augment_mel(mel, augmentation, self._generator("augmentation", step), self.config.mel.log_floor)

    def synthesize(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """The network's output, before and after the refinement of training."""
        raw = self.vocoder.generator(mel, self.first_frame).float()
        refined = self.vocoder.refinement(raw[:, 0], mel, self.config.refine_iterations, low_bands=False)
        return raw, refined[:, None]

    def discriminator_step(self, *, real: Tensor, conditioning: Tensor, update: Update) -> dict[str, Tensor]:
        """Train the discriminators on real waveforms and on syntheses of the mel `conditioning`."""
        assert self.discriminator is not None
        with torch.no_grad():
            _, fake = self.synthesize(conditioning)
        loss = hinge_discriminator(self.discriminator(real), self.discriminator(fake)).sum()
        update("discriminator", loss)
        return {"discriminator": loss.detach()}

    def generator_step(
        self, *, real: Tensor, mel: Tensor, conditioning: Tensor, update: Update, adversarial: bool
    ) -> dict[str, Tensor]:
        """Train the generator on spectral losses and, if `adversarial`, on those of the discriminators.

        Args:
            real: recordings (B, 1, samples).
            mel: their mels (B, n_mels, T), targets of the mel loss.
            conditioning: mels that are synthesized, and targets of the refinement.
            update: minimizes the loss.
            adversarial: whether the discriminators take part.
        """
        raw, fake = self.synthesize(conditioning)
        config = self.config.weights
        losses = {"stft": self.stft_loss(fake, real), "mel": (self.log_mel(raw[:, 0]) - mel).abs().mean()}
        weights = {"stft": config.stft, "mel": config.mel}
        if config.raw_stft:
            losses["raw_stft"], weights["raw_stft"] = self.stft_loss(raw, real), config.raw_stft
        if config.subband_stft:
            losses["subband_stft"], weights["subband_stft"] = self.subband_loss(raw, real), config.subband_stft
        if adversarial:
            assert self.discriminator is not None and self.config.adversary is not None
            names = self.config.adversary.weights
            losses |= adversarial_losses(self.discriminator, self.discriminator, names, fake=fake, wanted=real)
            losses["adversarial"] = losses["adversarial"].sum()
            weights |= names
        return minimize(update, "generator", losses, weights)

    def validate(self) -> dict[str, float]:
        """MR-STFT distance, mel L1 and chroma cosine between clips and their synthesis, from translated mels too."""
        device = next(self.vocoder.parameters()).device
        with evaluating(self.vocoder):
            mels = [self.log_mel(wav[None].to(device))[0] for wav in self.validation_wavs]
            self.synthesized = [self._synthesize_clip(mel) for mel in mels]
            measures = self._compare("valid/", self.validation_wavs, self.synthesized)
            if self.validation_pairs:
                made = [self._synthesize_clip(mel.to(device)) for _, mel in self.validation_pairs]
                measures |= self._compare("valid/translated_", [wav for wav, _ in self.validation_pairs], made)
                natural, translated = measures["valid/mr_stft"], measures["valid/translated_mr_stft"]
                share = self.config.data.translated_share
                measures["valid/mixed_mr_stft"] = (1 - share) * natural + share * translated
        return measures

    def _synthesize_clip(self, mel: Tensor) -> Tensor:
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
        """The first four validation clips, original and synthesized."""
        rate, log_mel = self.config.mel.sample_rate, LogMel(self.config.mel)
        samples = []
        for index, (wav, fake) in enumerate(zip(self.validation_wavs[:4], self.synthesized[:4], strict=True)):
            mels = {"original": log_mel(wav[None])[0], "synthesized": log_mel(fake[None])[0]}
            wavs = wav.numpy(), fake.numpy()
            samples += sample_pair(f"clip-{index}-original", f"clip-{index}", wavs, rate, mels)
        return samples
