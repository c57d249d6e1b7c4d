"""Integrated loudness (ITU-R BS.1770-4) of a stream, and the gain that brings it to a target.

The K-weighting is made for any sample rate by the formulas of the published tool (De Man).
"""

import copy
import math
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio.channels import WAVE_ORDER
from audiocodec.audio.source import MAX_CHANNELS, Samples
from audiocodec.errors import ArgumentError

TARGET_LUFS = -16.0
FLOOR_LUFS = -70.0  # also the absolute gate: nothing is measured below it
RELATIVE_GATE_LU = -10.0
SHORTEST_S = 0.5  # shorter signals are padded with silence to this length
RUN_SAMPLES = 32  # per matrix product; longer runs multiply more zeros, shorter ones more states
LEAST_SAMPLES, MOST_SAMPLES = 128, 16384  # filtered in one call: limits overhead; fits the cache

SURROUND = 1.41  # +1.5 dB, 60 to 120 degrees from the front

Matrix = NDArray[np.float64]


def high_shelf(sample_rate: int) -> Matrix:
    """High shelf, 4 dB above 1500 Hz, which models the head: (2, 3), numerator and denominator."""
    w, a = 2 * math.pi * 1500.0 / sample_rate, 10 ** (4.0 / 40)
    alpha, c = math.sin(w) / math.sqrt(2), math.cos(w)
    root = 2 * math.sqrt(a) * alpha
    up, down = a + 1, a - 1
    b = [a * (up + down * c + root), -2 * a * (down + up * c), a * (up + down * c - root)]
    return np.array([b, [up - down * c + root, 2 * (down - up * c), up - down * c - root]])


def high_pass(sample_rate: int) -> Matrix:
    """High pass at 38 Hz, Q 0.5: (2, 3), numerator and denominator."""
    w = 2 * math.pi * 38.0 / sample_rate
    alpha, c = math.sin(w), math.cos(w)
    return np.array([[(1 + c) / 2, -(1 + c), (1 + c) / 2], [1 + alpha, -2 * c, 1 - alpha]])


def _stepwise(rows: Matrix, sample_rate: int) -> tuple[Matrix, Matrix]:
    """Filter rows (n, 4 + run), each a state and a run; return outputs (n, run) and states (n, 4).

    Transposed direct form II, sample by sample. The high pass has equal poles and is split into
    two of first order: the states of one second-order filter nearly cancel below 20 Hz, which
    costs 4 digits at 192 kHz.
    """
    (b, a), high = (c / c[1, 0] for c in (high_shelf(sample_rate), high_pass(sample_rate)))
    gain, pole = math.sqrt(high[0, 0]), -high[1, 1] / 2
    s, out = rows[:, :4].copy(), rows[:, 4:].copy()
    for n in range(out.shape[1]):
        x, y = out[:, n], b[0] * out[:, n] + s[:, 0]
        s[:, 0], s[:, 1] = b[1] * x - a[1] * y + s[:, 1], b[2] * x - a[2] * y
        for k in (2, 3):
            x, y = y, gain * y + s[:, k]
            s[:, k] = pole * y - gain * x
        out[:, n] = y
    return out, s


class _KWeighting:
    """Both filters, RUN_SAMPLES at a time: output = (state before the run, run) @ response.

    Exact: the matrices are the filter's own responses to each unit state and each unit sample.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._state = np.zeros((channels, 4))
        self._response, last = _stepwise(np.eye(4 + RUN_SAMPLES), sample_rate)
        self._kept, self._added = last[:4], last[4:]

    def __call__(self, x: Samples) -> Matrix:
        """Filter the next whole runs, (n_samples, channels); returns (channels, n_samples)."""
        channels = x.shape[1]
        rows = np.empty((channels, len(x) // RUN_SAMPLES, 4 + RUN_SAMPLES))
        rows[..., 4:] = x.reshape(-1, RUN_SAMPLES, channels).transpose(2, 0, 1)
        added = (rows[..., 4:] @ self._added).swapaxes(0, 1).reshape(-1, 4)  # (runs * channels, 4)
        # state = what its run added + previous state @ kept: a prefix sum over 2 runs, 4, 8 ...
        states = np.concatenate([self._state, added])
        span, kept = channels, self._kept
        while span < len(states):
            states[span:] += states[:-span].dot(kept)  # dot: faster than @ where there are few
            span, kept = 2 * span, kept.dot(kept)
        rows[..., :4] = states[:-channels].reshape(-1, channels, 4).swapaxes(0, 1)
        self._state = states[-channels:]
        return (rows @ self._response).reshape(channels, -1)


def channel_weights(speakers: Sequence[str]) -> list[float]:
    """BS.1770's weight of each channel: the surround speakers count more, the LFE not at all.

    BL and BR are the surround pair of 5.1; beside side speakers they stand behind 120 degrees.
    """
    sides = ("SL", "SR") if "SL" in speakers else ("BL", "BR")
    weights = {"LFE": 0.0} | dict.fromkeys(sides, SURROUND)
    return [weights.get(speaker, 1.0) for speaker in speakers]


class LoudnessMeter:
    """Measures the loudness of a stream; its memory grows by 8 bytes per 100 ms.

    speakers: the speaker that each channel feeds, named as in WAVE_ORDER, which is the default.

    Blocks of 400 ms start every 100 ms; the last may reach into silence behind the end.
    Raises ArgumentError for a number of channels that it does not support.
    """

    def __init__(self, sample_rate: int, channels: int, speakers: Sequence[str] = ()) -> None:
        if not 1 <= channels <= MAX_CHANNELS:
            raise ArgumentError(f"{channels} channels; loudness is defined for 1 to {MAX_CHANNELS}")
        self.sample_rate, self.channels, self.peak = sample_rate, channels, 0.0
        self._filter = _KWeighting(sample_rate, channels)
        self._weights = np.array(channel_weights(speakers or WAVE_ORDER[channels]))
        self._pending = np.zeros((0, channels), np.float32)  # under LEAST_SAMPLES
        self._n_filtered = 0
        self._energies = array("d")  # weighted sum of squares of each 100 ms

    def push(self, block: Samples) -> None:
        """Take the next samples, (n_samples, channels). Raises ArgumentError for another shape."""
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ArgumentError(f"block of shape {block.shape}, not (n_samples, {self.channels})")
        if len(block):
            self.peak = max(self.peak, float(np.abs(block).max()))
        x = np.concatenate([self._pending, block])
        n_whole = len(x) // LEAST_SAMPLES * LEAST_SAMPLES
        self._pending = x[n_whole:].copy()
        for start in range(0, n_whole, MOST_SAMPLES):
            self._measure(x[start : min(start + MOST_SAMPLES, n_whole)])

    def integrated(self) -> float:
        """Loudness of all samples so far in LUFS, at least FLOOR_LUFS; more may be pushed after."""
        return gated_loudness(np.array(self._finished()._energies), self.sample_rate)

    def _finished(self) -> "LoudnessMeter":
        """A copy that has filtered the pending samples, padded to the shortest length."""
        meter = copy.deepcopy(self)
        n_samples = self._n_filtered + len(self._pending)
        n_missing = max(0, int(SHORTEST_S * self.sample_rate) - n_samples)
        meter.push(np.zeros((n_missing, self.channels), np.float32))
        n_added = -len(meter._pending) % RUN_SAMPLES
        meter._measure(np.pad(meter._pending, ((0, n_added), (0, 0))), n_added)
        return meter

    def _measure(self, x: Samples, n_added: int = 0) -> None:
        """Filter whole runs (n, channels); add up the energy of all but the last n_added."""
        n_samples, start, rate = len(x) - n_added, self._n_filtered, self.sample_rate
        if not n_samples:
            return
        self._n_filtered += n_samples
        first, last = start * 10 // rate, (self._n_filtered - 1) * 10 // rate  # slots of 100 ms
        starts = [max(0, -(-slot * rate // 10) - start) for slot in range(first, last + 1)]
        y = self._filter(x)[:, :n_samples]
        sums = self._weights @ np.add.reduceat(np.square(y, out=y), starts, axis=1)
        if first < len(self._energies):  # an earlier call began this slot
            sums[0] += self._energies.pop()
        self._energies.extend(sums)


def _lufs(power: float) -> float:
    return -0.691 + 10 * math.log10(power)


def gated_loudness(energies: Matrix, sample_rate: int) -> float:
    """Gated loudness in LUFS, at least FLOOR_LUFS.

    energies: (n,), the K-weighted sum of squares of each 100 ms.
    """
    if not len(energies):
        return FLOOR_LUFS
    energies = np.pad(energies, (0, max(0, 4 - len(energies))))
    power = np.convolve(energies, np.ones(4), "valid") / (0.4 * sample_rate)
    loud = power[power > _power(FLOOR_LUFS)]
    if not len(loud):
        return FLOOR_LUFS
    gated = loud[loud > loud.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return max(FLOOR_LUFS, _lufs(gated.mean()))


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def normalizing_gain(loudness_lufs: float, peak: float, target_lufs: float = TARGET_LUFS) -> float:
    """Return the linear gain, the same for all channels, that brings a programme to the target.

    Limited so that peak * gain <= 1; 1.0 for silence; always finite and above 0.
    """
    if peak == 0.0:
        return 1.0
    gain = 10 ** ((target_lufs - max(loudness_lufs, FLOOR_LUFS)) / 20)
    return float(min(gain, 1.0 / peak))
