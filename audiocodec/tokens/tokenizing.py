"""Encodes a corpus of audio to shards of tokens; a job that was stopped is resumed.

In the folder `out` afterwards:

    tokens-00000.parquet ...  the rows, in the order of the inputs (.tar, .safetensors)
    errors.jsonl              id, source and error of each item that could not be used; or empty
    job.json, items.jsonl     settings and inputs, which must be the same on a restart
    errors/, .lock            errors by shard, and the lock of the run in progress

A shard holds at most `shard_rows` items, fewer if they are long: it ends when its sound files have
64 MiB together. A job that is killed at any moment and started again writes the same bytes as one
that ran undisturbed. Only the shards that it was working on are encoded again.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from audiocodec.codec import Codec
from audiocodec.errors import ArgumentError
from audiocodec.threads import granted_cores
from audiocodec.tokens.inputs import PathLike
from audiocodec.tokens.jobs.encoding import Loading, TaskDone
from audiocodec.tokens.jobs.folder import Job, Recipe, ShardTask, locked
from audiocodec.tokens.jobs.local import run_here, run_in_processes
from audiocodec.tokens.jobs.plan import planned
from audiocodec.tokens.jobs.ray_engine import run_on_ray
from audiocodec.tokens.shards import ShardHeader, check_format, open_shards
from audiocodec.validation import check_int
from audiocodec.weights.registry import DEFAULT_MODEL

ENGINES = ("local", "ray")
ERRORS_EVERY_S = 10.0
Progress: TypeAlias = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TokenizeSettings:
    """The less common settings of tokenize().

    revision: branch, tag or commit of a hub repository.
    device: "auto" (CUDA, else MPS, else CPU) or a torch device.
    precision: "exact", or "fast" (bfloat16 or TF32 where the device has them; tokens may differ).
    normalize: bring each item to -16 LUFS before encoding, as Codec.compress does; the gain is
        kept in its row.
    shard_rows: the most items in a shard.
    track: which audio track of a video, from 1; the first by default.
    engine: "local", or "ray" for a cluster; `out` is then a folder that all its machines share.
    address: of the Ray cluster; without one, a cluster is started on this machine.
    Raises ArgumentError for values out of range.
    """

    revision: str | None = None
    device: str = "auto"
    precision: str = "exact"
    normalize: bool = True
    shard_rows: int = 128
    engine: str = "local"
    address: str | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ArgumentError(f"engine {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.address and self.engine != "ray":
            raise ArgumentError(f"address {self.address!r} is for the engine ray only")
        if self.track is not None and check_int(self.track, "track") < 1:
            raise ArgumentError(f"track {self.track}; they are counted from 1")
        if self.shard_rows < 1:
            raise ArgumentError(f"{self.shard_rows} rows in a shard; give 1 or more")


@dataclass(frozen=True)
class Tokenized:
    """Result of tokenize(): rows, items that could not be used, seconds of audio, shards."""

    n_rows: int
    n_errors: int
    audio_s: float
    paths: list[Path]

    @property
    def kbps(self) -> float:
        """Bit rate of the shards, from the sizes of their files."""
        n_bytes = sum(path.stat().st_size for path in self.paths)
        return n_bytes * 8 / 1000 / self.audio_s if self.audio_s else 0.0


def tokenize(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    model: PathLike = DEFAULT_MODEL,
    format: str = "parquet",
    n_codebooks: int | None = None,
    workers: int = 1,
    settings: TokenizeSettings | None = None,
    progress: Progress | None = None,
) -> Tokenized:
    """Encode a corpus to shards of tokens, or resume a job that was stopped.

    inputs: folders, sound files, manifests (.jsonl, .csv, .parquet) and tars (see items_of).
    out: a folder for the job; this module's docstring lists its files.
    model: as for Codec.from_pretrained. n_codebooks: how many of the first; all by default.
    format: "parquet", "webdataset" or "safetensors".
    workers: processes of one thread each, on the CPU; 1: this process only; 0: one per core. With
        Ray: actors. A script that uses several needs `if __name__ == "__main__":`.
    progress: called with items done, items in all, and seconds of audio that this run encoded.
    Each row has the codes that Codec.compress gives for its item. Items that cannot be used are
    listed in errors.jsonl, and the job goes on.
    Raises JobError for a job that cannot go on (other settings or inputs, another run in the
    folder, a worker that died), AudioError for inputs that cannot be listed, ModelError,
    OutputError, ArgumentError.
    """
    settings = settings or TokenizeSettings()
    check_format(format)
    if workers < 0:
        raise ArgumentError(f"{workers} workers; give 1 or more, or 0 for one per core")
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not named:
        raise ArgumentError("no inputs were given")
    loading = Loading(_located(model), settings.revision, settings.device, settings.precision)
    # with Ray, actors encode; here the model only gives the header
    codec = (replace(loading, device="cpu") if settings.engine == "ray" else loading).codec()
    recipe = Recipe(
        format,
        codec.stream_encoder(1, n_codebooks).n_codebooks,
        settings.normalize,
        settings.precision,
        settings.shard_rows,
        settings.track,
    )
    folder = Path(os.path.abspath(out))
    with locked(folder):
        job, tasks = planned(folder, named, recipe, _header(codec))
        job.remove_half_written()
        run = _JobProgress(job, tasks, progress)
        if settings.engine == "ray":
            run_on_ray(loading, job, run.todo, workers, settings.address, run.report)
        elif (n_processes := _processes(codec, workers, len(run.todo))) > 1:
            run_in_processes(loading, job, run.todo, n_processes, run.report)
        else:
            run_here(codec, job, run.todo, run.tick, run.refresh_errors)
        job.merge_errors(tasks)
        job.remove_half_written()  # of workers that died on the way
        return _summary(job, tasks)


class _JobProgress:
    """The tasks of a job that remain, and how much of it is done."""

    def __init__(self, job: Job, tasks: Sequence[ShardTask], progress: Progress | None) -> None:
        self.job, self.tasks, self.progress = job, tasks, progress
        self.todo = [task for task in tasks if not job.is_done(task)]
        self.n_items = sum(task.n_items for task in tasks)
        self.n_done = self.n_items - sum(task.n_items for task in self.todo)
        self.audio_s, self.next_refresh = 0.0, time.monotonic() + ERRORS_EVERY_S
        self.tick(0, 0.0)

    def tick(self, n_items: int, audio_s: float) -> None:
        """Count more items and seconds of audio as done."""
        self.n_done += n_items
        self.audio_s += audio_s
        if self.progress:
            self.progress(self.n_done, self.n_items, self.audio_s)

    def report(self, done: TaskDone) -> None:
        """Count a whole task as done."""
        self.tick(done.n_items, done.audio_s)
        self.refresh_errors(done)

    def refresh_errors(self, done: TaskDone) -> None:
        """Bring errors.jsonl up to date, but not more often than every ERRORS_EVERY_S."""
        if done.n_problems and time.monotonic() > self.next_refresh:
            self.job.merge_errors(self.tasks)
            self.next_refresh = time.monotonic() + ERRORS_EVERY_S


def _located(model: PathLike) -> str:
    """The absolute path of a model on disk, as workers may run in another folder."""
    return os.path.abspath(model) if os.path.exists(model) else os.fspath(model)


def _header(codec: Codec) -> ShardHeader:
    return ShardHeader(**vars(codec.space), alignment=codec.config.alignment)


def _processes(codec: Codec, workers: int, n_tasks: int) -> int:
    if codec.device.type == "cpu":
        return min(workers or granted_cores(), n_tasks)
    if workers > 1:
        raise ArgumentError(
            f"{workers} workers for one {codec.device.type} device; leave them out, or use the "
            "engine ray for several GPUs"
        )
    return 1


def _summary(job: Job, tasks: Sequence[ShardTask]) -> Tokenized:
    paths = [path for task in tasks if (path := job.shard(task)).exists()]
    n_items = sum(task.n_items for task in tasks)
    if not paths:
        return Tokenized(0, n_items, 0.0, [])
    lengths = open_shards(paths).lengths
    audio_s = int(lengths.sum()) * job.header.hop / job.header.model_rate
    return Tokenized(len(lengths), n_items - len(lengths), audio_s, paths)
