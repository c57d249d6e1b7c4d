"""Compare the codes of two .dac files, block by block."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from audiocodec.container import CodeSpace
from audiocodec.tokens.editing.sources import Source, TokenFile, opened

MAX_CODEBOOKS = 255  # the most that a header can declare


@dataclass(frozen=True)
class Side(CodeSpace):
    """One of the two compared: what its decoding depends on, besides the codes.

    file: a path, or the id of a row in shards.
    """

    file: str
    sample_rate: int
    channels: int
    n_codebooks: int
    n_samples: int
    n_frames: int
    gain: float


@dataclass(frozen=True)
class Difference:
    """The first place where codes differ: the earliest frame, then channel, then codebook."""

    frame: int
    start_s: float
    channel: int
    codebook: int
    codes: tuple[int, int]


@dataclass(frozen=True)
class Comparison:
    """How two files differ. Codes are compared in the frames, channels, codebooks of both.

    equal_shares: for each common codebook, the share of equal codes, 0 to 1, over all channels;
    empty without common frames. distance_frames: frames that differ in any common code, or are in
    one file only.
    """

    first: Side
    second: Side
    equal_shares: tuple[float, ...]
    first_difference: Difference | None
    distance_frames: int

    @property
    def same_model(self) -> bool:
        """Whether both are of one model; if not, the other numbers mean little."""
        return self.first.fingerprint == self.second.fingerprint

    @property
    def differing(self) -> tuple[str, ...]:
        """Names of the fields of Side that differ, and "codes" if these do."""
        a, b = asdict(self.first), asdict(self.second)
        names = [name for name in a if name not in ("file", "model") and a[name] != b[name]]
        return (*names, *(["codes"] if self.first_difference else []))

    @property
    def equal(self) -> bool:
        """Whether both decode to the same sound; ignores tags and names of models."""
        return not self.differing

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values, for JSON."""
        derived = {"equal": self.equal, "same_model": self.same_model}
        return derived | {"differing": list(self.differing)} | asdict(self)


def compare(first: Source, second: Source) -> Comparison:
    """Compare two .dac files. Memory does not grow with their length.

    Raises ContainerError for a file that cannot be used, or whose blocks differ in codebooks.
    """
    with opened(first) as a, opened(second) as b:
        counts = ComparisonCounts()
        for codes in _aligned(a.codes(a.header.n_codebooks), b.codes(b.header.n_codebooks)):
            counts.add(*codes)
        return counts.comparison(_side(a), _side(b))


class ComparisonCounts:
    """Counts equal codes in pairs of arrays that are added in order."""

    def __init__(self) -> None:
        self.n_equal = np.zeros(MAX_CODEBOOKS, np.int64)  # equal codes of each codebook
        self.n_compared = np.zeros(MAX_CODEBOOKS, np.int64)
        self.n_frames = self.n_different = 0  # frames compared; those that differ
        self._first: tuple[int, int, int, tuple[int, int]] | None = None

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Compare two arrays (channels, n_codebooks, frames) where both have codes."""
        channels, n_codebooks, n_frames = (min(pair) for pair in zip(a.shape, b.shape, strict=True))
        a, b = (codes[:channels, :n_codebooks, :n_frames] for codes in (a, b))
        differs = a != b
        self.n_equal[:n_codebooks] += (~differs).sum(axis=(0, 2))
        self.n_compared[:n_codebooks] += channels * n_frames
        self.n_different += int(differs.any(axis=(0, 1)).sum())
        if self._first is None and differs.any():
            frame, channel, codebook = (int(i) for i in np.argwhere(differs.transpose(2, 0, 1))[0])
            place = channel, codebook, frame
            self._first = self.n_frames + frame, channel, codebook, (int(a[place]), int(b[place]))
        self.n_frames += n_frames

    @property
    def equal_shares(self) -> tuple[float, ...]:
        """The share of equal codes, 0 to 1, of each codebook that was compared."""
        used = self.n_compared > 0
        return tuple((self.n_equal[used] / self.n_compared[used]).tolist())

    def comparison(self, first: Side, second: Side) -> Comparison:
        """The result, once all common frames were added."""
        difference = None
        if self._first is not None:
            frame, channel, codebook, codes = self._first
            start_s = frame * first.hop / first.model_rate
            difference = Difference(frame, start_s, channel, codebook, codes)
        surplus = abs(first.n_frames - second.n_frames)
        return Comparison(first, second, self.equal_shares, difference, self.n_different + surplus)


def _side(file: TokenFile) -> Side:
    header = file.header
    return Side(
        **vars(header.space),
        file=file.path,
        sample_rate=header.sample_rate,
        channels=header.channels,
        n_codebooks=header.n_codebooks,
        n_samples=file.n_samples,
        n_frames=file.n_frames,
        gain=header.gain,
    )


def _aligned(
    a: Iterator[np.ndarray], b: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of blocks (channels, n_codebooks, frames), cut to equal frames until one side ends."""
    x, y = next(a, None), next(b, None)
    while x is not None and y is not None:
        n = min(x.shape[-1], y.shape[-1])
        yield x[..., :n], y[..., :n]
        x, y = x[..., n:], y[..., n:]
        x = x if x.shape[-1] else next(a, None)
        y = y if y.shape[-1] else next(b, None)
