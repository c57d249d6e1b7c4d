"""The folder of a job: its files, which tasks are done, and a lock that admits one run at a time.

    job.json                   settings, model, types of the carried columns
    items.jsonl                the items to encode, one per line, in order
    tokens-00000.parquet ...   shard k: rows of its items, in order (.tar, .safetensors)
    errors.jsonl               items that could not be used, with the reason, in order
    errors/tokens-00000.jsonl  those of one shard, if there are any
    .lock                      held by the run in progress

A task is done when its shard exists, or when its errors list all its items, so that there is no
shard to write. Every file is written under another name and renamed, the errors of a task before
its shard; so a run that is killed at any moment leaves each task either done or to be run again.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from audiocodec.errors import CodecError, OutputError
from audiocodec.files import make_folder, output_file, write_file
from audiocodec.recordings import Recording
from audiocodec.tokens.shards import ShardHeader, TokenRow, shard_name, write_shard

ITEMS = "items.jsonl"
JOB = "job.json"
ERRORS = "errors.jsonl"
# fields of an item in items.jsonl; a restart compares the lines byte by byte
# fmt: off
STORED = (
    "id", "source", "path", "member", "offset", "n_bytes", "start", "duration", "columns",
    "problem",
)
# fmt: on


class JobError(CodecError):
    """A job that cannot go on as it is."""


@dataclass(frozen=True)
class Recipe:
    """The settings that decide the bytes of shards, besides model and inputs.

    format: of the shards. n_codebooks: how many of the first. normalize: as Codec.compress does.
    precision: "exact" or "fast". shard_rows: the most items in a shard.
    track: which audio track of a video, from 1; the first by default.
    """

    format: str
    n_codebooks: int
    normalize: bool
    precision: str
    shard_rows: int
    track: int | None = None


@dataclass(frozen=True)
class ShardTask:
    """The items of one shard: n_items lines of items.jsonl from byte `offset` on."""

    index: int
    offset: int
    n_items: int


@dataclass(frozen=True)
class Problem:
    """An item that could not be used."""

    id: str
    source: str
    error: str


@dataclass(frozen=True)
class Job:
    """A job, as all its processes know it: its folder, its settings and its header."""

    folder: Path
    recipe: Recipe
    header: ShardHeader

    def shard(self, task: ShardTask) -> Path:
        """Path of a task's shard, which may not exist yet."""
        return self.folder / shard_name(task.index, self.recipe.format)

    def errors(self, task: ShardTask) -> Path:
        """Path of a task's errors, which exists only if there are any."""
        return self.folder / "errors" / f"{self.shard(task).stem}.jsonl"

    def items(self, task: ShardTask) -> list[Recording]:
        """The items of a task. Raises JobError."""
        try:
            with open(self.folder / ITEMS, "rb") as file:
                file.seek(task.offset)
                return [item_of(file.readline()) for _ in range(task.n_items)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise JobError(f"{self.folder / ITEMS}: cannot be read: {error}") from error

    def is_done(self, task: ShardTask) -> bool:
        """Whether a task is complete."""
        if self.shard(task).exists():
            return True
        try:
            return self.errors(task).read_bytes().count(b"\n") == task.n_items
        except OSError:
            return False

    def finish(
        self, task: ShardTask, rows: Sequence[TokenRow], problems: Sequence[Problem]
    ) -> None:
        """Write the errors of a task, then its shard. Raises OutputError."""
        errors = self.errors(task)
        if problems:
            make_folder(errors.parent)
            write_file(errors, b"".join(_line(vars(problem)) for problem in problems))
        else:  # an earlier run may have left some, if it was killed before it wrote the shard
            _remove(errors)
        if rows:
            write_shard(self.shard(task), rows, self.header, overwrite=True)

    def merge_errors(self, tasks: Sequence[ShardTask]) -> None:
        """Write errors.jsonl from the errors of the tasks. Raises OutputError."""
        with output_file(self.folder / ERRORS, overwrite=True) as file:
            for task in tasks:
                if (errors := self.errors(task)).exists():
                    file.write(errors.read_bytes())

    def remove_half_written(self) -> None:
        """Remove files that killed runs left half-written."""
        for folder in (self.folder, self.folder / "errors"):
            for name in ("tokens-", f"{ERRORS}.", f"{JOB}.", f"{ITEMS}."):
                for path in folder.glob(f".{name}*.part"):
                    _remove(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock. Raises JobError if another run has it, OutputError."""
    make_folder(folder)
    lock = folder / ".lock"
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        raise JobError(
            f"{folder}: another run is writing there; wait for its end, or name another folder"
        ) from error
    except OSError as error:
        if error.filename != str(lock):
            raise
        raise OutputError(f"{lock}: cannot be written: {error.strerror}") from error


def line_of(item: Recording, file_bytes: int | None) -> bytes:
    """A line of items.jsonl. file_bytes: size of the file, by which a change of it is noticed."""
    values = {name: getattr(item, name) for name in STORED}
    return _line(values | {"path": str(item.path), "file_bytes": file_bytes})


def item_of(line: bytes) -> Recording:
    """The item in a line of items.jsonl. Raises ValueError, TypeError, KeyError."""
    stored = json.loads(line)
    del stored["file_bytes"]
    return Recording(**stored | {"path": Path(stored["path"])})


def _line(values: dict) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {error.strerror}") from error
