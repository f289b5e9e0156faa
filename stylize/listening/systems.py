"""Renders the excerpt of a song by every system of a trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from stylize.evaluate.excerpts import fit_length, read_excerpt
from stylize.evaluate.systems import (
    BASELINE,
    COPY_CONTENT,
    COPY_STYLE,
    GRIFFIN_LIM,
    GRIFFIN_LIM_ITERATIONS,
    GROUND_TRUTH,
    TRANSLATOR,
    VOCODER,
    run_baseline,
)
from stylize.listening.plan import FOLDER, BuildPlan, Item, SystemPlan, model_folders
from stylize_core.audio.downmix import downmix
from stylize_core.audio.reader import AudioWriter, read_audio, resampled_length
from stylize_core.errors import UserError

if TYPE_CHECKING:
    from stylize.optimize.options import OptimizeOptions
    from stylize.pipeline import Stylizer
    from stylize_core.mel import MelConfig

SLACK_SECONDS = 0.1
"""So much may be missing at the end of what a system made; it is filled with silence."""


class SystemRenderer:
    """Renders items; models are loaded when they are first needed."""

    def __init__(self, plan: BuildPlan, work: Path) -> None:
        self.plan, self.work = plan, work
        self._stylizers: dict[tuple[Path | None, Path | None], Stylizer] = {}
        self._recordings: dict[str, Callable[[SystemPlan, Item], np.ndarray]] = {
            COPY_CONTENT: lambda system, item: self.content(item),
            COPY_STYLE: lambda system, item: self.style(item),
            GROUND_TRUTH: lambda system, item: self.truth(item),
            FOLDER: self._external,
        }
        self._ways = self._recordings | {
            TRANSLATOR: lambda system, item: self._through_stylizer(system, item, 1.0),
            VOCODER: lambda system, item: self._through_stylizer(system, item, 0.0),
            GRIFFIN_LIM: self._griffin_lim,
            BASELINE: self._baseline,
        }

    def check(self, system: SystemPlan, item: Item) -> None:
        """Find out whether a system can render an item, as far as that goes without a network."""
        if system.kind in self._recordings:
            self.render(system, item)
        elif system.kind == BASELINE:
            from stylize.optimize.plan import plan_optimization

            plan_optimization(self._optimization(item))

    def load_models(self) -> None:
        """Load the models of all systems now."""
        for system in self.plan.systems:
            if system.kind in (TRANSLATOR, VOCODER, GRIFFIN_LIM):
                self._stylizer(system)

    def render(self, system: SystemPlan, item: Item) -> np.ndarray:
        """The excerpt by a system, at the trial's rate, with its channels and exactly its length.

        Shape: (channels, samples).
        """
        wav = self._ways[system.kind](system, item)
        return self._fit(wav, item, f"{item.name} by {system.name}")

    def content(self, item: Item) -> np.ndarray:
        """The excerpt itself."""
        return self._fit(self._read(item.content.path, item.start, item.seconds), item, str(item.content.path))

    def style(self, item: Item) -> np.ndarray:
        """The excerpt of the example of the style."""
        assert item.style_recording is not None
        wav = self._read(item.style_recording, item.style_start, item.seconds)
        return self._fit(wav, item, str(item.style_recording))

    def truth(self, item: Item) -> np.ndarray:
        """The same excerpt of the song in the style."""
        assert item.truth is not None
        return self._fit(self._read(item.truth, item.start, item.seconds), item, str(item.truth))

    def details(self, system: SystemPlan) -> dict[str, Any]:
        """What made the sounds of a system, for the manifest."""
        options = self.plan.options
        if system.kind in (TRANSLATOR, VOCODER):
            from stylize.models import hash_weights, read_pair

            pair = read_pair(*model_folders(self.plan.options, system))
            folders = {"vocoder": pair.vocoder} | ({"translator": pair.translator} if system.kind == TRANSLATOR else {})
            return {
                name: {"folder": str(folder), "weights_sha256": hash_weights(folder)}
                for name, folder in folders.items()
            }
        if system.kind == BASELINE:
            return {
                "network": options.network or "default",
                "content_weight": options.content_weight,
                "iterations": options.iterations,
                "seed": options.seed,
            }
        if system.kind == GRIFFIN_LIM:
            return {"iterations": GRIFFIN_LIM_ITERATIONS}
        return {"folder": str(system.folder)} if system.folder is not None else {}

    def _fit(self, wav: np.ndarray, item: Item, name: str) -> np.ndarray:
        plan = self.plan
        if len(wav) != plan.channels:
            wav = np.repeat(downmix(wav, plan.sample_rate)[None], plan.channels, axis=0)
        if not np.isfinite(wav).all():
            raise UserError(f"{name} has samples that are not finite; leave the system or the song out")
        slack = round(SLACK_SECONDS * plan.sample_rate)
        return fit_length(wav, round(item.seconds * plan.sample_rate), slack, name)

    def _read(self, path: Path, start: float, seconds: float) -> np.ndarray:
        return read_excerpt(path, seconds, self.plan.sample_rate, start, mono=False)

    def _external(self, system: SystemPlan, item: Item) -> np.ndarray:
        """A file of another system: as long as the excerpt, or as long as the song."""
        path, rate = item.external[system.name], self.plan.sample_rate
        wav = read_audio(path, rate, mono=False)[0]
        slack = SLACK_SECONDS * rate
        excerpt = item.seconds * rate
        whole = resampled_length(item.content.frames, item.content.sample_rate, rate)
        if abs(wav.shape[1] - excerpt) <= slack:
            return wav
        if abs(wav.shape[1] - whole) <= slack:
            return wav[:, round(item.start * rate) :]
        raise UserError(
            f"{path} is {wav.shape[1] / rate:.2f} s long; expected the excerpt ({item.seconds:.2f} s) or the "
            f"whole song ({item.content.seconds:.2f} s)"
        )

    def _write(self, wav: np.ndarray, name: str) -> Path:
        path = self.work / name
        with AudioWriter(path, self.plan.sample_rate, len(wav), "FLOAT", force=True) as writer:
            writer.write(wav)
        return path

    def _stylizer(self, system: SystemPlan) -> Stylizer:
        from stylize.pipeline import Stylizer

        folders = model_folders(self.plan.options, system)
        if folders not in self._stylizers:
            self._stylizers[folders] = Stylizer.from_pretrained(*folders, self.plan.options.device)
        return self._stylizers[folders]

    def _through_stylizer(self, system: SystemPlan, item: Item, strength: float) -> np.ndarray:
        stylizer = self._stylizer(system)
        content = self._write(self.content(item), "content.wav")
        to = item.style if strength else stylizer.styles[0]
        output = self.work / "stylized.wav"
        stylizer.stylize_file(content, output, to=to, strength=strength, force=True)
        return read_audio(output, mono=False)[0]

    def _griffin_lim(self, system: SystemPlan, item: Item) -> np.ndarray:
        config = self._stylizer(system).mel_config
        return _through_griffin_lim(self.content(item), self.plan.sample_rate, config)

    def _optimization(self, item: Item) -> OptimizeOptions:
        from stylize.optimize.options import OptimizeOptions

        options = self.plan.options
        return OptimizeOptions(
            self._write(self.content(item), "content.wav"),
            self._write(self.style(item), "style.wav"),
            self.work / "optimized.wav",
            force=True,
            network=options.network,
            vocoder=options.vocoder,
            content_weight=options.content_weight,
            iterations=options.iterations,
            seed=options.seed,
            device=options.device,
            threads=options.threads,
        )

    def _baseline(self, system: SystemPlan, item: Item) -> np.ndarray:
        run_baseline(self._optimization(item))
        return read_audio(self.work / "optimized.wav", mono=False)[0]


def _through_griffin_lim(wav: np.ndarray, sample_rate: int, config: MelConfig) -> np.ndarray:
    """From the mel of the vocoder back to a waveform without learning, each channel on its own."""
    import torch

    from stylize_core.mel import GriffinLim, LogMel

    samples = soxr.resample(wav.T, sample_rate, config.sample_rate).T
    padding = -samples.shape[1] % config.hop_length
    padded = np.ascontiguousarray(np.pad(samples, ((0, 0), (0, padding))), dtype=np.float32)
    with torch.inference_mode():
        rebuilt = GriffinLim(config, GRIFFIN_LIM_ITERATIONS)(LogMel(config)(torch.from_numpy(padded))).numpy()
    wav = soxr.resample(rebuilt[:, : samples.shape[1]].T, config.sample_rate, sample_rate)
    return np.asarray(wav).T
