"""What a system is: something that turns a clip into bytes and back, at one or several settings.

To add one: a class with the members of System in a file of its own, and a line in catalogue.py.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import CodecError
from audiocodec.lab.measures.signals import Samples


class Unavailable(CodecError):
    """A system cannot run here: a program, a package or weights are missing. Says how to get it."""


@dataclass(frozen=True)
class Setting:
    """A point on a system's curve."""

    label: str  # "9 codebooks", "12 kbps"
    nominal_kbps: float
    codebooks: int = 0  # 0: has none
    tokens_per_s: float = 0.0


@dataclass(frozen=True)
class Decoded:
    """What a system made of a clip."""

    audio: Samples  # as long as what was encoded, at the same rate
    n_bytes: int  # of the file on disk; of the packed codes where a system has no file format
    encode_s: float
    decode_s: float
    codes: NDArray[np.integer] | None = None  # (n_codebooks, frames)


def codebooks_setting(n: int, bits: int, frame_rate: float) -> Setting:
    """The point of n codebooks of so many bits a code."""
    label = f"{n} codebook" if n == 1 else f"{n} codebooks"
    return Setting(label, n * bits * frame_rate / 1000, n, n * frame_rate)


class System(Protocol):
    """A codec that can be measured. Made once a process; Unavailable where it cannot run."""

    name: str  # in tables: "Opus"
    identity: str  # what its output follows from: version of the program, fingerprint of the model
    settings: tuple[Setting, ...]  # from the lowest rate to the highest
    codebook_size: int  # 0: has none
    in_programs: bool  # its work is done by other programs, whose memory counts

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> Decoded:
        """Encode and decode mono audio (n_samples,) in [-1, 1]."""


def fitted(audio: Samples, n_samples: int) -> Samples:
    """Cut, or filled with zeros, to n_samples: some systems add or lose a few at the end."""
    return np.pad(audio, (0, max(0, n_samples - len(audio))))[:n_samples].astype(np.float32)


def measured_kbps(n_bytes: int, n_samples: int, sample_rate: int) -> float:
    """Bit rate of what n_samples became."""
    return n_bytes * 8 * sample_rate / n_samples / 1000
