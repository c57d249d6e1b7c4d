"""Runs the tasks of a job on this machine, in this process or in several on the CPU."""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache

from audiocodec.codec import Codec
from audiocodec.tokens.jobs.encoding import (
    Loading,
    TaskDone,
    Tick,
    encode_task,
    loaded,
    reading_thread,
)
from audiocodec.tokens.jobs.folder import Job, JobError, ShardTask
from audiocodec.workers import each_done, worker_pool

Report = Callable[[TaskDone], None]


def run_here(
    codec: Codec, job: Job, tasks: Sequence[ShardTask], tick: Tick, report: Report
) -> None:
    """Run the tasks in this process."""
    with reading_thread() as reader:
        for task in tasks:
            report(encode_task(codec, job, task, reader, tick))


def run_in_processes(
    loading: Loading, job: Job, tasks: Sequence[ShardTask], n_processes: int, report: Report
) -> None:
    """Run the tasks in n_processes processes of one thread each.

    Raises what a worker raises, and JobError if one dies; the other workers are then ended.
    """
    try:
        with worker_pool(n_processes, 1) as pool:
            for _, done in each_done(pool, _work, tasks, loading, job):
                report(done)
    except BrokenProcessPool as error:
        raise JobError(
            f"{job.folder}: a worker process died (out of memory?); the same command "
            "resumes the job; fewer --workers may help"
        ) from error


def _work(loading: Loading, job: Job, task: ShardTask) -> TaskDone:
    codec = loaded(loading, job.header.fingerprint)
    return encode_task(codec, job, task, _reader())


_reader = lru_cache(maxsize=1)(reading_thread)  # one per worker process
