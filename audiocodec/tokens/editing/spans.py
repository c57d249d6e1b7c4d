"""Ranges of a sound in seconds or frames, and lengths in samples after moving frames."""

import math
from dataclasses import dataclass
from fractions import Fraction

from audiocodec.container import Header
from audiocodec.errors import ArgumentError


@dataclass(frozen=True)
class Frames:
    """A range of whole frames: `duration` of them from `start` on; up to the end by default.

    Raises ArgumentError for negative numbers.
    """

    start: int = 0
    duration: int | None = None

    def __post_init__(self) -> None:
        _check(self.start, self.duration, "frames")

    def rounded(self, frame_rate: float) -> "Frames":
        """This range itself."""
        return self


@dataclass(frozen=True)
class Seconds:
    """A range in seconds; both ends are moved to the nearest frame boundary.

    So it is exact to half a frame (6 ms for 44.1 kHz models), and ranges that adjoin in seconds
    adjoin in frames. Raises ArgumentError for negative numbers.
    """

    start: float = 0.0
    duration: float | None = None

    def __post_init__(self) -> None:
        _check(self.start, self.duration, "seconds")

    def rounded(self, frame_rate: float) -> Frames:
        """The range in frames. frame_rate: frames per second."""
        first = round(self.start * frame_rate)
        if self.duration is None or math.isinf(self.duration):
            return Frames(first)
        return Frames(first, round((self.start + self.duration) * frame_rate) - first)


Span = Frames | Seconds


def frames_in(span: Span, header: Header, n_frames: int, path: str) -> tuple[int, int]:
    """First frame of a range and the frame after its last, both within the file.

    The range may be empty. Raises ArgumentError if it starts beyond the end.
    """
    frames = span.rounded(header.frame_rate)
    if frames.start > n_frames:
        raise ArgumentError(
            f"{path}: a start at frame {frames.start}, {frames.start / header.frame_rate:.2f} s, "
            f"is beyond its end: frame {n_frames}, {n_frames / header.frame_rate:.2f} s"
        )
    if frames.duration is None:
        return frames.start, n_frames
    return frames.start, min(n_frames, frames.start + frames.duration)


def moved_length(header: Header, n_samples: int, n_frames: int, by: int) -> int:
    """Samples of a sound after its end has moved by some frames, earlier (negative) or later.

    header: of the sound, for its rates. n_samples, n_frames: lengths before the move.
    Returns the samples that n_frames + by frames hold up to the moved end. Moving back gives
    n_samples again, unless rates differ and the last frame holds less than one sample.
    Raises ArgumentError if no length has that many frames, because a frame is shorter than a
    sample.
    """
    total, most = n_frames + by, header.samples_of(n_frames + by)
    if n_samples < header.samples_of(n_frames):
        least = header.samples_of(total - 1) + 1 if total else 0
        # round() treats both directions alike (half to even), so that moves cancel out
        shift = round(Fraction(by * header.hop * header.sample_rate, header.model_rate))
        most = min(most, max(least, n_samples + shift))
    if header.frames_of(most) != total:
        raise ArgumentError(
            f"no sound at {header.sample_rate} Hz is {total} frames long: a frame is shorter "
            "than a sample"
        )
    return most


def _check(start: float, duration: float | None, unit: str) -> None:
    if not 0 <= start < math.inf:
        raise ArgumentError(f"start is {start} {unit}; it must be 0 or later")
    if duration is not None and not duration >= 0:
        raise ArgumentError(f"duration is {duration} {unit}; it must be 0 or more")
