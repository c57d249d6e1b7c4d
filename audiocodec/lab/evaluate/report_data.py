"""What a report is made of; plain data."""

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
    """A clip with everything that became of it."""

    clip: str
    kind: str
    reference: Path  # FLAC, 16 bit, mono
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Usage:
    """How a model's codebooks were used over the clips of a class, or of all."""

    system: str
    kind: str  # "all": of all classes
    n_frames: int
    codebook_size: int
    entropy: tuple[float, ...]  # bits, of each codebook
    used_share: tuple[float, ...]  # of its entries
    efficiency: float  # bits carried of bits spent (paper, section 4)


@dataclass(frozen=True)
class Speed:
    """A system alone on the machine, in a process of its own."""

    system: str
    setting: str
    encode_speed: float  # times real time, all cores
    decode_speed: float
    peak_mib: float  # resident memory of that process, or of the programs it runs


@dataclass(frozen=True)
class Report:
    """All of it."""

    model: str  # the system that the report is about
    rows: tuple[ResultRow, ...]
    heard: tuple[HeardClip, ...] = ()
    usage: tuple[Usage, ...] = ()
    speed: tuple[Speed, ...] = ()
    failed: tuple[str, ...] = ()  # clips that a system could not do, and why
    not_run: dict[str, str] = field(default_factory=dict)  # baselines, and why
    about: dict[str, str] = field(default_factory=dict)  # date, data, command, versions
