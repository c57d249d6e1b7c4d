"""What to turn into tokens: recordings with ids of their own and columns that rows can carry."""

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

    See recordings.listing.recordings_in. Their columns are what shards can carry: an excerpt's
    start and duration are among them, which the codes cannot tell. An id that comes again gets a
    number. Raises AudioError for an input that holds no sound files.
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
    """With an id and a source that can be written, even if the file has a name that is no text."""
    return replace(item, id=clean(item.id), source=clean(item.source))


def _carried(recording: Recording, place: Path) -> Recording:
    """With columns that rows can carry; one that cannot be carried is its problem."""
    try:
        return replace(recording, columns=_columns(recording.columns))
    except ValueError as error:
        name = recording.source
        return Recording(name, name, recording.path, problem=f"{place}: {error}")


def _columns(row: Mapping[Any, Any]) -> dict[str, Value]:
    """Plain values as they are, lists and objects as JSON.

    A name that rows of tokens have themselves gets input_ before it. Raises ValueError.
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
        raise ValueError(f"column {name} holds bytes, which cannot be carried along")
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)  # str: dates
    return clean(str(value))  # dates, decimals
