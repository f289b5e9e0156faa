"""Integrated loudness of a stream of samples (ITU-R BS.1770-4), and the level at which a result is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from stylize_core.audio.limiter import BETWEEN_SAMPLES, CEILING_DB, PeakLimiter, true_peaks

HOP_SECONDS = 0.1
MEMORY_SECONDS = 0.25  # the filters' impulse response is below 1e-20 of its peak by then
BLOCK_HOPS = 4  # a gating block of 0.4 s
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU

MIN_LIMITING_DB = 3.0  # smaller reductions of peaks are not reported
MIN_MISSING = 0.5  # LU; smaller losses of loudness are not reported
MAX_GAIN_DB = 30.0  # quieter recordings are noise
TOLERANCE = 0.1  # LU
MAX_LIMITED_PASSES = 6


class LoudnessMeter:
    """Measures integrated loudness block by block; the result does not depend on the blocks.

    All channels weigh the same, as left, right and center do in BS.1770. A recording shorter than one gating block
    (0.4 s) is measured as one block of its own length.

    Args:
        sample_rate: Hz.
        channels: 1 is mono.

    Attributes:
        peak: the largest absolute sample so far.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.peak = 0.0
        self._filters = k_weighting(sample_rate)
        self._responses: dict[int, np.ndarray] = {}  # of the filters, by the length of a transform
        self._before = np.zeros((channels, round(MEMORY_SECONDS * sample_rate)))  # the last samples that were pushed
        self._hop = max(1, round(HOP_SECONDS * sample_rate))
        self._pending = np.zeros((channels, 0))  # weighted samples of a hop that is not complete
        self._hops: list[float] = []  # mean square of each hop, summed over the channels

    def push(self, block: np.ndarray) -> None:
        """Take samples in, (channels, n)."""
        if block.shape[1] == 0:
            return
        self.peak = max(self.peak, float(np.abs(block).max()))
        weighted = np.concatenate([self._pending, self._weight(block)], axis=1)
        count = weighted.shape[1] // self._hop
        hops = weighted[:, : count * self._hop].reshape(len(weighted), count, self._hop)
        self._hops += np.square(hops).mean(axis=2).sum(axis=0).tolist()
        self._pending = weighted[:, count * self._hop :]

    def _weight(self, block: np.ndarray) -> np.ndarray:
        """The filtered block, in double precision, by FFT, as importing SciPy's filters takes seconds."""
        memory = self._before.shape[1]
        samples = np.concatenate([self._before, block], axis=1)
        self._before = samples[:, samples.shape[1] - memory :]
        length = 1 << (samples.shape[1] - 1).bit_length()
        if length not in self._responses:
            delay = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
            powers = np.stack([delay**0, delay, delay**2])
            shelf, high_pass = ((one[:3] @ powers) / (one[3:] @ powers) for one in self._filters)
            self._responses[length] = shelf * high_pass
        filtered = np.fft.irfft(np.fft.rfft(samples, length) * self._responses[length], length)
        return np.asarray(filtered[:, memory : samples.shape[1]])  # the circular part ends within the memory

    @property
    def integrated(self) -> float | None:
        """Loudness of all that was pushed, LUFS; None for silence."""
        hops = np.array(self._hops)
        if len(hops) >= BLOCK_HOPS:
            power = np.convolve(hops, np.full(BLOCK_HOPS, 1 / BLOCK_HOPS), mode="valid")
        else:
            total = hops.sum() * self._hop + np.square(self._pending).sum()
            power = np.array([total / max(1, len(hops) * self._hop + self._pending.shape[1])])
        power = power[power > _power(ABSOLUTE_GATE)]
        if len(power) == 0:
            return None
        power = power[power > power.mean() * 10 ** (RELATIVE_GATE / 10)]
        return _loudness(float(power.mean()))


def k_weighting(sample_rate: int) -> np.ndarray:
    """The filters of BS.1770 at any rate: a high shelf, then a high pass, as second-order sections.

    The standard lists coefficients at 48 kHz only; these follow from the analog parameters behind them.
    """
    shelf_hz, gain, quality = 1681.974450955533, 10 ** (3.999843853973347 / 20), 0.7071752369554196
    k = math.tan(math.pi * min(shelf_hz / sample_rate, 0.49))
    middle, scale = gain**0.4996667741545416, 1 + k / quality + k * k
    shelf = [
        (gain + middle * k / quality + k * k) / scale, 2 * (k * k - gain) / scale,
        (gain - middle * k / quality + k * k) / scale, 1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale,
    ]  # fmt: skip
    pass_hz, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * pass_hz / sample_rate)
    scale = 1 + k / quality + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale]
    return np.array([shelf, high_pass])


def _loudness(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def _power(loudness: float) -> float:
    return float(10 ** ((loudness + 0.691) / 10))


class Mastering:
    """Brings a recording to a loudness, with true peaks below a ceiling, in constant memory.

    Where the limiter takes loudness away, the gain is raised until the limited recording has the target loudness.

    Args:
        loudness: LUFS; None keeps the level and only limits peaks. It may be set until `fit` is called.

    Attributes:
        gain: factor before the limiter.
        peak: largest magnitude at the limiter.
        limited_db: largest gain reduction, dB.
        missing: by how much the recording stays below the target loudness, LU.
    """

    def __init__(self, loudness: float | None = None) -> None:
        self.loudness = loudness
        self.gain = 1.0
        self.peak = self.limited_db = self.missing = 0.0
        self._ceiling_db = CEILING_DB

    def fit(
        self,
        blocks: Callable[[], Iterable[np.ndarray]],
        sample_rate: int,
        channels: int,
        ceiling_db: float = CEILING_DB,
    ) -> None:
        """Choose the gain, in one pass over the recording, or in a few where peaks are limited.

        Args:
            blocks: gives the recording from its start, in blocks of shape (channels, samples).
            sample_rate: Hz.
            channels: of the blocks.
            ceiling_db: of true peaks, dBTP.
        """
        self._ceiling_db = ceiling_db
        meter = LoudnessMeter(sample_rate, channels)
        for block in blocks():
            meter.push(block)
        if meter.integrated is None:
            return
        target = meter.integrated if self.loudness is None else self.loudness
        gain_db, self.missing = target - meter.integrated, 0.0
        for _ in range(MAX_LIMITED_PASSES):
            gain_db = min(max(gain_db, -MAX_GAIN_DB), MAX_GAIN_DB)
            self.gain = 10 ** (gain_db / 20)
            if meter.peak * self.gain * BETWEEN_SAMPLES <= 10 ** (ceiling_db / 20):
                return
            limited, peak = LoudnessMeter(sample_rate, channels), 0.0
            for block in self.apply(blocks(), sample_rate, channels):
                limited.push(block)
                peak = max(peak, float(true_peaks(block).max(initial=0.0)))
            # The limiter's gain may raise peaks between samples where a signal reaches up to half of the rate.
            overshoot = 20 * math.log10(max(peak, 1e-9)) - ceiling_db
            if self.loudness is not None:
                self.missing = target - (ABSOLUTE_GATE if limited.integrated is None else limited.integrated)
            if overshoot <= 0 and self.missing < TOLERANCE:
                return
            self._ceiling_db -= max(overshoot, 0.0)
            gain_db += 1.5 * self.missing  # more gain is more limiting

    def apply(self, blocks: Iterable[np.ndarray], sample_rate: int, channels: int) -> Iterator[np.ndarray]:
        """Yield the recording at its level, in blocks of other lengths but of the same total."""
        limiter = PeakLimiter(sample_rate, channels, self._ceiling_db)
        for block in blocks:
            yield limiter.push(block * np.float32(self.gain))
        yield limiter.finish()
        self.peak, self.limited_db = limiter.peak, 20 * math.log10(1 / limiter.gain)


def describe_limiting(decibels: float, missing: float = 0.0) -> list[str]:
    """A line for the user, from `Mastering`'s attributes, where the limiter changed much; else none."""
    if decibels < MIN_LIMITING_DB:
        return []
    quieter = f"; with them there it is {missing:.1f} LU quieter than asked for" if missing > MIN_MISSING else ""
    return [f"peaks were limited by up to {decibels:.1f} dB, to {CEILING_DB:g} dBTP{quieter}"]
