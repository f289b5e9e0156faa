"""Mix two translators, or two vocoders, of the same build into one: the weighted mean of their weights.

python -m scripts.mix_models FIRST SECOND -o OUT [--share 0.5]

Where one was fine-tuned from the other, the mean often has the better side of both (Wortsman et al., "Model soups",
arXiv 2203.05482).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from data.errors import UserError
from data.plain import read_json
from scripts.command_line import run_command


def mix(
    first: Annotated[Path, typer.Argument(help="Model folder.")],
    second: Annotated[Path, typer.Argument(help="Model folder of the same build.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to make.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the second.")] = 0.5,
) -> int:
    """Write the mean of two models, with what is known of both."""
    if output.exists():
        raise UserError(f"{output} exists; name a folder that does not")
    documents = [_read(folder) for folder in (first, second)]
    for name in ("kind", "mel", "model"):
        if documents[0].get(name) != documents[1].get(name):
            raise UserError(f"{first} and {second} differ in {name}; only models of the same build can be mixed")
    from melgan import Vocoder
    from travelgan import Translator

    kinds: dict[str, type[Vocoder] | type[Translator]] = {"vocoder": Vocoder, "translator": Translator}
    kind = kinds[documents[0]["kind"]]
    mixed, other = kind.from_pretrained(first), kind.from_pretrained(second).state_dict()
    mixed.load_state_dict(
        {name: value.lerp(other[name], share) if value.is_floating_point() else value
         for name, value in mixed.state_dict().items()}
    )  # fmt: skip
    parts = [
        {"model": str(folder), "share": part, "training": document.get("training", {})}
        for folder, part, document in zip((first, second), (1 - share, share), documents, strict=True)
    ]
    mixed.save_pretrained(output, {"mixed": parts})
    print(f"{1 - share:g} of {first} and {share:g} of {second} are {output}")
    return 0


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        document = read_json(path)
    except (OSError, ValueError):
        raise UserError(f"{path} cannot be read; expected a model folder") from None
    if not isinstance(document, dict) or document.get("kind") not in ("translator", "vocoder"):
        raise UserError(f"{folder} is no translator and no vocoder")
    return document


if __name__ == "__main__":
    run_command(mix)
