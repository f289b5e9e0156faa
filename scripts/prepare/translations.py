"""Recordings through a translator into their own style, for a vocoder to be fine-tuned on what it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scripts.prepare.console import track
from stylize_core.errors import UserError


def translations(
    folders: Annotated[list[Path], typer.Argument(help="Corpora, prepared recordings or other folders.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder; an unfinished one is completed.")] = Path(
        "translated"
    ),
    model: Annotated[Path | None, typer.Option(help="Translator; the bundled one unless given.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; may be repeated.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Write NAME.safetensors with the translated mel of every recording, and manifest.jsonl."""
    from data.manifest import file_digest
    from data.translated import TranslatedFolder, plan_translations
    from stylize import translate
    from stylize.models import BUNDLED_TRANSLATOR, find_device
    from stylize_core.model_folder import WEIGHTS_NAME, read_mel_config, read_model_config
    from travelgan import Translator

    model = model or BUNDLED_TRANSLATOR
    config = read_model_config(model, "translator")
    tasks = plan_translations(folders, split or ("train", "valid", "test"), config["model"]["styles"])
    translator = Translator.from_pretrained(model).to(find_device(device))
    folder = TranslatedFolder.create(output, read_mel_config(config), file_digest(model / WEIGHTS_NAME))
    wanted = [task for task in tasks if not folder.is_finished(task.file, task.audio)]
    skipped = 0
    for task in track(wanted, "translating", len(wanted)):
        try:
            mel = translate.translate_recording(task.audio, translator, task.style)
        except UserError as error:
            typer.echo(f"skipped {task.audio}: {error}")
            skipped += 1
            continue
        folder.add(task.file, mel, audio=task.audio, source=task.source, split=task.split, style=task.style)
    minutes = sum(entry.frames for entry in folder.entries.values()) / folder.mel_config.frames_per_second / 60
    typer.echo(f"{output}: {len(folder.entries)} mels, {minutes:.1f} minutes ({len(wanted) - skipped} of them new)")
    if not folder.entries:
        raise UserError(f"none of {len(tasks)} recordings could be translated")
