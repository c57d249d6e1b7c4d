"""The parts of a job on this machine: in this process, or in several on the CPU."""

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache

from audiocodec.codec import Codec
from audiocodec.tokens.jobs.encoding import (
    Loading,
    PartDone,
    Tick,
    encode_part,
    loaded,
    reading_thread,
)
from audiocodec.tokens.jobs.folder import Job, JobError, Part
from audiocodec.workers import each_done, worker_pool

Report = Callable[[PartDone], None]


def run_here(codec: Codec, job: Job, parts: Sequence[Part], tick: Tick, report: Report) -> None:
    """Do the parts in this process."""
    with reading_thread() as reader:
        for part in parts:
            report(encode_part(codec, job, part, reader, tick))


def run_in_processes(
    loading: Loading, job: Job, parts: Sequence[Part], n_processes: int, report: Report
) -> None:
    """Do the parts in so many processes of one thread each.

    Raises what a worker raises; JobError where one dies. The others end then.
    """
    try:
        with worker_pool(n_processes, 1) as pool:
            for _, done in each_done(pool, _work, parts, loading, job):
                report(done)
    except BrokenProcessPool as error:
        raise JobError(
            f"{job.folder}: a worker process died (out of memory?); the same command goes on "
            "from here, perhaps with fewer --workers"
        ) from error


def _work(loading: Loading, job: Job, part: Part) -> PartDone:
    codec = loaded(loading, job.header.fingerprint)
    return encode_part(codec, job, part, _reader())


_reader = lru_cache(maxsize=1)(reading_thread)  # of a worker process
