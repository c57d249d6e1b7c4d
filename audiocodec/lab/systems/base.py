"""What an evaluation asks of a codec: a clip into bytes and back, at one or several settings."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.extras import how_to_install
from audiocodec.lab.measures.signals import Samples

Number = TypeVar("Number", int, float)


class Unavailable(CodecError):
    """A system cannot run here: a program, a package or weights are missing. Says how to get it."""


@dataclass(frozen=True)
class Setting:
    """A point on a system's rate-distortion curve."""

    label: str  # "9 codebooks", "12 kbps"
    nominal_kbps: float
    codebooks: int = 0  # 0: has none
    tokens_per_s: float = 0.0


@dataclass(frozen=True)
class DecodedClip:
    """What a system made of a clip."""

    audio: Samples  # as long as what was encoded, at the same rate
    n_bytes: int  # of the file on disk; of the packed codes where a system has no file format
    encode_s: float
    decode_s: float
    codes: NDArray[np.integer] | None = None  # (n_codebooks, frames)


class System(Protocol):
    """A codec that can be evaluated. Unavailable where it cannot run."""

    name: str  # in tables: "Opus"
    identity: str  # what its output follows from: version of the program, fingerprint of the model
    settings: tuple[Setting, ...]  # from the lowest rate to the highest
    codebook_size: int  # 0: has none
    in_programs: bool  # its work is done by other programs, whose memory counts

    @classmethod
    def from_argument(cls, argument: str) -> "System":
        """Make it of what stands behind the colon in `name:argument`; empty: the usual one.

        Raises Unavailable, ArgumentError for an argument that does not fit.
        """

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode and decode mono audio (n_samples,) in [-1, 1]."""


def codebooks_setting(n: int, bits: int, frame_rate: float) -> Setting:
    """The point of n codebooks of so many bits a code."""
    label = f"{n} codebook" if n == 1 else f"{n} codebooks"
    return Setting(label, n * bits * frame_rate / 1000, n, n * frame_rate)


def fitted(audio: Samples, n_samples: int) -> Samples:
    """Cut or filled with zeros to n_samples: some systems add or lose a few at the end."""
    return np.pad(audio, (0, max(0, n_samples - len(audio))))[:n_samples].astype(np.float32)


def measured_kbps(n_bytes: int, n_samples: int, sample_rate: int) -> float:
    """Bit rate of what n_samples became."""
    return n_bytes * 8 * sample_rate / n_samples / 1000


def numbers(text: str, number: Callable[[str], Number]) -> tuple[Number, ...]:
    """Numbers separated by slashes. Raises ArgumentError."""
    try:
        return tuple(number(part) for part in text.split("/"))
    except ValueError as error:
        raise ArgumentError(f"{text!r} is not a list of numbers such as 6/8/12") from error


def rates_in(argument: str) -> tuple[float, ...]:
    """Bit rates in kbps, none of an empty argument. Raises ArgumentError."""
    return numbers(argument, float) if argument else ()


def weights_and_counts(argument: str) -> tuple[str, tuple[int, ...]]:
    """Weights, then perhaps @ and counts of codebooks; either may be missing."""
    weights, at, counts = argument.rpartition("@")
    if not at or not set(counts) <= set("0123456789/ "):  # a folder's name may hold an @
        return argument, ()
    return weights, numbers(counts, int)


def package(name: str, how: str = how_to_install("peers")) -> Any:
    """A package that audiocodec does without. Raises Unavailable that says how to install it."""
    try:
        with warnings.catch_warnings():  # what it uses that is out of date is not ours to mend
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise Unavailable(f"the package {name} is missing: {how}") from error
