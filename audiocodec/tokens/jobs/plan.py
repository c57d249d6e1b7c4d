"""Plans a job: lists its inputs and cuts them into tasks; a restart must find the same."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from audiocodec.errors import AudioError
from audiocodec.files import output_file
from audiocodec.recordings import Recording
from audiocodec.tokens.inputs import PathLike, items_of
from audiocodec.tokens.jobs.folder import ITEMS, JOB, Job, JobError, Recipe, ShardTask, line_of
from audiocodec.tokens.shards import ShardHeader, Value, column_types

VERSION = 1
SHARD_BYTES = 2**26  # of sound files: 12 minutes of 16-bit mono at 44.1 kHz, an hour of mp3
EXCERPT_BYTES_PER_S = 88_200  # of 16-bit mono at 44.1 kHz, if only a duration is known
ADVICE = "give the same as before, or name another folder"


class _TaskSplitter:
    """Splits items, in order: a task ends when it has enough rows or enough sound."""

    def __init__(self, shard_rows: int) -> None:
        self.shard_rows = shard_rows
        self.tasks: list[ShardTask] = []
        self.offset = self.n_bytes = 0

    def add(self, item: Recording, line: bytes, file_bytes: int | None) -> None:
        last = self.tasks[-1] if self.tasks else None
        if last is None or last.n_items >= self.shard_rows or self.n_bytes >= SHARD_BYTES:
            last = ShardTask(len(self.tasks), self.offset, 0)
            self.tasks.append(last)
            self.n_bytes = 0
        self.tasks[-1] = replace(last, n_items=last.n_items + 1)
        self.offset += len(line)
        self.n_bytes += _sound_bytes(item, file_bytes)


def planned(
    folder: Path, inputs: Sequence[PathLike], recipe: Recipe, header: ShardHeader
) -> tuple[Job, list[ShardTask]]:
    """Plan a new job, or resume the one in the folder, whose settings must be the same.

    header: without carried columns. Raises JobError if settings or inputs differ, AudioError if
    there is nothing to encode, OutputError.
    """
    if (folder / JOB).exists():
        return _resumed(folder, inputs, recipe, header)
    return _new(folder, inputs, recipe, header)


def _new(
    folder: Path, inputs: Sequence[PathLike], recipe: Recipe, header: ShardHeader
) -> tuple[Job, list[ShardTask]]:
    other = next(folder.glob("tokens-*"), None)
    if other is not None:
        raise JobError(f"{folder}: holds {other.name}, but no {JOB}; name another folder")
    splitter = _TaskSplitter(recipe.shard_rows)
    with output_file(folder / ITEMS, overwrite=True) as file:

        def carried() -> Iterator[Mapping[str, Value]]:
            for item, line, file_bytes in _listed(inputs):
                file.write(line)
                splitter.add(item, line, file_bytes)
                yield item.columns

        header = replace(header, columns=column_types(carried()))
        if not splitter.tasks:
            raise AudioError(f"{os.fspath(inputs[0])}: holds nothing to encode")
    job = Job(folder, recipe, header)
    with output_file(folder / JOB, overwrite=True) as file:  # last: marks the plan as complete
        file.write(json.dumps(_description(job), indent=1).encode() + b"\n")
    return job, splitter.tasks


def _resumed(
    folder: Path, inputs: Sequence[PathLike], recipe: Recipe, header: ShardHeader
) -> tuple[Job, list[ShardTask]]:
    stored = _stored(folder)
    found = _description(Job(folder, recipe, header))
    for group, kinds in (("model", found["model"]), ("settings", found["settings"])):
        for name, now in kinds.items():
            then = stored[group].get(name)
            if name != "columns" and then != now:
                what = name if group == "settings" or name == "model" else f"model {name}"
                raise JobError(f"{folder}: was begun with {what} {then}, not {now}; {ADVICE}")
    splitter = _TaskSplitter(recipe.shard_rows)
    try:
        with open(folder / ITEMS, "rb") as file:
            for number, (listed, line) in enumerate(zip_longest(_listed(inputs), file), 1):
                if listed is None or listed[1] != line:
                    raise JobError(f"{folder}: {_difference(number, listed, line)}; {ADVICE}")
                item, _, file_bytes = listed
                splitter.add(item, line, file_bytes)
    except OSError as error:
        raise JobError(f"{folder / ITEMS}: cannot be read: {error.strerror}") from error
    columns = ShardHeader.from_dict(stored["model"], str(folder / JOB)).columns
    return Job(folder, recipe, replace(header, columns=columns)), splitter.tasks


def _listed(inputs: Sequence[PathLike]) -> Iterator[tuple[Recording, bytes, int | None]]:
    """Items, their lines in items.jsonl, and the sizes of their files, asked once for each."""
    path, file_bytes = None, None
    for item in items_of(inputs):
        absolute = Path(os.path.abspath(item.path))  # workers may run in another folder
        if absolute != path:
            path, file_bytes = absolute, _file_bytes(absolute)
        item = replace(item, path=absolute)
        yield item, line_of(item, file_bytes), file_bytes


def _file_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # a name with a zero byte
        return None


def _sound_bytes(item: Recording, file_bytes: int | None) -> int:
    if item.duration is not None:
        return int(min(item.duration * EXCERPT_BYTES_PER_S, 2.0**60))
    return item.n_bytes if item.member is not None else file_bytes or 0


def _description(job: Job) -> dict[str, Any]:
    return {
        "version": VERSION,
        "settings": asdict(job.recipe),
        "model": job.header.to_dict(),
    }


def _stored(folder: Path) -> dict[str, Any]:
    try:
        stored = json.loads((folder / JOB).read_bytes())
        if not all(isinstance(stored[group], dict) for group in ("settings", "model")):
            raise ValueError("not a job")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise JobError(f"{folder / JOB}: cannot be used: {error}; name another folder") from error
    if stored.get("version") != VERSION:
        raise JobError(f"{folder / JOB}: is of another release; name another folder")
    return stored


def _difference(
    number: int, listed: tuple[Recording, bytes, int | None] | None, line: bytes | None
) -> str:
    """How an item that was listed now differs from the stored line."""
    if listed is None:
        return f"item {number} of its inputs, {_source(line)}, is no longer there"
    if line is None:
        return f"its inputs have a new item {number}, {listed[0].source}"
    if listed[0].source == _source(line):
        return f"{listed[0].source} has changed since the job was begun"
    return f"item {number} of its inputs was {_source(line)} and is now {listed[0].source}"


def _source(line: bytes | None) -> str:
    try:
        return json.loads(line or b"")["source"]
    except (ValueError, KeyError, TypeError):
        return "unreadable"
