"""Lists the recordings to tokenise, with unique ids and columns that shards can store."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from audiocodec.recordings import Recording, recordings_in
from audiocodec.tokens.shards.header import RESERVED, clean
from audiocodec.tokens.shards.row import Value

PathLike: TypeAlias = str | os.PathLike[str]


def items_of(inputs: Sequence[PathLike]) -> Iterator[Recording]:
    """List the recordings in folders, sound files, manifests and tars, in a fixed order.

    See recordings.listing.recordings_in. Columns hold what shards can store, including an
    excerpt's start and duration, which the codes do not show. A repeated id gets a number.
    Raises AudioError for an input that holds no sound files.
    """
    seen: set[str] = set()
    for path in map(Path, inputs):
        for recording in recordings_in(path):
            item = _with_text(_carried(recording, path))
            id = _unused(item.id, seen)
            seen.add(id)
            yield item if id == item.id else replace(item, id=id)


def _unused(id: str, seen: set[str]) -> str:
    number, candidate = 1, id
    while candidate in seen:
        number += 1
        candidate = f"{id}#{number}"
    return candidate


def _with_text(item: Recording) -> Recording:
    """With id and source as valid Unicode, even if the file's name is not."""
    return replace(item, id=clean(item.id), source=clean(item.source))


def _carried(recording: Recording, place: Path) -> Recording:
    """With columns that shards can store; a column that they cannot becomes its problem."""
    try:
        return replace(recording, columns=_columns(recording.columns))
    except ValueError as error:
        name = recording.source
        return Recording(name, name, recording.path, problem=f"{place}: {error}")


def _columns(row: Mapping[Any, Any]) -> dict[str, Value]:
    """Plain values unchanged, lists and objects as JSON.

    Names that token rows reserve are prefixed with input_. Raises ValueError for bytes.
    """
    columns: dict[str, Value] = {}
    for key, value in row.items():
        name = clean(str(key))
        name = f"input_{name or 'column'}" if name in RESERVED or not name else name
        while name in columns:
            name += "_"
        columns[name] = _plain(name, value)
    return columns


def _plain(name: str, value: Any) -> Value:
    if isinstance(value, str):
        return clean(value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        raise ValueError(f"column {name} holds bytes, which shards cannot store")
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)  # str: dates
    return clean(str(value))  # dates, decimals
