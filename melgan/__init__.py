"""MelGAN: log-mel spectrogram to waveform."""

from melgan.config import GeneratorConfig
from melgan.generator import Generator
from melgan.vocoder import Vocoder

__all__ = ["Generator", "GeneratorConfig", "Vocoder"]
