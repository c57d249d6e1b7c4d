"""Lays out a number of frames: at which stream and step each code stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audiocodec.errors import ArgumentError
from audiocodec.tokens.patterns.vocabulary import SpecialToken


class Place(NamedTuple):
    """The place of one codebook: of T frames, frame t is at step blocks * T + period * t + offset.

    `blocks` above 0 is for codebooks that come after whole passes over the frames (coarse, then
    fine). If there is an eos, it comes between and shifts these by a step. A bos shifts all.
    """

    stream: int
    offset: int  # steps
    period: int = 1  # steps from frame to frame
    blocks: int = 0


@dataclass(frozen=True)
class Layout:
    """The places of all codes of some frames, and the special tokens in the other places.

    `codebook` and `frame` say what each place holds, `streams` and `steps` where each code is:
    tokens[..., streams, steps] are the tokens of the codes, (..., n_codebooks, frames).
    """

    codebook: np.ndarray  # int64 (n_streams, n_steps): a codebook or a SpecialToken
    frame: np.ndarray  # int64 (n_streams, n_steps): -1 where there is no code
    streams: np.ndarray  # int64 (n_codebooks, 1)
    steps: np.ndarray  # int64 (n_codebooks, frames)

    @property
    def n_streams(self) -> int:
        """Tokens of a step."""
        return self.codebook.shape[0]

    @property
    def n_steps(self) -> int:
        """Number of steps, including bos and eos."""
        return self.codebook.shape[1]

    @property
    def code_mask(self) -> np.ndarray:
        """The places of codes, which a loss counts: bool (n_streams, n_steps)."""
        return self.codebook >= 0

    @property
    def eos_mask(self) -> np.ndarray:
        """The places of eos, which a loss counts too: bool (n_streams, n_steps)."""
        return self.codebook == SpecialToken.EOS


def starts(places: Sequence[Place], n_frames: int, bos: bool, eos: bool) -> np.ndarray:
    """The step of frame 0 of each codebook, int64 (n_codebooks,)."""
    return np.array(
        [p.offset + p.blocks * n_frames + bos + (eos and p.blocks > 0) for p in places], np.int64
    )


def lay(places: Sequence[Place], n_frames: int, bos: bool, eos: bool) -> Layout:
    """Lay out n_frames frames.

    Raises ArgumentError if two codes fall on one place.
    """
    stream, _, period, _ = np.array(places, np.int64).T
    start = starts(places, n_frames, bos, eos)
    steps = start[:, None] + period[:, None] * np.arange(n_frames)
    after = start + period * n_frames  # the step of the frame after the last
    shape = (int(stream.max()) + 1, int(after.max()) + 1)
    codebook, frame = np.full(shape, SpecialToken.MASK, np.int64), np.full(shape, -1, np.int64)
    codebook[stream[:, None], steps] = np.arange(len(places))[:, None]
    frame[stream[:, None], steps] = np.arange(n_frames)
    if np.count_nonzero(codebook >= 0) != steps.size:
        raise ArgumentError(f"with {n_frames} frames two codes of the pattern share a place")
    codebook[:, :bos] = SpecialToken.BOS
    if eos:
        _set_ends(codebook, stream, after)
    n_steps = _pad(codebook)
    for s, first, step in zip(stream, after, period):  # where later frames would be
        row = codebook[s, first::step]
        row[row == SpecialToken.MASK] = SpecialToken.PAD
    return Layout(codebook[:, :n_steps], frame[:, :n_steps], stream[:, None], steps)


def _set_ends(codebook: np.ndarray, stream: np.ndarray, after: np.ndarray) -> None:
    """Put the eos on the first free place of the frame after the last, in each stream."""
    for s, row in enumerate(codebook):
        places = after[stream == s]
        row[places[row[places] == SpecialToken.MASK].min()] = SpecialToken.EOS


def _pad(codebook: np.ndarray) -> int:
    """Pad each stream after its end; returns the end of the longest."""
    held = codebook != SpecialToken.MASK
    end = np.where(held.any(axis=1), codebook.shape[1] - held[:, ::-1].argmax(axis=1), 0)
    codebook[np.arange(codebook.shape[1]) >= end[:, None]] = SpecialToken.PAD
    return int(end.max())
