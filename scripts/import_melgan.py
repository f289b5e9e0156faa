"""Convert generator weights published by the original MelGAN repository into a model folder of this project.

python -m scripts.import_melgan FILE -o MODEL
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import torch
import typer

from melgan.importing import import_published
from scripts.command_line import run_command
from stylize_core.errors import UserError


def import_melgan(
    file: Annotated[Path, typer.Argument(help="State dict of the original repository's generator (.pt).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model folder to write.")],
) -> None:
    """Convert published MelGAN weights; tensors only are read, no code in the file is ever run."""
    if output.exists():
        raise UserError(f"{output} exists; name a folder that does not")
    if not file.is_file():
        raise UserError(f"file not found: {file}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other versions; what cannot be read is said below
            state_dict = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the restricted reader stumbles over in a file that can hold anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"{file} is not a plain state dict of tensors ({reason})") from None
    named = isinstance(state_dict, dict) and all(isinstance(name, str) for name in state_dict)
    if not named or not all(isinstance(value, torch.Tensor) for value in state_dict.values()):
        raise UserError(f"{file} is not a plain state dict of tensors")
    vocoder = import_published(state_dict, str(file))
    # Single precision, so that the waveform stays the original's.
    vocoder.save_pretrained(output, {"imported_from": file.name}, half=False)
    parameters = sum(parameter.numel() for parameter in vocoder.parameters())
    typer.echo(f"wrote {output} ({parameters / 1e6:.2f} M parameters, 80 mel bins)")


if __name__ == "__main__":
    run_command(import_melgan)
