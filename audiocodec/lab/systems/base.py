"""What an evaluation asks of a codec: to encode and decode a clip, at one or several settings."""

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
    codebooks: int = 0  # 0: the codec has none
    tokens_per_s: float = 0.0


@dataclass(frozen=True)
class DecodedClip:
    """A clip after encoding and decoding, with its size and times."""

    audio: Samples  # as long as the input, at the same rate
    n_bytes: int  # of the file on disk; of the packed codes where a system has no file format
    encode_s: float
    decode_s: float
    codes: NDArray[np.integer] | None = None  # (n_codebooks, frames)


class System(Protocol):
    """A codec that can be evaluated. Unavailable where it cannot run."""

    name: str  # in tables: "Opus"
    identity: str  # all that determines its output: a program's version, a model's fingerprint
    settings: tuple[Setting, ...]  # from the lowest rate to the highest
    codebook_size: int  # 0: it has no codebooks
    in_programs: bool  # other programs do its work, so that their memory counts

    @classmethod
    def from_argument(cls, argument: str) -> "System":
        """Make it from the part after the colon of `name:argument`; empty for the defaults.

        Raises Unavailable, and ArgumentError for an argument that it does not understand.
        """

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode and decode mono audio (n_samples,) in [-1, 1]."""


def codebooks_setting(n: int, bits: int, frame_rate: float) -> Setting:
    """The setting of n codebooks, with `bits` per code and `frame_rate` frames per second."""
    label = f"{n} codebook" if n == 1 else f"{n} codebooks"
    return Setting(label, n * bits * frame_rate / 1000, n, n * frame_rate)


def fitted(audio: Samples, n_samples: int) -> Samples:
    """Audio (any length) cut or zero-padded to float32 (n_samples,).

    Some systems add or lose a few samples at the end.
    """
    return np.pad(audio, (0, max(0, n_samples - len(audio))))[:n_samples].astype(np.float32)


def measured_kbps(n_bytes: int, n_samples: int, sample_rate: int) -> float:
    """Bit rate in kbps of n_bytes that hold n_samples."""
    return n_bytes * 8 * sample_rate / n_samples / 1000


def numbers(text: str, number: Callable[[str], Number]) -> tuple[Number, ...]:
    """Parse numbers separated by slashes. Raises ArgumentError."""
    try:
        return tuple(number(part) for part in text.split("/"))
    except ValueError as error:
        raise ArgumentError(f"{text!r} is not a list of numbers such as 6/8/12") from error


def rates_in(argument: str) -> tuple[float, ...]:
    """Parse bit rates in kbps; none if the argument is empty. Raises ArgumentError."""
    return numbers(argument, float) if argument else ()


def weights_and_counts(argument: str) -> tuple[str, tuple[int, ...]]:
    """Split WEIGHTS@COUNTS; either part may be missing. Raises ArgumentError.

    Returns the weights' name and the counts of codebooks, such as 1/3/9.
    """
    weights, at, counts = argument.rpartition("@")
    if not at or not set(counts) <= set("0123456789/ "):  # a folder's name may hold an @
        return argument, ()
    return weights, numbers(counts, int)


def package(name: str, how: str = how_to_install("peers")) -> Any:
    """Import an optional package. Raises Unavailable that says how to install it."""
    try:
        with warnings.catch_warnings():  # another package's deprecations are not ours to fix
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise Unavailable(f"the package {name} is missing: {how}") from error
