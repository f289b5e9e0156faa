"""The translator's benchmark: chooses pairs, runs systems, writes the report."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch

from data.folder import Clip, index_folder
from data.sources import list_split
from stylize.evaluate.benchmarks.bench import Bench, Measurements, Row, Split, measure_accuracy, read_reference
from stylize.evaluate.benchmarks.leaks import SEEN_SPLITS
from stylize.evaluate.benchmarks.pairs import REAL_SPLIT, rendered_pairs, unlabeled_pairs
from stylize.evaluate.benchmarks.settings import SIZES, Settings, check_leaks, check_settings
from stylize.evaluate.benchmarks.summary import compare_with_baseline, summarize_split, summarize_sweep, sweep_systems
from stylize.evaluate.benchmarks.translator_report import flat_summary, write_report
from stylize.evaluate.benchmarks.verdict import check_targets, load_targets, plain
from stylize.evaluate.excerpts import Excerpts, each_readable
from stylize.evaluate.metrics.multipitch import RATE
from stylize.evaluate.metrics.similarity import BUNDLED_CLASSIFIER, StyleClassifier
from stylize.evaluate.report import describe_machine, write_text
from stylize.evaluate.systems import (
    COPY_CONTENT,
    COPY_STYLE,
    GROUND_TRUTH,
    TRUTH_VOCODER,
    Baseline,
    ByExample,
    Copy,
    Folder,
    Pair,
    Pipeline,
    System,
    TruthThroughVocoder,
    weights_key,
)
from stylize.models import find_device
from stylize.pipeline import Stylizer
from stylize_core.atomic import atomic_write
from stylize_core.audio.folder import list_audio
from stylize_core.errors import UserError
from stylize_core.wandb_run import open_wandb_run

MANIFEST_NAME = "manifest.jsonl"


class Evaluation:
    """A benchmark with valid settings and material that leaks nothing."""

    def __init__(self, settings: Settings, notify: Callable[[str], None]) -> None:
        check_settings(settings)
        self.held_out, self.trained_on = check_leaks(settings)
        self.settings, self.notify = settings, notify
        torch.set_num_threads(settings.threads)
        find_device(settings.device)
        self.classifier = StyleClassifier.from_pretrained(settings.classifier)
        self.excerpts = Excerpts(settings.sizes.seconds)
        self.models = settings.named_models
        self.stylizers = [
            Stylizer.from_pretrained(model.translator, model.vocoder, settings.device) for model in self.models
        ]
        self.keys = [weights_key(model.translator, model.vocoder) for model in self.models]
        self.clips: list[Clip] = index_folder(settings.corpus) if settings.corpus.is_dir() else []
        self.styles = self._common_styles()
        self.pairs = self._choose_pairs()
        self.folders = [Folder(name, folder) for name, folder in settings.named_systems]
        for folder in self.folders:
            folder.check([pair for pairs in self.pairs.values() for pair in pairs])

    def _common_styles(self) -> list[str]:
        """Styles known to all models, the classifier and the corpus."""
        known = [set(stylizer.styles) for stylizer in self.stylizers] + [set(self.classifier.genres)]
        if self.clips:
            known.append({clip.genre for clip in self.clips})
        styles = sorted(set.intersection(*known))
        if len(styles) < 2:
            raise UserError(
                f"models, classifier and corpus have {len(styles)} styles in common; expected two or more to translate"
            )
        return styles

    def _choose_pairs(self) -> dict[str, list[Pair]]:
        settings, chosen = self.settings, {}
        for split in settings.rendered_splits:
            pairs = rendered_pairs(self.clips, split, self.styles, settings.sizes.pairs, settings.seed)
            if pairs:
                chosen[split] = self._readable(pairs)
            elif settings.splits:
                raise UserError(f"{settings.corpus} has no song of split {split} in two of {', '.join(self.styles)}")
        if settings.has_real_split:
            files = list_split(settings.recordings, "test")
            chosen[REAL_SPLIT] = self._unlabeled(REAL_SPLIT, settings.recordings, files)
        for folder in settings.folders:
            name = folder.resolve().name
            chosen[name] = self._unlabeled(name, folder, list_audio(folder))
        if not chosen:
            raise UserError(f"{settings.corpus} has none of the test splits; render one with `scripts.prepare corpus`")
        return chosen

    def _readable(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Pairs with readable recordings only."""
        of_pair = {pair.name: {pair.source, pair.truth, pair.style, pair.example} - {None} for pair in pairs}
        wanted = dict.fromkeys(path for paths in of_pair.values() for path in paths if path is not None)
        readable = {excerpt.path for excerpt in each_readable(sorted(wanted), self.excerpts.load)}
        return [pair for pair in pairs if of_pair[pair.name] <= readable]

    def _unlabeled(self, split: str, root: Path, files: Sequence[Path]) -> list[Pair]:
        usable = self.excerpts.audible(files)
        if not usable:
            raise UserError(f"{root} has no recording that is audible in its middle, among {len(files)} to test with")

        def predict(path: Path) -> str:
            return self.classifier.predict(self.excerpts.load(path)).genre

        return unlabeled_pairs(
            split, root, usable, predict, self.clips, self.styles, self.settings.sizes.real_pairs, self.settings.seed
        )

    def export(self, folder: Path) -> Path:
        """Write all pairs for other systems, without ground truths; returns the manifest.

        Keys of its lines: `pair`, `split`, `input`, `style_example` (or null), `source_style`, `target_style`, and
        `output`, the required file name of the result.
        """
        lines = []
        for part in ("inputs", "style_examples"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for pair in (pair for pairs in self.pairs.values() for pair in pairs):
            about: dict[str, str | None] = {"pair": pair.name, "split": pair.split}
            for kind, path in {"input": pair.source, "style_example": pair.style}.items():
                about[kind] = None if path is None else f"{kind}s/{pair.name}.wav"
                if path is not None:
                    with atomic_write(folder / f"{kind}s/{pair.name}.wav") as stream:
                        soundfile.write(stream, self.excerpts.load(path), RATE, subtype="FLOAT", format="WAV")
            about |= {"source_style": pair.source_style, "target_style": pair.target, "output": f"{pair.name}.wav"}
            lines.append(f"{json.dumps(about)}\n")
        return write_text(folder / MANIFEST_NAME, "".join(lines))

    def run(self) -> dict[str, Any]:
        """Measure everything and write the report; returns its JSON values, and the page as `markdown`."""
        settings, began = self.settings, time.monotonic()
        measurements = Measurements(settings.work / "measurements.jsonl")
        before = len(measurements)
        key = weights_key(settings.classifier or BUNDLED_CLASSIFIER)
        bench = Bench(self.classifier, key, self.excerpts, measurements, self.notify)
        self.notify("embedding real clips of every style")
        seen = [clip for clip in self.clips if clip.split in SEEN_SPLITS]
        clips = settings.sizes.reference_clips
        reference = read_reference(self.classifier, seen, self.styles, self.excerpts, clips)
        splits = self._measure_splits(bench)
        summaries = {split.name: summarize_split(split, reference, settings.seed) for split in splits}
        sweep, sweep_rows = self._sweep(bench)
        main = self.models[0]
        versus = None
        if sweep is not None:
            rows = next(split.rows for split in splits if split.name == sweep["split"])
            versus = compare_with_baseline(rows, sweep_rows, main.row, reference)
        rows = [*(row for split in splits for row in split.rows), *sweep_rows]
        report = {
            "settings": self._describe(),
            "machine": describe_machine(settings.threads),
            "minutes": (time.monotonic() - began) / 60,
            "rows": len(rows),
            "measured_rows": len(measurements) - before,
            "held_out": self.held_out,
            "splits": summaries,
            "sweep": sweep,
            "versus_baseline": versus,
        }
        targets = load_targets("translator")["all"]
        report["targets"] = plain(check_targets(targets, report, translator=main.row, by_example=main.example_row))
        return report | {"markdown": write_report(settings.output_files, report, rows)}

    def _measure_splits(self, bench: Bench) -> list[Split]:
        splits = []
        for number, (name, pairs) in enumerate(self.pairs.items()):
            clips = [clip for clip in self.clips if clip.split == name and clip.genre in self.styles]
            accuracy = measure_accuracy(self.classifier, clips, self.excerpts, self.settings.seed)
            split = Split(name, pairs, self._systems(number, pairs), accuracy)
            bench.run(split)
            splits.append(split)
        return splits

    def _systems(self, number: int, pairs: Sequence[Pair]) -> list[System]:
        """The systems of a split, in the order of the table."""
        settings, main = self.settings, self.models[0]
        share, rest = divmod(settings.sizes.baseline_pairs, len(self.pairs))
        slow = [pair.name for pair in pairs[: share + (number < rest)]]
        vocoder_key = weights_key(main.vocoder)
        models = list(zip(self.models, self.stylizers, self.keys, strict=True))
        return [
            Copy(COPY_CONTENT),
            Copy(COPY_STYLE),
            *(Pipeline(model.row, stylizer, key) for model, stylizer, key in models),
            *(ByExample(model.example_row, stylizer, key) for model, stylizer, key in models),
            *self.folders,
            Baseline(settings.work, settings.seed, slow, vocoder_key, main.vocoder, settings.device),
            Copy(GROUND_TRUTH),
            TruthThroughVocoder(TRUTH_VOCODER, self.stylizers[0], vocoder_key),
        ]

    def _sweep(self, bench: Bench) -> tuple[dict[str, Any] | None, list[Row]]:
        """Measure strengths and mixtures on the first rendered split."""
        settings, main = self.settings, self.models[0]
        name = next((split for split in settings.rendered_splits if split in self.pairs), None)
        if name is None or not settings.sizes.sweep_pairs:
            return None, []
        pairs = self.pairs[name][: settings.sizes.sweep_pairs]
        split = Split(f"strength and mixtures, {name}", pairs, sweep_systems(self.stylizers[0], self.keys[0]))
        bench.run(split)
        return {"split": name, "system": main.row, **summarize_sweep(split.rows, pairs)}, split.rows

    def _describe(self) -> dict[str, Any]:
        settings = self.settings
        return {
            **{name: getattr(settings.sizes, name) for name in SIZES},
            "seed": settings.seed,
            "device": settings.device,
            "command": shlex.join(["python", "-m", "scripts.evaluate", *sys.argv[1:]]),
            "styles": self.styles,
            "main": self.models[0].row,
            "classifier": str(settings.classifier or "bundled"),
            "models": {
                model.row: {"translator": _short(model.translator), "vocoder": _short(model.vocoder)}
                for model in self.models
            },
            "trained_on": [str(folder) for folder in self.trained_on],
        }


def _short(folder: Path) -> str:
    root = Path(__file__).resolve().parents[3]
    resolved = folder.resolve()
    return str(resolved.relative_to(root) if resolved.is_relative_to(root) else folder)


def log_to_wandb(settings: Settings, report: dict[str, Any]) -> str:
    """Log the targets, the plot and every mean to Weights & Biases; returns a clause about where."""
    name = (settings.output or settings.work).name
    config = dict(report["settings"])
    run, place = open_wandb_run(settings.wandb, name=name, job_type="evaluate", dir=str(settings.work), config=config)
    if run is not None:
        import wandb

        targets = wandb.Table(
            columns=["target", "met", "found"], data=[list(row.values()) for row in report["targets"]]
        )
        picture = wandb.Image(str(settings.output_files[".png"]))
        run.log({"trade-off": picture, "targets": targets, **flat_summary(report)})
        run.finish()
    return place
