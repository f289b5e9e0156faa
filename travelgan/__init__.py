"""TraVeLGAN: log-mel spectrogram to the log-mel spectrogram of another style."""

from travelgan.config import GeneratorConfig, SiameseConfig, TranslatorConfig
from travelgan.generator import Generator
from travelgan.siamese import Siamese
from travelgan.translator import Translator

__all__ = ["Generator", "GeneratorConfig", "Siamese", "SiameseConfig", "Translator", "TranslatorConfig"]
