"""Send recordings through a translator into their own style, for a vocoder to be fine-tuned on what it makes.

python -m scripts.translate_for_vocoder corpus recordings -o translated
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import UserError
from scripts.command_line import run_command

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from travelgan import Translator

BLOCK_FRAMES = 2048
REFERENCE_SECONDS = 120.0
"""A recording's own style is taken from its first so many seconds, as `stylize --like` does."""
ITSELF = "itself"
SPLITS = ("train", "valid", "test", "test_groove", "test_soundfont")


@dataclass(frozen=True)
class Task:
    """One recording to translate; `style` is a style's name or `itself`, the others as in the manifest."""

    audio: Path
    file: str
    source: str
    split: str
    style: str


def command(
    folders: Annotated[list[Path], typer.Argument(help="Corpora, prepared recordings or other folders.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; an unfinished one is completed.")],
    model: Annotated[Path | None, typer.Option(help="Translator; the bundled one unless given.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only these splits; repeat it for several.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Write OUT/NAME.safetensors with the translated mel of every recording, and OUT/manifest.jsonl."""
    from rich.progress import track

    from data.translated import TranslatedFolder
    from stylize.models import BUNDLED_TRANSLATOR, find_device
    from training.pretrained import WEIGHTS_NAME, read_mel_config, read_model_config

    splits = tuple(split or ("train", "valid", "test"))
    if unknown := [name for name in splits if name not in SPLITS]:
        raise UserError(f"unknown split {unknown[0]!r}; known splits: {', '.join(SPLITS)}")
    model = model or BUNDLED_TRANSLATOR
    config = read_model_config(model, "translator")
    tasks = plan(folders, splits, tuple(config["model"]["styles"]))
    translator = load_translator(model, device=find_device(device))
    with (model / WEIGHTS_NAME).open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    folder = TranslatedFolder.create(out, read_mel_config(config), digest)
    wanted = [task for task in tasks if not folder.is_finished(task.file, task.audio)]
    skipped: list[str] = []
    for task in track(wanted, "translating", disable=not wanted):
        try:
            mel = translate(task, translator)
        except UserError as error:
            skipped.append(f"skipped {task.audio}: {error}")
            continue
        folder.add(task.file, mel, audio=task.audio, source=task.source, split=task.split, style=task.style)
    for line in skipped:
        typer.echo(line)
    minutes = sum(entry.frames for entry in folder.entries.values()) / folder.mel_config.frames_per_second / 60
    typer.echo(f"{out}: {len(folder.entries)} mels, {minutes:.1f} minutes ({len(wanted) - len(skipped)} of them new)")
    if not folder.entries:
        raise UserError(f"none of {len(tasks)} recordings could be translated")


def plan(folders: list[Path], splits: tuple[str, ...], styles: tuple[str, ...]) -> list[Task]:
    """All recordings of the splits, each with the style that is its own.

    Raises:
        UserError: a folder is missing or has no audio; two folders have the same name; there is nothing of the splits.
    """
    from data.sources import list_sources

    names = [folder.resolve().name for folder in folders]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{doubled.count(doubled[0])} folders are called {doubled[0]}; give them names of their own")
    tasks = []
    for folder, name in zip(folders, names, strict=True):
        labels = _genres(folder)
        for split in splits:
            try:
                sources = list_sources([folder], split)
            except UserError as error:
                if "no audio of split" in str(error):
                    continue
                raise
            for source in sources:
                for audio in source.files:
                    label = labels.get(audio)
                    file = f"{name}/{audio.relative_to(folder)}.safetensors"
                    style = label if label in styles else ITSELF
                    tasks.append(Task(audio, file, source.name, split, style))
    if not tasks:
        raise UserError(f"nothing of the splits {', '.join(splits)} in {', '.join(map(str, folders))}")
    return tasks


def _genres(folder: Path) -> dict[Path, str]:
    """Genre of each file of a genre tree; nothing for other folders."""
    from data.folder import index_folder

    try:
        return {clip.path: clip.genre for clip in index_folder(folder)}
    except UserError:
        return {}


def load_translator(model: Path, device: object) -> Translator:
    """The translator on its device."""
    from travelgan import Translator

    return Translator.from_pretrained(model).to(device)  # type: ignore[call-overload, no-any-return]


def translate(task: Task, translator: Translator) -> np.ndarray:
    """The translator's mel of a recording in its own style, block by block, silence kept.

    Shape: (n_mels, samples // hop_length), float16.

    Raises:
        UserError: the recording cannot be read, or is too short.
    """
    import numpy as np
    import torch

    from data.audio import probe_audio
    from stylize.silence import find_silent_frames

    config = translator.mel_config
    info = probe_audio(task.audio)
    with torch.inference_mode():
        style = translator.style_vector({task.style: 1.0}) if task.style != ITSELF else _own_style(task, translator)
        pieces = []
        for mel, first, last in _blocks(task.audio, translator):
            translated = translator(mel, style[None]).masked_fill(
                find_silent_frames(mel, config)[:, None], config.log_floor
            )
            pieces.append(translated[0, :, first:last].half().cpu().numpy())
    whole = np.concatenate(pieces, axis=1)
    # The last frame may be padded; a frame that is not wholly the recording's has no samples to go with it.
    frames = info.frames * config.sample_rate // info.sample_rate // config.hop_length
    return whole[:, :frames]


def _blocks(audio: Path, translator: Translator) -> Iterator[tuple[Tensor, int, int]]:
    """Mels of windows (1, n_mels, T), each with the frames of it that count."""
    import torch

    from data.audio import AudioReader
    from data.mel import LogMel
    from stylize.blocks import BlockLayout, iterate_windows

    config = translator.mel_config
    device = next(translator.parameters()).device
    log_mel = LogMel(config).to(device)
    layout = BlockLayout.for_networks(
        hop_length=config.hop_length,
        mel_context=config.context,
        frame_multiple=translator.frame_multiple,
        network_contexts=(translator.context_frames,),
        block_frames=BLOCK_FRAMES,
    )
    with AudioReader(audio, config.sample_rate, mono=True) as reader:
        for window in iterate_windows(reader.read, 1, layout):
            samples = torch.from_numpy(window.samples.copy()).to(device)
            yield log_mel(samples, padded=True), window.start - window.first_frame, window.stop - window.first_frame


def _own_style(task: Task, translator: Translator) -> Tensor:
    import torch

    from data.audio import AudioReader
    from data.mel import LogMel

    config = translator.mel_config
    with AudioReader(task.audio, config.sample_rate, mono=True) as reader:
        wav = reader.read(round(REFERENCE_SECONDS * config.sample_rate))
    if wav.shape[1] <= config.context:
        raise UserError(f"it has {wav.shape[1]} samples, at least {config.context + 1} are needed")
    device = next(translator.parameters()).device
    return translator.style_of(LogMel(config).to(device)(torch.from_numpy(wav).to(device)))


if __name__ == "__main__":
    run_command(command)
