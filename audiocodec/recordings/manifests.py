"""Reads manifests: tables of recordings, as CSV with a header, JSONL or Parquet.

Every row has a path (or file) relative to the manifest. It may have the start and duration of an
excerpt in seconds, a class, a group (or package), and any other columns.
"""

import csv
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.recordings.recording import Recording

MANIFESTS = (".csv", ".jsonl", ".parquet")
EXCERPT = ("start", "duration")


def recordings_in_manifest(manifest: Path) -> Iterator[Recording]:
    """Yield the recordings of a manifest, in order.

    A row with an invalid excerpt gives a recording with a problem. Start and duration, where a row
    has them, become its last columns, as numbers.
    Raises AudioError for a manifest that cannot be read, or a row without path; ArgumentError if a
    package for Parquet is missing.
    """
    for row in _rows(manifest):
        name = str(row["path"])
        path = Path(os.path.join(manifest.parent, name))
        kind, group = _text(row, "class"), _text(row, "group") or _text(row, "package")
        try:
            if any(row.pop(None, ())):  # csv.DictReader puts cells without a column there
                raise ValueError("has more cells than there are columns")
            excerpt = _excerpt(row)
        except ValueError as error:
            problem = f"{manifest}: {error}"
            yield Recording(name, name, path, kind=kind, group=group, problem=problem)
            continue
        start = excerpt.get("start")
        columns = {key: row[key] for key in row if key not in ("path", "file", *EXCERPT)}
        yield Recording(
            name if start is None else f"{name}@{start!r}",
            name,
            path,
            start=start or 0.0,
            duration=excerpt.get("duration"),
            kind=kind,
            group=group,
            columns=columns | excerpt,
        )


def _rows(manifest: Path) -> Iterator[dict[Any, Any]]:
    """Rows with a path. Raises as recordings_in_manifest does."""
    rows = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    for number, row in enumerate(rows[manifest.suffix.lower()](manifest), 1):
        path = (row.get("file") or row.get("path")) if isinstance(row, dict) else None
        if not path:
            raise AudioError(f"{manifest}: row {number} has no path; every row needs one")
        yield {**row, "path": str(path)}


def _csv_rows(manifest: Path) -> list[dict[Any, Any]]:
    try:
        return list(csv.DictReader(io.StringIO(_read(manifest), newline="")))
    except csv.Error as error:
        raise _unusable(manifest, error) from error


def _jsonl_rows(manifest: Path) -> list[Any]:
    rows = []
    # not splitlines(): a text may hold what Unicode takes for the end of a line
    for number, line in enumerate(_read(manifest).split("\n"), 1):
        try:
            if line.strip():
                rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            reason = f"line {number}, column {error.colno}: {error.msg}"
            raise _unusable(manifest, reason) from error
        except (ValueError, RecursionError) as error:
            raise _unusable(manifest, f"line {number}: {error}") from error
    return rows


def _read(manifest: Path) -> str:
    try:
        return manifest.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise _unusable(manifest, getattr(error, "strerror", None) or error) from error


def _parquet_rows(manifest: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ArgumentError(
            f"{manifest}: needs pyarrow; pip install 'audiocodec[tokens]', or use CSV or JSONL"
        ) from error
    try:
        with parquet.ParquetFile(manifest) as file:
            for batch in file.iter_batches(1024):
                yield from map(_without_nan, batch.to_pylist())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unusable(manifest, error) from error


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """Remove NaN from start and duration, which pandas writes for missing values."""
    return {key: value for key, value in row.items() if value == value or key not in EXCERPT}


def _unusable(manifest: Path, reason: object) -> AudioError:
    line = " ".join(str(reason).split())
    return AudioError(f"{manifest}: cannot be read as a manifest: {line}")


def _text(row: Mapping[Any, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None or value != value else str(value)  # NaN: missing


def _excerpt(row: Mapping[Any, Any]) -> dict[str, float]:
    """Start and duration, where a row has them. Raises ValueError for impossible times."""
    times = {key: _seconds(row, key) for key in EXCERPT}
    if times["duration"] == 0:
        raise ValueError("its duration is 0")
    return {key: value for key, value in times.items() if value is not None}


def _seconds(row: Mapping[Any, Any], key: str) -> float | None:
    """A column of seconds; None where the cell is empty. Raises ValueError."""
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"its {key} is {str(value)[:40]!r}, not a number of seconds")
    if seconds < 0:
        raise ValueError(f"its {key} is {seconds:g} s; it must be 0 or more")
    return seconds
