"""The benchmark from settings to report: material, systems, measures, tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from data.audio_folder import list_audio
from data.errors import UserError
from data.folder import Clip, index_folder
from data.sources import list_split
from stylize.benchmark import describe_machine
from stylize.evaluate.aims import compare_with_baseline, judge_aims
from stylize.evaluate.benchmark import Bench, Tier
from stylize.evaluate.exchange import export_pairs
from stylize.evaluate.leaks import SEEN_SPLITS
from stylize.evaluate.material import REAL_TIER, Excerpts, Pair, rendered_pairs, unlabelled_pairs
from stylize.evaluate.measurements import Measurements, Row
from stylize.evaluate.plots import save_trade_off
from stylize.evaluate.report import make_markdown, write_csv, write_json, write_markdown
from stylize.evaluate.settings import Settings, check_leaks, check_settings
from stylize.evaluate.style import Judge, judge_accuracy, read_reference
from stylize.evaluate.summary import summarise_tier
from stylize.evaluate.sweep import summarise_sweep, sweep_systems
from stylize.evaluate.systems import (
    Baseline,
    ByExample,
    CopyContent,
    CopyStyle,
    FeedForward,
    Folder,
    GroundTruth,
    System,
    TruthThroughVocoder,
    weights_key,
)
from stylize.likeness import BUNDLED_CLASSIFIER, Likeness
from stylize.models import find_device
from stylize.pipeline import Stylizer

Say = Callable[[str], None]


@dataclass(frozen=True)
class LoadedModel:
    """A model of the settings, loaded.

    Args:
        row, example_row: names of its rows.
        stylizer: translator and vocoder.
        key: of their weights.
        vocoder_key: of the vocoder's alone.
    """

    row: str
    example_row: str
    stylizer: Stylizer
    key: str
    vocoder_key: str


class Evaluation:
    """A benchmark whose settings are good and whose material leaks nothing.

    Args:
        settings: see there.
        say: is told how far it is.

    Raises:
        UserError: anything that is wrong with the settings or with what they name.
    """

    def __init__(self, settings: Settings, say: Say) -> None:
        check_settings(settings)
        self.held_out, self.trained_on = check_leaks(settings)
        self.settings, self.say = settings, say
        torch.set_num_threads(settings.threads)
        find_device(settings.device)
        self.judge = Judge(Likeness.from_pretrained(settings.classifier))
        self.excerpts = Excerpts(settings.seconds)
        self.models = [
            LoadedModel(
                model.row,
                model.example_row,
                Stylizer.from_pretrained(model.translator, model.vocoder, settings.device),
                weights_key(model.translator, model.vocoder),
                weights_key(model.vocoder),
            )
            for model in settings.named_models
        ]
        self.clips: list[Clip] = index_folder(settings.corpus) if settings.corpus.is_dir() else []
        self.styles = self._common_styles()
        self.pairs = self._choose_pairs()
        self.folders = [Folder(name, folder) for name, folder in settings.systems]
        for folder in self.folders:
            folder.check([pair for pairs in self.pairs.values() for pair in pairs])

    def _common_styles(self) -> list[str]:
        """Styles that all models, the classifier and the corpus know."""
        known = [set(model.stylizer.styles) for model in self.models] + [set(self.judge.genres)]
        if self.clips:
            known.append({clip.genre for clip in self.clips})
        styles = sorted(set.intersection(*known))
        if len(styles) < 2:
            raise UserError(
                f"models, classifier and corpus have {len(styles)} styles in common; expected two or more to translate"
            )
        return styles

    def _choose_pairs(self) -> dict[str, list[Pair]]:
        """The pairs of every tier."""
        settings, chosen = self.settings, {}
        for tier in settings.rendered_tiers:
            pairs = rendered_pairs(self.clips, tier, self.styles, settings.pairs, settings.seed)
            if pairs:
                chosen[tier] = pairs
            elif settings.tiers:
                raise UserError(f"{settings.corpus} has no song of split {tier} in two of {', '.join(self.styles)}")
        if settings.has_real_tier:
            files = list_split(settings.recordings, "test")
            chosen[REAL_TIER] = self._unlabelled(REAL_TIER, settings.recordings, files)
        for folder in settings.folders:
            name = folder.resolve().name
            chosen[name] = self._unlabelled(name, folder, list_audio(folder))
        if not chosen:
            raise UserError(
                f"{settings.corpus} has none of the test splits; render one with `scripts.prepare corpus`"
            )
        return chosen

    def _unlabelled(self, tier: str, root: Path, files: Sequence[Path]) -> list[Pair]:
        """Pairs of recordings without a genre that are long and loud enough."""
        usable = [path for path in files if self.excerpts.sounds(path)]
        if not usable:
            raise UserError(f"{root} has no recording that can be heard in its middle, among {len(files)} to test with")

        def heard(path: Path) -> str:
            return self.judge.listen(self.excerpts.load(path)).genre

        return unlabelled_pairs(
            tier, root, usable, heard, self.clips, self.styles, self.settings.real_pairs, self.settings.seed
        )

    def export(self, folder: Path) -> Path:
        """Write all pairs for other systems; see :func:`stylize.evaluate.exchange.export_pairs`."""
        return export_pairs(folder, [pair for pairs in self.pairs.values() for pair in pairs], self.excerpts)

    def run(self) -> dict[str, Any]:
        """Measure everything and write the report.

        Returns:
            plain values, as in the JSON.
        """
        settings, began = self.settings, time.monotonic()
        measurements = Measurements(settings.work / "measurements.jsonl")
        before = len(measurements)
        classifier = settings.classifier or BUNDLED_CLASSIFIER
        bench = Bench(self.judge, weights_key(classifier), self.excerpts, measurements, self.say)
        self.say("listening to real clips of every style")
        seen = [clip for clip in self.clips if clip.split in SEEN_SPLITS]
        reference = read_reference(self.judge, seen, self.styles, self.excerpts, settings.reference_clips)
        tiers = self._measure_tiers(bench)
        summaries = {tier.name: summarise_tier(tier, reference, settings.seed) for tier in tiers}
        sweep, sweep_rows = self._sweep(bench)
        main = self.models[0]
        versus = None
        if sweep is not None:
            rows = next(tier.rows for tier in tiers if tier.name == sweep["tier"])
            versus = compare_with_baseline(rows, sweep_rows, main.row, reference)
        rows = [row for tier in tiers for row in tier.rows]
        report = {
            "settings": self._describe(),
            "machine": describe_machine(settings.threads),
            "minutes": (time.monotonic() - began) / 60,
            "rows": len(rows) + len(sweep_rows),
            "measured_rows": len(measurements) - before,
            "held_out": self.held_out,
            "tiers": summaries,
            "sweep": sweep,
            "versus_baseline": versus,
        }
        aims = judge_aims(summaries, main.row, main.example_row, sweep, versus)
        report["aims"] = [vars(aim) for aim in aims]
        files = settings.output_files
        save_trade_off(files[".png"], summaries, sweep)
        write_csv(files[".csv"], [*rows, *sweep_rows])
        write_json(files[".json"], report)
        text = make_markdown(report, aims, files[".png"].name)
        write_markdown(files[".md"], text)
        return report | {"markdown": text}

    def _measure_tiers(self, bench: Bench) -> list[Tier]:
        """All tiers, one after the other."""
        tiers = []
        for number, (name, pairs) in enumerate(self.pairs.items()):
            clips = [clip for clip in self.clips if clip.split == name and clip.genre in self.styles]
            accuracy = judge_accuracy(self.judge, clips, self.excerpts, self.settings.seed) if clips else None
            tier = Tier(name, pairs, self._systems(number, pairs), accuracy)
            bench.run(tier)
            tiers.append(tier)
        return tiers

    def _systems(self, number: int, pairs: Sequence[Pair]) -> list[System]:
        """The systems for the tier of that number, in the order of the table."""
        settings, main = self.settings, self.models[0]
        share, rest = divmod(settings.baseline_pairs, len(self.pairs))
        slow = [pair.name for pair in pairs[: share + (number < rest)]]
        vocoder = settings.named_models[0].vocoder
        return [
            CopyContent(),
            CopyStyle(),
            *(FeedForward(model.row, model.stylizer, model.key) for model in self.models),
            *(ByExample(model.example_row, model.stylizer, model.key) for model in self.models),
            *self.folders,
            Baseline(settings.work, settings.seed, slow, main.vocoder_key, vocoder, settings.device),
            GroundTruth(),
            TruthThroughVocoder(main.stylizer, main.vocoder_key),
        ]

    def _sweep(self, bench: Bench) -> tuple[dict[str, Any] | None, list[Row]]:
        """Strength and mixtures on the first rendered tier."""
        settings, main = self.settings, self.models[0]
        name = next((tier for tier in settings.rendered_tiers if tier in self.pairs), None)
        if name is None or not settings.sweep_pairs:
            return None, []
        pairs = self.pairs[name][: settings.sweep_pairs]
        tier = Tier(f"strength and mixtures, {name}", pairs, sweep_systems(main.stylizer, main.key))
        bench.run(tier)
        return {"tier": name, "system": main.row, **summarise_sweep(tier.rows, pairs)}, tier.rows

    def _describe(self) -> dict[str, Any]:
        """Settings and models as plain values."""
        settings = self.settings
        names = ("pairs", "real_pairs", "seconds", "baseline_pairs", "sweep_pairs", "seed", "device", "command")
        return {
            **{name: getattr(settings, name) for name in names},
            "styles": self.styles,
            "judged": self.models[0].row,
            "classifier": str(settings.classifier or "bundled"),
            "models": {
                model.row: {"translator": _short(model.translator), "vocoder": _short(model.vocoder)}
                for model in settings.named_models
            },
            "trained_on": [str(folder) for folder in self.trained_on],
        }


def _short(folder: Path) -> str:
    """A model folder from the project's root where it is in there."""
    root = Path(__file__).resolve().parents[2]
    resolved = folder.resolve()
    return str(resolved.relative_to(root) if resolved.is_relative_to(root) else folder)


def run_benchmark(settings: Settings, say: Say) -> dict[str, Any]:
    """Run a benchmark.

    Args:
        settings: see there.
        say: is told how far it is.

    Returns:
        the report as plain values, and the page as `markdown`.

    Raises:
        UserError: anything that is wrong with the settings or with what they name; found before anything is measured.
    """
    return Evaluation(settings, say).run()
