"""The configuration of a vocoder run, as the YAML files in configs/ have it."""

from __future__ import annotations

from dataclasses import dataclass, field

from data.mel_augmentation import MelAugmentation
from melgan.config import DiscriminatorConfig, GeneratorConfig, SubbandHeadConfig
from melgan.losses import MAX_SUBBAND_REFLECTION
from training.gan import AdversaryConfig
from training.loop_config import AudioData, TrainingConfig, check_together


@dataclass(frozen=True, kw_only=True)
class VocoderData(AudioData):
    """Data of the vocoder; folders, and within prepared recordings packages, get equal parts of the segments.

    Args:
        folders, split_seed, segment_frames, gain_db, validation_clips, validation_frames: see
            :class:`training.loop_config.AudioData`.
        weights: relative weights of the folders, in place of equal parts.
        augmentation: damage to the generator's input mel; its target stays the recording.
        translated: folders of `scripts.prepare translations`: input mels that a translator made of recordings, which
            are the targets.
        translated_share: share of the segments that are such pairs, also in the choice of the best state.
    """

    segment_frames: int = 64
    validation_clips: int = 12
    weights: dict[str, float] = field(default_factory=dict)
    augmentation: MelAugmentation | None = None
    translated: tuple[str, ...] = ()
    translated_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.translated_share <= 1:
            raise ValueError(f"translated_share must be in [0, 1], got {self.translated_share}")
        check_together(translated=self.translated, translated_share=self.translated_share)
        if self.translated and self.split_seed:
            raise ValueError(f"split_seed is {self.split_seed}, but translated mels are split with seed 0")


@dataclass(frozen=True)
class VocoderWeights:
    """Weights of the generator's spectral losses; a term of weight 0 is not computed.

    Args:
        stft: multi-resolution STFT loss of the refined waveform.
        raw_stft: multi-resolution STFT loss of the network's output before refinement.
        mel: L1 of log10 mels of the network's output.
        subband_stft: multi-resolution STFT loss of sub-bands of the network's output, for the head `subbands`.
    """

    stft: float = 1.0
    raw_stft: float = 0.0
    mel: float = 2.0
    subband_stft: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VocoderAdversary(AdversaryConfig):
    """Adversarial part of a vocoder training.

    Args:
        learning_rate, first_step, adversarial, feature_matching: see :class:`training.gan.AdversaryConfig`.
        discriminator: the networks.
    """

    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    feature_matching: float = 10.0


@dataclass(frozen=True, kw_only=True)
class VocoderTraining(TrainingConfig):
    """The configuration of a vocoder run.

    Args:
        loop, mel, learning_rate, init_from: see :class:`training.loop_config.TrainingConfig`.
        data: folders and segments.
        generator: the network.
        weights: weights of the spectral losses.
        adversary: the adversarial part; null to train on the spectral losses alone.
        stft_sizes: transforms of the multi-resolution loss, samples; hops are a quarter.
        refine_iterations: refinement iterations in training, with gradients; fewer than at inference are enough.
    """

    data: VocoderData
    generator: GeneratorConfig
    weights: VocoderWeights = field(default_factory=VocoderWeights)
    adversary: VocoderAdversary | None = None
    stft_sizes: tuple[int, ...] = (512, 1024, 2048)
    refine_iterations: int = 0

    def __post_init__(self) -> None:
        for name in ("n_mels", "hop_length"):
            network, front_end = getattr(self.generator, name), getattr(self.mel, name)
            if network != front_end:
                raise ValueError(f"{name} is {network} in generator and {front_end} in mel; they must be equal")
        if self.adversary is not None:
            self.adversary.check_steps(self.loop.steps)
        if self.weights.raw_stft and not self.refine_iterations:
            raise ValueError("weights.raw_stft is the same as weights.stft at refine_iterations 0; leave it out")
        samples = self.data.segment_frames * self.mel.hop_length
        needed = 1 + max(self.mel.context, *(size // 2 for size in self.stft_sizes))
        if samples < needed:
            raise ValueError(
                f"segments of {self.data.segment_frames} frames are {samples} samples; the transforms of mel and "
                f"stft_sizes need at least {needed}"
            )
        if self.weights.subband_stft:
            self._check_subbands(samples)

    def _check_subbands(self, samples: int) -> None:
        head = self.generator.head
        if not isinstance(head, SubbandHeadConfig):
            raise ValueError(f"weights.subband_stft is for the head subbands, got the head {head.kind}")
        if samples % head.subbands or samples // head.subbands <= MAX_SUBBAND_REFLECTION:
            raise ValueError(
                f"segments of {samples} samples are too short for {head.subbands} sub-bands, or no multiple of them; "
                f"subband_stft needs more than {MAX_SUBBAND_REFLECTION} samples in each"
            )
