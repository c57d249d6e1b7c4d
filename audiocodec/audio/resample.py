"""Sample rate conversion with soxr; converting a part gives exactly that part of the whole.

Each segment of the input is converted alone, with as much of its surroundings as the filter
reaches. So the result depends neither on how the audio was cut into blocks nor on where decoding
started. soxr's clock, which drifts for ratios such as 44100:44101, restarts with every segment.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from audiocodec.audio.source import Samples
from audiocodec.errors import ArgumentError

QUALITY = "HQ"
REACH_SAMPLES = 160  # of the slower rate; measured: beyond 110 the filter is below 2e-7 (-134 dB)
SEGMENT_SAMPLES = 16384  # roughly; of the faster rate


def resampled_length(n_samples: int, from_rate: int, to_rate: int) -> int:
    """The number of samples that n_samples become, rounded up."""
    return -(-n_samples * to_rate // from_rate)


class _SegmentGrid:
    """Segment sizes; segments begin on input samples that coincide with output samples."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        if from_rate < 1 or to_rate < 1:
            raise ArgumentError(f"sample rates {from_rate} and {to_rate}; both must be positive")
        step = from_rate // math.gcd(from_rate, to_rate)
        self.same = from_rate == to_rate
        self.reach = 0 if self.same else math.ceil(REACH_SAMPLES * max(1.0, from_rate / to_rate))
        self.lead = _rounded_up(self.reach, step)
        usual = math.ceil(SEGMENT_SAMPLES * min(1.0, from_rate / to_rate))
        self.segment = _rounded_up(max(usual, 4 * self.reach), step)
        self.lead_out = self.lead * to_rate // from_rate
        self.segment_out = self.segment * to_rate // from_rate


def _rounded_up(n: int, step: int) -> int:
    return -(-n // step) * step


class Resampler:
    """Resamples a stream: push blocks, then flush. The output is aligned with the input.

    n_out: the total output length; by default resampled_length of the input's.
    Raises ArgumentError for a sample rate below 1.
    """

    def __init__(
        self, from_rate: int, to_rate: int, channels: int, n_out: int | None = None
    ) -> None:
        self.from_rate, self.to_rate, self.channels = from_rate, to_rate, channels
        self._grid, self._n_out = _SegmentGrid(from_rate, to_rate), n_out
        self._pieces = [np.zeros((self._grid.lead, channels), np.float32)]
        self._n_pending, self._n_pushed, self._n_given = self._grid.lead, 0, 0

    def push(self, block: Samples) -> Samples:
        """Take (n_samples, channels); return finished samples of that layout, often none.

        Raises ArgumentError for a block of another shape.
        """
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ArgumentError(f"block of shape {block.shape}, not (n_samples, {self.channels})")
        self._n_pushed += len(block)
        return self._append(np.array(block, np.float32))

    def flush(self) -> Samples:
        """Return the rest, (n_samples, channels); nothing may be pushed afterwards."""
        if self._n_out is None:
            self._n_out = resampled_length(self._n_pushed, self.from_rate, self.to_rate)
        n_segments = -(-(self._n_out - self._n_given) // self._grid.segment_out)
        n_wanted = self._grid.lead + n_segments * self._grid.segment + self._grid.reach
        silence = np.zeros((max(0, n_wanted - self._n_pending), self.channels), np.float32)
        return self._append(silence)

    def _append(self, block: Samples) -> Samples:
        self._pieces.append(block)
        self._n_pending += len(block)
        n_needed = self._grid.lead + self._grid.segment + self._grid.reach
        if self._n_pending < n_needed:
            return np.empty((0, self.channels), np.float32)
        pending, done = np.concatenate(self._pieces), []
        while len(pending) >= n_needed:
            done.append(self._converted(pending[:n_needed]))
            pending = pending[self._grid.segment :]
        self._pieces, self._n_pending = [pending.copy()], len(pending)
        return self._given(np.concatenate(done))

    def _converted(self, x: Samples) -> Samples:
        """Convert a segment with its surroundings, (lead + segment + reach, channels)."""
        if self._grid.same:
            return x[: self._grid.segment]
        stream = soxr.ResampleStream(
            self.from_rate, self.to_rate, self.channels, dtype="float32", quality=QUALITY
        )
        y = stream.resample_chunk(x, last=True)
        return y[self._grid.lead_out : self._grid.lead_out + self._grid.segment_out]

    def _given(self, y: Samples) -> Samples:
        y = y if self._n_out is None else y[: max(0, self._n_out - self._n_given)]
        self._n_given += len(y)
        return y


def resampled(
    blocks: Iterable[Samples], from_rate: int, to_rate: int, channels: int, n_out: int | None = None
) -> Iterator[Samples]:
    """Convert a stream of blocks (n_samples, channels); yields blocks of any size but 0."""
    resampler = Resampler(from_rate, to_rate, channels, n_out)
    for block in blocks:
        if len(done := resampler.push(block)):
            yield done
    if len(done := resampler.flush()):
        yield done


def input_range(start: int, n_samples: int, from_rate: int, to_rate: int) -> tuple[int, int, int]:
    """Find the input range that the output samples [start, start + n_samples) need.

    Returns (in_start, in_stop, skip_out): resample the input from in_start to in_stop, or to the
    end of the signal if that comes first, and drop the first skip_out samples of the result.
    """
    grid = _SegmentGrid(from_rate, to_rate)
    if grid.same:
        return start, start + n_samples, 0
    # one segment early: then this one has the same surroundings as in the whole signal
    first = max(0, start // grid.segment_out - 1)
    in_stop = resampled_length(start + n_samples, to_rate, from_rate) + grid.reach
    return first * grid.segment, in_stop, start - first * grid.segment_out
