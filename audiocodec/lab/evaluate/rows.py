"""Results of one clip, system and setting as a row, and files of rows: CSV and Parquet.

A figure that could not be computed is an empty cell (CSV) or null (Parquet), and the last column
says why.
"""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from audiocodec.errors import ArgumentError
from audiocodec.files import output_file, write_file
from audiocodec.lab.evaluate.figures import METRICS

TEXTS = ("clip", "class", "system", "setting")
NUMBERS = (
    "codebooks",
    "kbps",
    "nominal_kbps",
    "tokens_per_s",
    "encode_speed",
    "decode_speed",
    *(metric.name for metric in METRICS),
)
COLUMNS = (*TEXTS, *NUMBERS, "failures")
ZERO_IS_NONE = ("codebooks", "tokens_per_s")  # a system without codebooks has none

Value = str | int | float | None
_NEXT_FAILURE = re.compile(f"; (?=(?:{'|'.join(metric.name for metric in METRICS)}): )")


@dataclass(frozen=True)
class ResultRow:
    """A row of results.csv. Each figure is in `figures`, or in `failures` with a reason."""

    clip: str
    kind: str  # class: speech, music, environment
    system: str
    setting: str
    codebooks: int  # 0: the system has none
    kbps: float  # of the file on disk
    nominal_kbps: float
    tokens_per_s: float  # 0: the system has none
    encode_speed: float  # times real time, on one thread
    decode_speed: float
    figures: dict[str, float]
    failures: dict[str, str]

    @property
    def label(self) -> str:
        """The name of the system at this setting in tables."""
        return f"{self.system}, {self.setting}"


def printable(text: str) -> str:
    """Text that any file can hold: bytes of a file name that are not UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\r", " ").replace("\0", " ")


def record(row: ResultRow) -> dict[str, Value]:
    """The values of a row by column, for all COLUMNS; None where there is no value."""
    values: dict[str, Value] = {name: printable(text) for name, text in zip(TEXTS, _texts(row))}
    for name in NUMBERS:
        value = row.figures[name] if name in row.figures else getattr(row, name, None)
        values[name] = None if name in ZERO_IS_NONE and not value else value
    values["failures"] = "; ".join(f"{name}: {_reason(row, name)}" for name in row.failures)
    return values


def write_csv(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write results.csv in full precision. Raises OutputError if it cannot be written."""
    write_table(path, COLUMNS, (record(row) for row in rows))


def write_table(path: Path, columns: Iterable[str], records: Iterable[dict[str, Value]]) -> None:
    """Write a CSV in UTF-8; None is an empty cell. Raises OutputError if it cannot be written."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_file(path, text.getvalue())


def write_parquet(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write the columns of write_csv as Parquet. Raises OutputError if it cannot be written."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {"codebooks": pa.int32()} | dict.fromkeys((*TEXTS, "failures"), pa.string())
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in COLUMNS])
    table = pa.Table.from_pylist([record(row) for row in rows], schema=schema)
    with output_file(path, overwrite=True) as file:
        parquet.write_table(table, file)


def read_csv(path: Path) -> list[ResultRow]:
    """Read a file of write_csv. Raises ArgumentError for any other file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            absent = set(COLUMNS) - set(reader.fieldnames or ())
            if absent:
                raise ArgumentError(f"{path}: not a results.csv: lacks the column {min(absent)}")
            return [_row(cells) for cells in reader]
    except OSError as error:
        raise ArgumentError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise ArgumentError(f"{path}: not a results.csv: {error}") from error


def _texts(row: ResultRow) -> tuple[str, str, str, str]:
    return row.clip, row.kind, row.system, row.setting


def _reason(row: ResultRow, name: str) -> str:
    """The reason as one line without semicolons, which separate failures."""
    return " ".join(printable(row.failures[name]).replace(";", ",").split())


def _row(cells: dict[str, str]) -> ResultRow:
    failures = [part.partition(": ") for part in _NEXT_FAILURE.split(cells["failures"]) if part]
    clip, kind, system, setting = (cells[name] for name in TEXTS)
    return ResultRow(
        clip,
        kind,
        system,
        setting,
        codebooks=int(cells["codebooks"] or 0),
        kbps=float(cells["kbps"]),
        nominal_kbps=float(cells["nominal_kbps"]),
        tokens_per_s=float(cells["tokens_per_s"] or 0),
        encode_speed=float(cells["encode_speed"]),
        decode_speed=float(cells["decode_speed"]),
        figures={m.name: float(cells[m.name]) for m in METRICS if cells[m.name]},
        failures={name: reason for name, _, reason in failures},
    )
