"""The classic pair of domains is the case of two styles: all losses together, one step of each player."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stylize_core.mel import MelConfig
from training.gan import feature_matching, hinge_discriminator, hinge_generator, masked_l1
from travelgan import GeneratorConfig, SiameseConfig, Translator, TranslatorConfig
from travelgan import losses as L
from travelgan.config import DiscriminatorConfig
from travelgan.discriminator import Discriminator

BINS, FRAMES = 8, 32


def generator_losses(translator: Translator, discriminator: Discriminator, mel: Tensor) -> Tensor:
    source, target = torch.tensor([0, 1, 0, 1]), torch.tensor([1, 0, 1, 0])
    prototypes = translator.siamese.style_prototypes()
    output = translator.generator(mel, prototypes[target])
    before, after = translator.siamese(mel), translator.siamese(output)
    fake, real = discriminator(output, target), discriminator(mel.flip(0), target)
    has_pair = torch.tensor([True, False, True, False])
    return torch.stack(
        [
            hinge_generator(fake).mean(),
            feature_matching(real, fake, has_pair),
            L.travel_loss(before.content, after.content),
            L.siamese_margin(before.content, 10.0),
            L.contrastive_style(before.style, source, prototypes, 1.0),
            L.style_cosine(after.style, prototypes[target]),
            masked_l1(translator.generator(mel, prototypes[source]), mel),
            masked_l1(output, mel.flip(0), has_pair),
        ]
    )


def unmoved(before: dict[str, Tensor], network: nn.Module) -> list[str]:
    return [name for name, value in network.named_parameters() if torch.equal(before[name], value)]


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_two_styles_train_a_step(
    generator_config: GeneratorConfig,
    discriminator_config: DiscriminatorConfig,
    siamese_config: SiameseConfig,
) -> None:
    config = TranslatorConfig(("jazz", "rock"), generator=generator_config, siamese=siamese_config)
    translator = Translator(config, MelConfig(n_mels=BINS))
    discriminator = Discriminator(discriminator_config, BINS, len(config.styles))
    mel, labels = torch.randn(4, BINS, FRAMES) - 2, torch.tensor([0, 1, 0, 1])

    opponent = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    before, player_before = copy_of(discriminator), copy_of(translator)
    with torch.no_grad():
        fake = translator.generator(mel, translator.siamese.style_prototypes()[1 - labels])
    hinge_discriminator(discriminator(mel, labels), discriminator(fake, 1 - labels)).mean().backward()
    opponent.step()
    # While all scores are within the margin, real and fake push the last bias equally up and down.
    assert [name for name in unmoved(before, discriminator) if not name.endswith("score.convolution.bias")] == []
    assert len(unmoved(player_before, translator)) == len(player_before)

    player = torch.optim.Adam(translator.parameters(), lr=1e-3)
    first = generator_losses(translator, discriminator, mel)
    first.sum().backward()
    player.step()
    assert unmoved(player_before, translator) == []
    assert first.isfinite().all()


def test_a_pair_is_learnt(generator_config: GeneratorConfig, siamese_config: SiameseConfig) -> None:
    """Two styles that differ by a known change: one up, the other down by 1; each direction is learnt."""
    config = TranslatorConfig(("down", "up"), generator=generator_config, siamese=siamese_config)
    translator = Translator(config, MelConfig(n_mels=BINS))
    song = torch.randn(8, BINS, FRAMES).cumsum(-1).tanh() - 2
    labels = torch.tensor([0, 1]).repeat(4)
    shift = (2.0 * labels - 1)[:, None, None]
    style = translator.siamese.style_prototypes()[1 - labels].detach()
    optimizer = torch.optim.Adam(translator.generator.parameters(), lr=1e-2)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = masked_l1(translator.generator(song + shift, style), song - shift, torch.ones(8, dtype=torch.bool))
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > 1.5
    assert values[-1] < 0.4
