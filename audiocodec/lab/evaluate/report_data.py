"""The data of a report."""

from dataclasses import dataclass, field
from pathlib import Path

from audiocodec.lab.evaluate.rows import ResultRow


@dataclass(frozen=True)
class Condition:
    """A decoded clip that can be listened to."""

    row: ResultRow
    audio: Path  # FLAC, 16 bit, mono


@dataclass(frozen=True)
class HeardClip:
    """A clip with all its decoded versions."""

    clip: str
    kind: str
    reference: Path  # FLAC, 16 bit, mono
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Usage:
    """How a system used its codebooks over the clips of a class, or over all clips."""

    system: str
    kind: str  # class; "all": all classes
    n_frames: int
    codebook_size: int
    entropy: tuple[float, ...]  # bits, of each codebook
    used_share: tuple[float, ...]  # share of entries used, of each codebook
    efficiency: float  # entropy over bits spent (paper, section 4)


@dataclass(frozen=True)
class Speed:
    """Speed and memory of a system that ran alone, in a process of its own."""

    system: str
    setting: str
    encode_speed: float  # times real time, all cores
    decode_speed: float
    peak_mib: float  # peak resident memory of that process, or of the programs that it runs


@dataclass(frozen=True)
class Report:
    """All data of a report."""

    model: str  # name of the system that the report is about
    rows: tuple[ResultRow, ...]
    heard: tuple[HeardClip, ...] = ()
    usage: tuple[Usage, ...] = ()
    speed: tuple[Speed, ...] = ()
    failed: tuple[str, ...] = ()  # clips that could not be used or measured, and why
    not_run: dict[str, str] = field(default_factory=dict)  # why, by baseline
    about: dict[str, str] = field(default_factory=dict)  # date, data, command, versions
