"""Which recordings there are: sound files under a folder, rows of a manifest."""

import csv
import io
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from audiocodec.errors import AudioError

# what libsndfile knows by its header
# fmt: off
SOUND_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64", ".voc", ".sph",
)
# fmt: on
MANIFESTS = (".csv", ".jsonl")


def sound_files(folder: Path, suffixes: Collection[str] = SOUND_SUFFIXES) -> Iterator[Path]:
    """In a fixed order; hidden ones are left out, links to folders followed once each."""
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("."):
                yield Path(parent, name)


def manifest_rows(manifest: Path) -> list[dict[str, Any]]:
    """Rows of a CSV with a header, or of a JSONL; each has a `path`, or `file` which is the same.

    Raises AudioError for a manifest that cannot be read, or a row without path.
    """
    try:
        text = manifest.read_text(encoding="utf-8-sig")
        if manifest.suffix.lower() == ".csv":
            rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text, newline="")))
        else:
            # not splitlines(): a text may hold what Unicode takes for the end of a line
            rows = [_object(*one) for one in enumerate(text.split("\n"), 1) if one[1].strip()]
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise AudioError(f"{manifest}: cannot be read as a manifest: {error}") from error
    for number, row in enumerate(rows, 1):
        path = (row.get("file") or row.get("path")) if isinstance(row, dict) else None
        if not path:
            raise AudioError(f"{manifest}: row {number} has no path; every row needs one")
        row["path"] = str(path)
    return rows


def _object(number: int, line: str) -> Any:
    """A line of a JSONL. Raises ValueError with its number."""
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from error
