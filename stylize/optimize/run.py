"""Style transfer by optimization, from files to a file: `stylize_by_optimization` is the Python API.

Gatys, Ecker and Bethge, arXiv 1508.06576, with spectrograms in place of pictures (Ulyanov and Lebedev, 2016).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.audio import AudioReader, AudioWriter, ExactLengthResampler, matching_subtype, probe_audio, resampled_length
from data.errors import UserError
from data.loudness import LoudnessMeter, Mastering
from stylize.models import find_device
from stylize.optimize.blocks import BlockDecoder, BlockLayout, MapJoiner, iterate_maps
from stylize.optimize.engine import Step
from stylize.optimize.history import History, WandbRun
from stylize.optimize.order import OptimizeOrder
from stylize.optimize.pictures import read_picture, read_picture_of_size, write_picture
from stylize.optimize.plan import STYLE_SECONDS, Plan, plan_optimization
from stylize.optimize.plots import Panel, save_panels
from stylize.optimize.reporter import Place, Reporter
from stylize.optimize.representations import UnitScale, make_representation
from stylize.optimize.transfer import (
    FINISHED,
    ChosenNetwork,
    GracefulStop,
    Transfer,
    check_receptive_field,
    choose_network,
)
from stylize.picture import MelHistory
from stylize.request import target_loudness

__all__ = ["OptimizeOrder", "OptimizeResult", "Place", "Reporter", "stylize_by_optimization"]


@dataclass
class OptimizeResult:
    """What became of an order.

    Args:
        path: of the file written.
        elapsed: seconds of work.
        seconds: duration of a sound; None for pictures.
        blocks: in which it was optimised.
        limited_db: by how much the highest peak of a sound was turned down, dB; see `data.limiter`.
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


def stylize_by_optimization(order: OptimizeOrder, reporter: Reporter | None = None) -> OptimizeResult:
    """Check an order, optimise and write the result.

    Ctrl-C during the optimization ends it; what it came to is written, and the result says so.

    Args:
        order: see there.
        reporter: hears of every iteration.

    Raises:
        UserError: anything about the order that cannot be done; nothing is written then.
        KeyboardInterrupt: Ctrl-C before the first iteration, or a second time; nothing is written then.
    """
    return run_plan(plan_optimization(order), reporter or Reporter())


def run_plan(plan: Plan, reporter: Reporter) -> OptimizeResult:
    """Do what :func:`stylize.optimize.plan.plan_optimization` found good; errors as there."""
    order = plan.order
    if order.threads is not None:
        torch.set_num_threads(order.threads)
    started = time.perf_counter()
    with ExitStack() as stack:
        recorder = _Recorder(plan, reporter, stack)
        run = _PictureRun if plan.is_picture else _SoundRun
        panels = run(plan, recorder, find_device(order.device)).run()
    result = recorder.result
    result.elapsed = time.perf_counter() - started
    if order.history is not None:
        result.history.write_csv(order.history)
    if order.curves is not None:
        result.history.save_curves(order.curves)
    if order.picture is not None:
        save_panels(order.picture, panels)
    return result


class _Recorder:
    """Keeps the result of a run up to date, and tells those who want to hear of it."""

    def __init__(self, plan: Plan, reporter: Reporter, stack: ExitStack) -> None:
        self.result = OptimizeResult(plan.output)
        self.stop = GracefulStop()
        self._plan, self._reporter, self._stack = plan, reporter, stack
        self._wandb: WandbRun | None = None

    def begin(self, chosen: ChosenNetwork, blocks: int) -> None:
        """Everything is loaded and checked."""
        order = self._plan.order
        self.result.network, self.result.blocks = chosen.description, blocks
        self._reporter.note(chosen.description + (f"; in {blocks} blocks" if blocks > 1 else ""))
        if order.wandb != "off":
            config = {name: _plain(value) for name, value in dataclasses.asdict(order).items()}
            self._wandb = WandbRun(order.wandb, self._plan.output.stem, config | {"layers used": chosen.description})
            self._stack.callback(self._wandb.close)
            self._reporter.note(self._wandb.place)
        self._stack.enter_context(self.stop)

    def optimize(self, transfer: Transfer, content: Tensor, place: Place, **arguments: object) -> Tensor:
        """Optimise a map, unless the run has stopped: then it stays as it is."""
        result = self.result
        if result.stopped not in FINISHED:
            return content

        def on_step(step: Step) -> None:
            result.history.add(place.block, place.channel, step)
            if self._wandb is not None:
                self._wandb.log(result.history.rows[-1])
            self._reporter.step(place, step)

        outcome = transfer.run(content, on_step=on_step, **arguments)  # type: ignore[arg-type]
        result.stopped = outcome.stopped
        if outcome.stopped in FINISHED:
            return outcome.map
        result.stopped_at = place
        if not result.history.rows:
            if outcome.stopped == "interrupted":
                raise KeyboardInterrupt
            raise UserError("the loss is no finite number at the start; choose other weights, layers or another start")
        return outcome.map if outcome.history else content  # a start of noise is no result


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


class _PictureRun:
    """A picture in the style of another."""

    def __init__(self, plan: Plan, recorder: _Recorder, device: torch.device) -> None:
        self._plan, self._recorder, self._device = plan, recorder, device

    def run(self) -> list[Panel]:
        """Write the result and give what the panels show."""
        order = self._plan.order
        content = self._tensor(read_picture(order.content, order.image_size))
        style = self._tensor(read_picture(order.style, order.image_size))
        start = None
        if order.start_file is not None:
            start = self._tensor(read_picture_of_size(order.start_file, *content.shape[1:]))
        shape = (3, content.shape[1], content.shape[2])
        chosen = choose_network(order, shape, self._device, is_picture=True)
        transfer = Transfer(
            order,
            chosen,
            shape,
            style,
            hard_bounds=(0.0, 1.0),
            soft_bounds=(0.0, 1.0),
            stop=self._recorder.stop,
        )
        self._recorder.begin(chosen, blocks=1)
        result = self._recorder.optimize(transfer, content, Place(), start_file=start, head=None, seed=order.seed)
        maps = {"content": content, "style": style, "result": result}
        pictures = {title: map_.cpu().numpy() for title, map_ in maps.items()}
        write_picture(self._plan.output, pictures["result"])
        return [Panel(title, picture) for title, picture in pictures.items()]

    def _tensor(self, picture: np.ndarray) -> Tensor:
        return torch.from_numpy(picture).to(self._device)


class _SoundRun:
    """A recording in the style of another, block by block."""

    def __init__(self, plan: Plan, recorder: _Recorder, device: torch.device) -> None:
        assert plan.content is not None and plan.style is not None
        order = plan.order
        self._plan, self._recorder, self._order, self._device = plan, recorder, order, device
        self._info, self._channels = plan.content.info, 1 if plan.content.one_signal else plan.content.info.channels
        self._representation = make_representation(
            order.representation, inverse=order.inverse, vocoder=order.vocoder, device=device
        )
        rate, hop = self._representation.sample_rate, self._representation.hop_length
        self._samples = resampled_length(self._info.frames, self._info.sample_rate, rate)
        self._layout = BlockLayout.for_total(
            self._representation.frames(self._samples),
            round(order.block_seconds * rate / hop),
            max(1, int(order.overlap_seconds * rate / hop)),
        )
        self._style = self._read_style()
        self._scale = self._find_scale() if order.unit_scale else None

    def run(self) -> list[Panel]:
        """Write the result and give what the panels show."""
        order, layout, info = self._order, self._layout, self._info
        shape = (1, self._representation.rows, layout.length)
        chosen = choose_network(order, shape, self._device, is_picture=False)
        style_seconds = min(STYLE_SECONDS, self._plan.style.info.seconds) if self._plan.style else 0.0
        for name, checked, seconds in (
            (order.style, self._style.shape, style_seconds),
            (order.content, (1, shape[1], layout.total), info.seconds),
        ):
            check_receptive_field(chosen, str(order.orientation), str(name), tuple(checked), seconds)  # type: ignore[arg-type]
        style = self._scaled(self._style)
        transfer = Transfer(
            order,
            chosen,
            shape,
            style,
            hard_bounds=(0.0, 1.0) if self._scale else (0.0, None),
            soft_bounds=(0.0, 1.0 if self._scale else float(style.max())),
            stop=self._recorder.stop,
            scale=self._scale,
        )
        self._recorder.begin(chosen, layout.count)
        before, after = MelHistory(), MelHistory()
        self._write(transfer, before, after)
        return [
            Panel(f"content: {order.content.name}", before.image(), info.seconds),
            Panel(f"style: {order.style.name}", self._style[0].cpu().numpy(), style_seconds),
            Panel("result", after.image(), info.seconds),
        ]

    def _write(self, transfer: Transfer, before: MelHistory, after: MelHistory) -> None:
        info, rate, result = self._info, self._representation.sample_rate, self._recorder.result
        output, force = self._plan.output, self._order.force
        subtype = matching_subtype(info.subtype, output)
        mastering = Mastering(target_loudness(self._order.loudness, _loudness(self._order.content)))
        with AudioWriter(output, info.sample_rate, info.channels, subtype, force, mastering) as writer:
            resampler = ExactLengthResampler(rate, info.sample_rate, info.channels, info.frames)
            for wav, content, final in self._blocks(transfer):
                writer.write(resampler.push(np.broadcast_to(wav, (info.channels, wav.shape[1]))))
                before.add(content)
                after.add(final)
            writer.write(resampler.finish())
        result.seconds, result.limited_db = info.seconds, mastering.limited_db

    def _blocks(self, transfer: Transfer) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each block, what is final of the waveform, (channels, samples), and the mean over the channels of what is
        final of the maps of content and result, (rows, columns)."""
        layout, count = self._layout, self._layout.count
        decoders = [BlockDecoder(self._representation, self._samples) for _ in range(self._channels)]
        joiners = [MapJoiner(layout) for _ in range(self._channels)]
        starts = self._iterate(self._order.start_file) if self._order.start_file is not None else None
        for block, contents in enumerate(self._iterate(self._order.content)):
            start_files = next(starts) if starts is not None else [None] * self._channels
            wavs, finals = [], []
            for channel, (content, start_file) in enumerate(zip(contents, start_files, strict=True)):
                place = Place(block + 1, count, channel + 1, self._channels)
                map_ = self._optimize(transfer, content, start_file, joiners[channel].tail, place)
                finals.append(joiners[channel].push(map_))
                wavs.append(decoders[channel].push(finals[-1], last=block == count - 1))
            self._note_unchanged(block)
            shown = finals[0].shape[-1]
            content_mean = torch.stack([content[0, :, :shown] for content in contents]).mean(dim=0)
            final_mean = torch.cat(finals).mean(dim=0)
            yield np.stack(wavs), content_mean.cpu().numpy(), final_mean.cpu().numpy()

    def _optimize(
        self, transfer: Transfer, content: Tensor, start_file: Tensor | None, tail: Tensor | None, place: Place
    ) -> Tensor:
        """The map of one channel of one block, unscaled. Digital silence stays what it is, unless it is no content."""
        if self._order.content_weight and not content.any():
            return content
        map_ = self._recorder.optimize(
            transfer,
            self._scaled(content),
            place,
            start_file=None if start_file is None else self._scaled(start_file),
            head=None if tail is None else self._scaled(tail),
            seed=self._order.seed + (place.block - 1) * self._channels + place.channel - 1,
        )
        return map_ if self._scale is None else self._scale.undo(map_).clamp(min=0.0)

    def _note_unchanged(self, block: int) -> None:
        """After the block in which a run stopped: say from where on it is the content."""
        at = self._recorder.result.stopped_at
        if at is not None and at.block == block + 1 and at.block < at.blocks:
            seconds_per_column = self._representation.hop_length / self._representation.sample_rate
            self._recorder.result.unchanged_after = self._layout.stop(block) * seconds_per_column

    def _iterate(self, path: Path) -> Iterator[list[Tensor]]:
        """The maps of a recording's blocks, for as many channels as are optimised, as long as the content."""
        rate = self._representation.sample_rate
        mono = self._channels == 1 or probe_audio(path).channels != self._channels
        with AudioReader(path, rate, mono) as reader:
            maps = iterate_maps(reader.read, reader.channels, self._samples, self._representation, self._layout)
            for channels in maps:
                yield channels if len(channels) == self._channels else channels * self._channels

    def _read_style(self) -> Tensor:
        """The map of the style, its channels mixed, (1, rows, columns)."""
        rate = self._representation.sample_rate
        with AudioReader(self._order.style, rate, mono=True) as reader:
            wav = reader.read(round(STYLE_SECONDS * rate))
        return self._representation.encode(torch.from_numpy(np.ascontiguousarray(wav[0])))

    def _find_scale(self) -> UnitScale:
        """From the extremes of the style and all blocks of the content."""
        extremes = [_extremes(self._style)]
        for maps in self._iterate(self._order.content):
            extremes += [_extremes(map_) for map_ in maps]
        return UnitScale.from_maps(*extremes)

    def _scaled(self, map_: Tensor) -> Tensor:
        return map_ if self._scale is None else self._scale.apply(map_)


def _loudness(path: Path) -> float | None:
    """Integrated loudness of a recording, LUFS; None for silence."""
    with AudioReader(path) as reader:
        meter = LoudnessMeter(reader.sample_rate, reader.channels)
        while (block := reader.read(1 << 16)).size:
            meter.push(block)
    return meter.integrated


def _extremes(map_: Tensor) -> Tensor:
    return torch.stack([map_.min(), map_.max()]).reshape(1, 2, 1)
