"""What was measured, as plain values, and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from audiocodec.errors import ArgumentError

SCHEMA = 1


@dataclass(frozen=True)
class BenchmarkRow:
    """Ours and one peer, in turns; medians over the rounds."""

    model: str
    operation: str
    audio_s: float
    batch: int
    system: str  # the peer; "" where ours was measured alone
    ours_s: float  # of computing, for each second of audio of the batch
    theirs_s: float | None
    ratio: float | None  # theirs over ours: how many times as fast ours is
    ours_mib: float | None  # most memory of a process that did this, shorter audio first
    theirs_mib: float | None
    n_rounds: int


@dataclass(frozen=True)
class Rate:
    """How fast something multiplies and adds."""

    model: str  # "" for a matrix product
    what: str
    gflops: float
    share: float | None  # of the matrix product's rate `against` which it took turns
    against: str


@dataclass(frozen=True)
class CodeAgreement:
    """The share of a peer's codes that are the same as ours, for the same weights and noise."""

    model: str
    system: str
    share: float


@dataclass(frozen=True)
class Fidelity:
    """How well the setting of a run agrees with exact float32 on the CPU, on the same audio."""

    model: str
    seeded: bool  # weights that nobody trained
    audio: str  # as it was named; "noise" for seeded noise
    n_clips: int  # compared
    n_available: int  # of so many
    n_frames: int  # of all channels
    codes_equal: float  # share, all codebooks
    first_equal: float  # share in the first codebook
    snr_median_db: float | None  # over clips, decoding the reference's codes; None: no difference
    snr_worst_db: float | None  # of the worst clip


@dataclass(frozen=True)
class Missing:
    """What was asked for and not measured."""

    what: str
    reason: str


@dataclass
class BenchmarkResults:
    """A whole run; fills up as it goes."""

    setting: dict[str, Any] = field(default_factory=dict)
    rows: list[BenchmarkRow] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    agreements: list[CodeAgreement] = field(default_factory=list)
    fidelities: list[Fidelity] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def to_json(self) -> str:
        """Text that from_json reads back."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "BenchmarkResults":
        """Raises ArgumentError for text of another kind or schema."""
        try:
            values = json.loads(text)
            if values["schema"] != SCHEMA:
                raise ArgumentError(f"results of schema {values['schema']}; this reads {SCHEMA}")
            return cls._from_values(values)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError("not the results of a benchmark") from error

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> "BenchmarkResults":
        return cls(
            setting=dict(values["setting"]),
            rows=[BenchmarkRow(**row) for row in values["rows"]],
            rates=[Rate(**rate) for rate in values["rates"]],
            agreements=[CodeAgreement(**one) for one in values["agreements"]],
            # files of earlier versions have none
            fidelities=[Fidelity(**one) for one in values.get("fidelities", [])],
            missing=[Missing(**one) for one in values["missing"]],
        )
