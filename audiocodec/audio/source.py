"""A sound that is open for reading: its properties, and any part of it as blocks of samples.

Blocks are float32 (n_samples, channels), full scale 1.0; one sample here is soundfile's "frame".
"""

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import ArgumentError, AudioError

Samples: TypeAlias = NDArray[np.float32]  # (n_samples, channels)
PathLike: TypeAlias = str | os.PathLike[str]

BLOCK_SAMPLES = 65536
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1000, 768_000
TAGS = (  # without "software", which names the program that wrote the file
    "title",
    "artist",
    "album",
    "date",
    "genre",
    "tracknumber",
    "comment",
    "copyright",
    "license",
)


class CutAudioWarning(UserWarning):
    """A part of a sound file is missing or damaged; the rest is used."""


class UnknownFormat(AudioError):
    """A format that this reader does not know; another reader may."""


@dataclass(frozen=True)
class AudioSource:
    """Audio of which any part can be read, any number of times, one reading after the other.

    n_samples: the true length, or None if it is known only after reading to the end.
    speakers: the speaker that each channel feeds, if the file states it; else empty, and
        channels.WAVE_ORDER applies.
    _read: yields pieces of any size from a given sample to the end, with exactly the samples that
        a reading from the start gives there.
    """

    name: str
    sample_rate: int
    channels: int
    n_samples: int | None
    tags: Mapping[str, str]
    _read: Callable[[int], Iterator[Samples]] = field(repr=False)
    _close: Callable[[], None] = field(repr=False, default=lambda: None)
    speakers: tuple[str, ...] = ()

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Samples]:
        """Yield the samples from `start` up to `stop`, by default all, as (n_samples, channels).

        Each block has BLOCK_SAMPLES, the last one at most; there are none if the sound ends before
        `start`. Reading begins at `start` if the format can be sought exactly; otherwise earlier
        samples are decoded and dropped.
        Raises AudioError for a damaged file, and for NaN or infinity with its position;
        ArgumentError for a negative `start`.
        """
        position = operator.index(start)
        if position < 0:
            raise ArgumentError(f"{self.name}: there is no sample {position}; the first one is 0")
        n_wanted = None if stop is None else operator.index(stop) - position
        for block in _equal_blocks(self._read(position), n_wanted):
            self._check_finite(block, position)
            yield block
            position += len(block)

    def length(self) -> int:
        """The true number of samples; if it is unknown, the sound is read to its end.

        Raises AudioError where that fails.
        """
        if self.n_samples is None:
            return sum(len(block) for block in self.blocks())
        return self.n_samples

    def _check_finite(self, block: Samples, position: int) -> None:
        finite = np.isfinite(block)
        if finite.all():
            return
        index, channel = np.argwhere(~finite)[0]
        what = "NaN" if np.isnan(block[index, channel]) else "infinity"
        position += int(index)
        raise AudioError(
            f"{self.name}: {what} at sample {position} ({position / self.sample_rate:.3f} s), "
            f"channel {channel + 1} of {self.channels}; replace it with a finite number first"
        )

    def close(self) -> None:
        """Close the file that open_audio opened; the caller's file objects stay open."""
        self._close()

    def __enter__(self) -> "AudioSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _equal_blocks(pieces: Iterable[Samples], n_wanted: int | None) -> Iterator[Samples]:
    """Regroup n_wanted samples, by default all, into blocks of BLOCK_SAMPLES; reads no further."""
    pending: list[Samples] = []
    n_pending, n_left = 0, n_wanted
    for piece in pieces if n_left is None or n_left > 0 else ():
        piece = piece if n_left is None else piece[:n_left]
        n_left = None if n_left is None else n_left - len(piece)
        pending.append(piece)
        n_pending += len(piece)
        if n_pending >= BLOCK_SAMPLES:
            whole = np.concatenate(pending) if len(pending) > 1 else piece
            n_full = n_pending - n_pending % BLOCK_SAMPLES
            yield from np.split(whole[:n_full], n_full // BLOCK_SAMPLES)
            pending, n_pending = [whole[n_full:]], n_pending - n_full
        if n_left == 0:
            break
    if n_pending:
        yield np.concatenate(pending)


def dropped(pieces: Iterable[Samples], n_samples: int) -> Iterator[Samples]:
    """Yield pieces (any, channels) without their first n_samples."""
    for piece in pieces:
        yield piece[n_samples:]
        n_samples = max(0, n_samples - len(piece))


def check_layout(name: str, rate: int, channels: int) -> None:
    """Raise AudioError for a number of channels or a sample rate that cannot be used."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: has {channels} channels; 1 to {MAX_CHANNELS} can be used")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name}: its sample rate is {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used"
        )


def known_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags named in TAGS that are not empty."""
    return {tag: tags[tag].strip() for tag in TAGS if tags.get(tag, "").strip()}
