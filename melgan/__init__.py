"""MelGAN: log-mel spectrogram to waveform."""

from melgan.config import DiscriminatorConfig, GeneratorConfig
from melgan.generator import Generator
from melgan.vocoder import Vocoder

__all__ = ["DiscriminatorConfig", "Generator", "GeneratorConfig", "Vocoder"]
