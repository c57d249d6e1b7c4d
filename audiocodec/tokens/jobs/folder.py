"""The folder of a job: where its files are, what of it is done, and that one run is at work.

    job.json                   settings, model, types of the carried columns
    items.jsonl                what is to be encoded, an item a line, in order
    tokens-00000.parquet ...   shard k: rows of its items, in order (.tar, .safetensors)
    errors.jsonl               items that could not be used, with the reason, in order
    errors/tokens-00000.jsonl  the same of one shard, where it has any
    .lock                      held by the run that is at work

A task of the items is done when its shard is there, or when its errors tell of all its items and
there is no shard to write. Every file is written beside and renamed, the errors of a task ahead
of its shard; so a run that is killed at any moment leaves tasks that are done and tasks to do anew.
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
# of an item, in items.jsonl: a restart compares the lines, byte by byte
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
    """What tokens and shards follow from, model and inputs apart.

    format: of the shards. n_codebooks: the first ones. normalize: as Codec.compress does.
    precision: "exact" or "fast". shard_rows: items of a shard, at most.
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
    """The folder of a job, as all processes know it."""

    folder: Path
    recipe: Recipe
    header: ShardHeader

    def shard(self, task: ShardTask) -> Path:
        """Where the shard of a task lies, or will."""
        return self.folder / shard_name(task.index, self.recipe.format)

    def errors(self, task: ShardTask) -> Path:
        """Where the errors of a task lie, if it has any."""
        return self.folder / "errors" / f"{self.shard(task).stem}.jsonl"

    def items(self, task: ShardTask) -> list[Recording]:
        """What a task is made of. Raises JobError."""
        try:
            with open(self.folder / ITEMS, "rb") as file:
                file.seek(task.offset)
                return [item_of(file.readline()) for _ in range(task.n_items)]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise JobError(f"{self.folder / ITEMS}: cannot be read: {error}") from error

    def is_done(self, task: ShardTask) -> bool:
        """Whether nothing of a task is left to do."""
        if self.shard(task).exists():
            return True
        try:
            return self.errors(task).read_bytes().count(b"\n") == task.n_items
        except OSError:
            return False

    def finish(
        self, task: ShardTask, rows: Sequence[TokenRow], problems: Sequence[Problem]
    ) -> None:
        """Write what came of a task. Raises OutputError."""
        errors = self.errors(task)
        if problems:
            make_folder(errors.parent)
            write_file(errors, b"".join(_line(vars(problem)) for problem in problems))
        else:  # an earlier run may have met some, and been killed before it wrote the shard
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
        """Remove what runs that were killed have begun to write."""
        for folder in (self.folder, self.folder / "errors"):
            for name in ("tokens-", f"{ERRORS}.", f"{JOB}.", f"{ITEMS}."):
                for path in folder.glob(f".{name}*.part"):
                    _remove(path)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep other runs out of it. Raises JobError, OutputError."""
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
    """A line of items.jsonl. file_bytes: of the file to open, by which a change of it is seen."""
    values = {name: getattr(item, name) for name in STORED}
    return _line(values | {"path": str(item.path), "file_bytes": file_bytes})


def item_of(line: bytes) -> Recording:
    """The item of a line. Raises ValueError, TypeError, KeyError."""
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
