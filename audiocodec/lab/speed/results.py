"""The results of a benchmark, as plain values and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from audiocodec.errors import ArgumentError

SCHEMA = 1


@dataclass(frozen=True)
class BenchmarkRow:
    """This library and one other codec, which took turns; medians over the rounds."""

    model: str
    operation: str
    audio_s: float
    batch: int
    system: str  # the other codec; "" where ours was measured alone
    ours_s: float  # computing time for each second of audio, over all items of the batch
    theirs_s: float | None
    ratio: float | None  # theirs over ours: how many times as fast ours is
    ours_mib: float | None  # peak memory of the process, which did shorter audio before
    theirs_mib: float | None
    n_rounds: int


@dataclass(frozen=True)
class Rate:
    """The floating-point rate of an operation."""

    model: str  # "" for a matrix product
    what: str
    gflops: float
    share: float | None  # of the rate of the matrix product with which it took turns
    against: str  # type of that product: "float32" or "bfloat16"


@dataclass(frozen=True)
class CodeAgreement:
    """The share of a peer's codes that are the same as ours, for the same weights and noise."""

    model: str
    system: str
    share: float


@dataclass(frozen=True)
class Fidelity:
    """How closely a setting agrees with exact float32 on the CPU, on the same audio."""

    model: str
    seeded: bool  # random weights, never trained
    audio: str  # as named on the command line; "noise" for seeded noise
    n_clips: int  # clips compared
    n_available: int  # clips to choose from
    n_frames: int  # frames of all channels
    codes_equal: float  # share, all codebooks
    first_equal: float  # share in the first codebook
    snr_median_db: float | None  # over clips, decoding the reference's codes; None: nothing differs
    snr_worst_db: float | None  # the worst clip


@dataclass(frozen=True)
class Missing:
    """Something that was asked for but not measured."""

    what: str
    reason: str


@dataclass
class BenchmarkResults:
    """All results of a run, filled while it goes on."""

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
        """Read the text of to_json. Raises ArgumentError for another kind of text or schema."""
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
            # absent from files of earlier versions
            fidelities=[Fidelity(**one) for one in values.get("fidelities", [])],
            missing=[Missing(**one) for one in values["missing"]],
        )
