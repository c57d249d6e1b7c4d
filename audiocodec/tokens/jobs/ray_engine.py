"""Runs the tasks of a job on a Ray cluster: Ray Data hands them to actors that hold the model.

Actors write their shards to the folder of the job, which all machines must share. If an actor
dies, Ray restarts it and hands out its task again.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.extras import how_to_install
from audiocodec.tokens.jobs.encoding import Loading, TaskDone, encode_task, loaded, reading_thread
from audiocodec.tokens.jobs.folder import Job, JobError, ShardTask

STORE_BYTES = 100_000_000  # shared memory of our own cluster, for task descriptions only


class _Actor:
    """A Ray worker, which holds the model and runs one task at a time."""

    def __init__(self, loading: Loading, job: Job) -> None:
        self.loading, self.job, self.reader = loading, job, reading_thread()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Run a task, given as a row of Ray Data; returns its TaskDone and an error or ""."""
        task = ShardTask(**{name: int(value) for name, value in row.items()})
        try:
            codec = loaded(self.loading, self.job.header.fingerprint)
            done = encode_task(codec, self.job, task, self.reader)
        except CodecError as error:  # Ray would wrap it in a long traceback
            return {**asdict(TaskDone(task.index, 0, 0.0, 0)), "error": str(error)}
        return {**asdict(done), "error": ""}


def run_on_ray(
    loading: Loading,
    job: Job,
    tasks: Sequence[ShardTask],
    n_workers: int,
    address: str | None,
    report: Callable[[TaskDone], None],
) -> None:
    """Run the tasks with n_workers actors of one core or GPU each; 0: one for each there is.

    address: of a running cluster; without one, a cluster is started here and shut down.
    Raises ArgumentError without ray or a cluster, JobError if a task fails.
    """
    with _cluster(n_workers, address) as ray:
        kind = _kind(loading.device, ray.cluster_resources())
        if kind == "GPU":
            loading = replace(loading, device="cuda")  # Ray shows each actor its own
        there_are = int(ray.cluster_resources().get(kind, 1))
        shards = ray.data.from_items(
            [asdict(task) for task in tasks], override_num_blocks=len(tasks)
        )
        done = shards.map(
            _Actor,
            fn_constructor_args=(loading, job),
            concurrency=max(1, min(n_workers or there_are, len(tasks))),
            num_cpus=1,
            num_gpus=1 if kind == "GPU" else 0,
        )
        try:
            for row in done.iter_rows():
                error = row.pop("error")
                if error:
                    raise JobError(error)
                report(TaskDone(**row))
        except ray.exceptions.RayError as error:
            line = str(error).strip().splitlines()[-1]
            raise JobError(
                f"{job.folder}: Ray gave up: {line}; the same command resumes the job"
            ) from error


def _kind(device: str, resources: dict[str, float]) -> str:
    if device == "auto":
        return "GPU" if resources.get("GPU") else "CPU"
    return "GPU" if device.startswith("cuda") else "CPU"


@contextmanager
def _cluster(n_workers: int, address: str | None) -> Iterator[Any]:
    """Ray, connected and quiet; a connection that the caller made is used and kept open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report usage to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ArgumentError(f"the engine ray needs Ray Data: {how_to_install('ray')}") from error
    ours = not ray.is_initialized()
    if ours:
        own: dict[str, Any] = {
            "num_cpus": n_workers or None,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
        try:
            ray.init(
                address=address or "local",
                logging_level=logging.ERROR,
                log_to_driver=False,
                **({} if address else own),
            )
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            line = str(error).strip().splitlines()[0]
            raise ArgumentError(f"no Ray cluster at {address or 'this machine'}: {line}") from error
    try:
        with _quiet(ray):
            yield ray
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Without Ray Data's progress bars and messages, since the job reports its own progress."""
    context = ray.data.DataContext.get_current()
    names = ("enable_progress_bars", "print_on_execution_start")
    before = {name: getattr(context, name) for name in names if hasattr(context, name)}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name in before:
            setattr(context, name, False)
        logger.setLevel(logging.ERROR)
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)
