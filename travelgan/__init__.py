"""TraVelGAN: log-mel spectrogram to the log-mel spectrogram of another style."""

from travelgan.config import DiscriminatorConfig, GeneratorConfig, SiameseConfig, TranslatorConfig
from travelgan.discriminator import Discriminator
from travelgan.generator import Generator
from travelgan.siamese import Siamese
from travelgan.translator import Translator

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Siamese",
    "SiameseConfig",
    "Translator",
    "TranslatorConfig",
]
