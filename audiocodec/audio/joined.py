"""Sound that is decoded in several pieces: from joined files, or files with parts missing."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiocodec.audio.sndfile import SoundInfo
from audiocodec.audio.source import (
    BLOCK_SAMPLES,
    AudioSource,
    CutAudioWarning,
    Samples,
)
from audiocodec.errors import AudioError


@dataclass(frozen=True)
class StreamPiece:
    """A part of a sound file that is decoded on its own.

    decode: yields its samples from a given one on. The second argument, the number of samples
        before this piece, is for messages.
    n_silent: samples lost before it, which become silence.
    """

    info: SoundInfo
    decode: Callable[[int, int], Iterator[Samples]]
    n_silent: int = 0

    @property
    def n_samples(self) -> int:
        return self.n_silent + self.info.n_samples

    def read(self, name: str, start: int, n_before: int) -> Iterator[Samples]:
        """Yield its samples from `start` on, silence first. n_before: samples of pieces before."""
        yield from _silence(self.n_silent - start, self.info.channels)
        first = max(0, start - self.n_silent)
        n_left = self.info.n_samples - first
        n_before += self.n_silent
        for block in self.decode(first, n_before) if n_left > 0 else ():
            yield block[:n_left]
            n_left -= len(block[:n_left])
        if n_left > 0:
            at_s = (n_before + self.info.n_samples - n_left) / self.info.sample_rate
            raise AudioError(
                f"{name}: cannot be read to its end: damaged near {at_s:.1f} s; "
                f"{n_left} of {self.info.n_samples} samples cannot be decoded"
            )


def _silence(n_samples: int, channels: int) -> Iterator[Samples]:
    for start in range(0, n_samples, BLOCK_SAMPLES):
        yield np.zeros((min(BLOCK_SAMPLES, n_samples - start), channels), np.float32)


def joined(
    name: str, pieces: Sequence[StreamPiece], reordered: Callable[[Samples], Samples] = lambda x: x
) -> AudioSource:
    """Make one sound of consecutive pieces, at least one.

    It ends before the first piece of another sample rate or number of channels, with a
    CutAudioWarning. reordered: puts channels in the order of WAVE files.
    """
    used = _alike(name, pieces)

    def read(start: int) -> Iterator[Samples]:
        n_before = 0
        for piece in used:
            if start < n_before + piece.n_samples:
                for block in piece.read(name, max(0, start - n_before), n_before):
                    yield reordered(block)
            n_before += piece.n_samples

    info, n_samples = used[0].info, sum(piece.n_samples for piece in used)
    return AudioSource(name, info.sample_rate, info.channels, n_samples, info.tags, read)


def _alike(name: str, pieces: Sequence[StreamPiece]) -> Sequence[StreamPiece]:
    first = pieces[0].info
    for number, piece in enumerate(pieces):
        info = piece.info
        if (info.sample_rate, info.channels) != (first.sample_rate, first.channels):
            used_s = sum(one.n_samples for one in pieces[:number]) / first.sample_rate
            tell_cut(
                f"{name}: only the first {used_s:.1f} s are used; what follows has "
                f"{info.sample_rate} Hz and {info.channels} channel(s), "
                f"not {first.sample_rate} Hz and {first.channels}"
            )
            return pieces[:number]
    return pieces


def with_bounded_silence(pieces: Sequence[StreamPiece]) -> list[StreamPiece]:
    """Remove silence that is longer than all the sound, as a damaged position would make it."""
    most = sum(piece.info.n_samples for piece in pieces)
    return [piece if piece.n_silent <= most else replace(piece, n_silent=0) for piece in pieces]


def tell_cut(message: str) -> None:
    """Warn with CutAudioWarning."""
    warnings.warn(message, CutAudioWarning, stacklevel=2)
