"""Style transfer by optimization, from files to a file: `stylize_by_optimization` is the Python API.

Gatys, Ecker and Bethge, arXiv 1508.06576, with spectrograms in place of pictures (Ulyanov and Lebedev, 2016).
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylize.models import find_device
from stylize.optimize.blocks import BlockDecoder, BlockGrid, BlockJoiner, iterate_blocks
from stylize.optimize.engine import INTERRUPTED
from stylize.optimize.images import Panel, read_image, read_image_of_size, save_panels, write_image
from stylize.optimize.options import OptimizeOptions
from stylize.optimize.plan import STYLE_SECONDS, Plan, plan_optimization
from stylize.optimize.reporting import History, HistoryRow, Place, Reporter, Step
from stylize.optimize.representations import UnitScale, make_representation
from stylize.optimize.transfer import GOOD_ENDS, ChosenNetwork, Transfer, check_receptive_field, choose_network
from stylize.picture import MelHistory
from stylize.request import target_loudness
from stylize_core.audio.loudness import LoudnessMeter, Mastering
from stylize_core.audio.reader import (
    AudioReader,
    AudioWriter,
    ExactLengthResampler,
    matching_subtype,
    probe_audio,
    resampled_length,
)
from stylize_core.errors import UserError
from stylize_core.interruption import StopSignals
from stylize_core.wandb_run import open_wandb_run

__all__ = ["OptimizeOptions", "OptimizeResult", "Place", "Reporter", "stylize_by_optimization"]


@dataclass
class OptimizeResult:
    """Result of a run.

    Args:
        path: of the file written.
        elapsed: seconds of work.
        seconds: duration of a sound; None for pictures.
        blocks: in which it was optimized.
        limited_db: by how much the highest peak of a sound was turned down, dB; see `stylize_core.audio.limiter`.
        network: the network and its layers, in one line.
        history: every iteration.
        stopped: `finished`, `converged`, `interrupted` (Ctrl-C) or `not finite` (the loss was no number).
        stopped_at: the block and channel that were not finished; all after them are the content unchanged.
        unchanged_after: seconds of a sound from where on it is the content; None where there is no such place.
    """

    path: Path
    elapsed: float = 0.0
    seconds: float | None = None
    blocks: int = 1
    limited_db: float = 0.0
    network: str = ""
    history: History = field(default_factory=History)
    stopped: str = "finished"
    stopped_at: Place | None = None
    unchanged_after: float | None = None


def stylize_by_optimization(options: OptimizeOptions, reporter: Reporter | None = None) -> OptimizeResult:
    """Check options, optimize and write the result.

    Ctrl-C during the optimization ends it; the result so far is written.

    Args:
        options: all options of a run.
        reporter: called at every iteration.

    Raises:
        UserError: options or files that cannot be used; nothing is written then.
        KeyboardInterrupt: Ctrl-C before the first iteration, or a second time; nothing is written then.
    """
    return run_plan(plan_optimization(options), reporter or Reporter())


def run_plan(plan: Plan, reporter: Reporter) -> OptimizeResult:
    """Execute the plan of :func:`stylize.optimize.plan.plan_optimization`."""
    options = plan.options
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    started = time.perf_counter()
    with ExitStack() as stack:
        recorder = _Recorder(plan, reporter, stack)
        device = find_device(options.device)
        panels = _run_picture(plan, recorder, device) if plan.is_picture else _SoundRun(plan, recorder, device).run()
    result = recorder.result
    result.elapsed = time.perf_counter() - started
    if options.history is not None:
        result.history.write_csv(options.history)
    if options.curves is not None:
        result.history.save_curves(options.curves)
    if options.picture is not None:
        save_panels(options.picture, panels)
    return result


class _Recorder:
    """Keeps the result of a run up to date, and reports progress."""

    def __init__(self, plan: Plan, reporter: Reporter, stack: ExitStack) -> None:
        self.result = OptimizeResult(plan.output)
        self.stop = StopSignals([signal.SIGINT], kill=False)
        self._plan, self._reporter, self._stack = plan, reporter, stack
        self._wandb: Any = None

    def begin(self, chosen: ChosenNetwork, blocks: int) -> None:
        """Everything is loaded and checked."""
        options = self._plan.options
        self.result.network, self.result.blocks = chosen.description, blocks
        self._reporter.note(chosen.description + (f"; in {blocks} blocks" if blocks > 1 else ""))
        if options.wandb != "off":
            values = dataclasses.asdict(options).items()
            config = {name: str(value) if isinstance(value, Path) else value for name, value in values}
            mode = "auto" if options.wandb == "online" else options.wandb
            config["layers used"] = chosen.description
            self._wandb, where = open_wandb_run(mode, name=self._plan.output.stem, config=config)
            if self._wandb is not None:
                self._stack.callback(self._wandb.finish)
            self._reporter.note(where)
        self._stack.enter_context(self.stop)

    def optimize(self, transfer: Transfer, content: Tensor, place: Place, **arguments: object) -> Tensor:
        """Optimize a content, unless the run has stopped: then it stays as it is."""
        result = self.result
        if result.stopped not in GOOD_ENDS:
            return content

        def on_step(step: Step) -> None:
            result.history.rows.append(HistoryRow(place, step))
            if self._wandb is not None:
                at = {"block": place.block, "channel": place.channel, "iteration": step.iteration}
                self._wandb.log({**at, "seconds": step.seconds, "total": step.total, **step.terms})
            self._reporter.step(place, step)

        outcome = transfer.run(content, on_step=on_step, **arguments)  # type: ignore[arg-type]
        result.stopped = outcome.stopped
        if outcome.stopped in GOOD_ENDS:
            return outcome.result
        result.stopped_at = place
        if not result.history.rows:
            if outcome.stopped == INTERRUPTED:
                raise KeyboardInterrupt
            raise UserError("the loss is no finite number at the init; choose other weights, layers or another --init")
        return outcome.result if outcome.history else content  # an init of noise is no result


def _run_picture(plan: Plan, recorder: _Recorder, device: torch.device) -> list[Panel]:
    """Optimize and write a picture; the panels of the figure."""
    options = plan.options
    read = [read_image(path, options.image_size) for path in (options.content, options.style)]
    content, style = (torch.from_numpy(picture).to(device) for picture in read)
    init = None
    if options.init_file is not None:
        init = torch.from_numpy(read_image_of_size(options.init_file, *content.shape[1:])).to(device)
    shape = (3, content.shape[1], content.shape[2])
    chosen = choose_network(options, shape, device, is_picture=True)
    stop, bounds = (lambda: recorder.stop.requested), (0.0, 1.0)
    transfer = Transfer(options, chosen, shape, style, hard_bounds=bounds, soft_bounds=bounds, stop=stop)
    recorder.begin(chosen, blocks=1)
    result = recorder.optimize(transfer, content, Place(), init_file=init, head=None, seed=options.seed)
    panels = {"content": content, "style": style, "result": result}
    write_image(plan.output, result.cpu().numpy())
    return [Panel(title, picture.cpu().numpy()) for title, picture in panels.items()]


class _SoundRun:
    """A recording in the style of another, block by block."""

    def __init__(self, plan: Plan, recorder: _Recorder, device: torch.device) -> None:
        assert plan.content is not None and plan.style is not None
        options = plan.options
        self._plan, self._recorder, self._options, self._device = plan, recorder, options, device
        self._info, self._channels = plan.content.info, 1 if plan.content.one_signal else plan.content.info.channels
        self._representation = make_representation(
            options.representation, inverse=options.inverse, vocoder=options.vocoder, device=device
        )
        rate, hop = self._representation.sample_rate, self._representation.hop_length
        self._samples = resampled_length(self._info.frames, self._info.sample_rate, rate)
        self._grid = BlockGrid.for_total(
            self._representation.frames(self._samples),
            round(options.block_seconds * rate / hop),
            max(1, int(options.overlap_seconds * rate / hop)),
        )
        self._style = self._read_style()
        self._scale = self._find_scale() if options.unit_scale else None

    def run(self) -> list[Panel]:
        """Write the result and give what the panels show."""
        options, grid, info = self._options, self._grid, self._info
        shape = (1, self._representation.rows, grid.length)
        chosen = choose_network(options, shape, self._device, is_picture=False)
        style_seconds = min(STYLE_SECONDS, self._plan.style.info.seconds) if self._plan.style else 0.0
        for name, checked, seconds in (
            (options.style, self._style.shape, style_seconds),
            (options.content, (1, shape[1], grid.total), info.seconds),
        ):
            check_receptive_field(chosen, str(options.layout), str(name), tuple(checked), seconds)  # type: ignore[arg-type]
        style = self._scaled(self._style)
        transfer = Transfer(
            options,
            chosen,
            shape,
            style,
            hard_bounds=(0.0, 1.0) if self._scale else (0.0, None),
            soft_bounds=(0.0, 1.0 if self._scale else float(style.max())),
            stop=lambda: self._recorder.stop.requested,
            scale=self._scale,
        )
        self._recorder.begin(chosen, grid.count)
        before, after = MelHistory(), MelHistory()
        self._write(transfer, before, after)
        return [
            Panel(f"content: {options.content.name}", before.image(), info.seconds),
            Panel(f"style: {options.style.name}", self._style[0].cpu().numpy(), style_seconds),
            Panel("result", after.image(), info.seconds),
        ]

    def _write(self, transfer: Transfer, before: MelHistory, after: MelHistory) -> None:
        info, rate, result = self._info, self._representation.sample_rate, self._recorder.result
        output, force = self._plan.output, self._options.force
        subtype = matching_subtype(info.subtype, output)
        mastering = Mastering(target_loudness(self._options.loudness, _loudness(self._options.content)))
        with AudioWriter(output, info.sample_rate, info.channels, subtype, force, mastering) as writer:
            resampler = ExactLengthResampler(rate, info.sample_rate, info.channels, info.frames)
            for wav, content, final in self._blocks(transfer):
                writer.write(resampler.push(np.broadcast_to(wav, (info.channels, wav.shape[1]))))
                before.add(content)
                after.add(final)
            writer.write(resampler.finish())
        result.seconds, result.limited_db = info.seconds, mastering.limited_db

    def _blocks(self, transfer: Transfer) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Finished waveform, (channels, samples), and mean spectrograms of content and result, (rows, columns)."""
        grid, count = self._grid, self._grid.count
        decoders = [BlockDecoder(self._representation, self._samples) for _ in range(self._channels)]
        joiners = [BlockJoiner(grid) for _ in range(self._channels)]
        inits = self._iterate(self._options.init_file) if self._options.init_file is not None else None
        for block, contents in enumerate(self._iterate(self._options.content)):
            init_files = next(inits) if inits is not None else [None] * self._channels
            wavs, finals = [], []
            for channel, (content, init_file) in enumerate(zip(contents, init_files, strict=True)):
                place = Place(block + 1, count, channel + 1, self._channels)
                made = self._optimize(transfer, content, init_file, joiners[channel].tail, place)
                finals.append(joiners[channel].push(made))
                wavs.append(decoders[channel].push(finals[-1], last=block == count - 1))
            self._note_unchanged(block)
            shown = finals[0].shape[-1]
            content_mean = torch.stack([content[0, :, :shown] for content in contents]).mean(dim=0)
            final_mean = torch.cat(finals).mean(dim=0)
            yield np.stack(wavs), content_mean.cpu().numpy(), final_mean.cpu().numpy()

    def _optimize(
        self, transfer: Transfer, content: Tensor, init_file: Tensor | None, tail: Tensor | None, place: Place
    ) -> Tensor:
        """The result of one channel of one block, unscaled; digital silence that is a content stays."""
        if self._options.content_weight and not content.any():
            return content
        made = self._recorder.optimize(
            transfer,
            self._scaled(content),
            place,
            init_file=None if init_file is None else self._scaled(init_file),
            head=None if tail is None else self._scaled(tail),
            seed=self._options.seed + (place.block - 1) * self._channels + place.channel - 1,
        )
        return made if self._scale is None else self._scale.undo(made).clamp(min=0.0)

    def _note_unchanged(self, block: int) -> None:
        """After the block in which a run stopped: record where the unchanged content begins."""
        at = self._recorder.result.stopped_at
        if at is not None and at.block == block + 1 and at.block < at.blocks:
            seconds_per_column = self._representation.hop_length / self._representation.sample_rate
            self._recorder.result.unchanged_after = self._grid.stop(block) * seconds_per_column

    def _iterate(self, path: Path) -> Iterator[list[Tensor]]:
        """The spectrograms of a recording's blocks, for as many channels as are optimized, as long as the content."""
        rate = self._representation.sample_rate
        mono = self._channels == 1 or probe_audio(path).channels != self._channels
        with AudioReader(path, rate, mono) as reader:
            blocks = iterate_blocks(reader.read, reader.channels, self._samples, self._representation, self._grid)
            for channels in blocks:
                yield channels if len(channels) == self._channels else channels * self._channels

    def _read_style(self) -> Tensor:
        """The spectrogram of the style, its channels mixed, (1, rows, columns)."""
        rate = self._representation.sample_rate
        with AudioReader(self._options.style, rate, mono=True) as reader:
            wav = reader.read(round(STYLE_SECONDS * rate))
        return self._representation.encode(torch.from_numpy(np.ascontiguousarray(wav[0])))

    def _find_scale(self) -> UnitScale:
        """From the extremes of the style and all blocks of the content."""
        extremes = [_extremes(self._style)]
        for contents in self._iterate(self._options.content):
            extremes += [_extremes(content) for content in contents]
        return UnitScale.spanning(*extremes)

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self._scale is None else self._scale.apply(x)


def _loudness(path: Path) -> float | None:
    """Integrated loudness of a recording, LUFS; None for silence."""
    with AudioReader(path) as reader:
        meter = LoudnessMeter(reader.sample_rate, reader.channels)
        while (block := reader.read(1 << 16)).size:
            meter.push(block)
    return meter.integrated


def _extremes(x: Tensor) -> Tensor:
    return torch.stack([x.min(), x.max()]).reshape(1, 2, 1)
