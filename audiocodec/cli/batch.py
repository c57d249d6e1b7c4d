"""Files and trees of files: which input makes which output, and getting through all of them.

One bad file does not stop the others.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from audiocodec.cli.messages import say
from audiocodec.errors import ArgumentError, CodecError, ModelError
from audiocodec.files import (
    check_apart,
    is_seekable,
    make_folder_for,
    open_binary,
    spooled,
    stdin,
    stdout,
)
from audiocodec.threads import threads_for_each
from audiocodec.workers import each_done, worker_pool

PIPE = "-"


@dataclass(frozen=True)
class Job:
    """One file to read and one to write; "-" stands for standard input and output."""

    source: str
    target: str


FoundIn = Callable[[Path], Iterable[Path]]
Work = Callable[[Job, str], None]  # takes the job and its label for the progress bar


def opened(source: str) -> BinaryIO:
    """A file that can be sought in; a pipe is copied to a temporary file. Raises ContainerError."""
    if source == PIPE:
        return spooled(stdin())
    file = open_binary(source)
    return file if is_seekable(file) else spooled(file)


def target_of(name: str) -> str | BinaryIO:
    """Where to write a .dac file, whose folder is made; standard output for -.

    Raises OutputError, and ArgumentError for a name that is not one of codes.
    """
    if name == PIPE:
        return stdout()
    from audiocodec.container import check_dac_name  # which imports numpy

    check_dac_name(name)
    make_folder_for(name)
    return name


def dac_files(folder: Path) -> Iterable[Path]:
    """The .dac files under a folder, as planned() takes it."""
    from audiocodec.recordings import files_in  # which imports soundfile

    return files_in(folder, (".dac",))


def planned(source: str, target: str, found_in: FoundIn, new_suffix: str) -> list[Job]:
    """What there is to do for the operands of a command.

    found_in: lists the files of a folder. Its tree is made again under `target`, or beside the
    sources if that is left out. No two jobs write the same file.
    Raises CodecError if there is nothing to do.
    """
    if source == PIPE:
        return [Job(PIPE, target or PIPE)]
    path = Path(source)
    if not path.exists():
        raise CodecError(f"{source}: no such file or folder")
    if not path.is_dir():
        return [Job(source, _target_of_one(path, target, new_suffix))]
    if target == PIPE or (target and Path(target).exists() and not Path(target).is_dir()):
        raise ArgumentError(f"{source} is a folder, so the output must be a folder too")
    files = [found.relative_to(path) for found in found_in(path)]
    if not files:
        kind = ".dac" if found_in is dac_files else "sound"
        raise CodecError(f"{source}: holds no {kind} files")
    folder = Path(target or source)
    names = _without_collisions(files, new_suffix)
    return [Job(str(path / f), str(folder / t)) for f, t in zip(files, names, strict=True)]


def renamed(path: Path, new_suffix: str) -> str:
    """speech.wav -> speech.dac; speech.wav.dac -> speech.wav, speech.mp3.dac -> speech.mp3.wav."""
    if path.suffix == ".dac" and path.stem.lower().endswith(new_suffix):
        return path.stem
    return path.stem + new_suffix


def _target_of_one(path: Path, target: str, new_suffix: str) -> str:
    if target == PIPE:
        return PIPE
    name = renamed(path, new_suffix)
    if not target:
        return str(path.with_name(name))
    is_folder = target.endswith("/") or Path(target).is_dir()
    return str(Path(target, name) if is_folder else Path(target))


def _without_collisions(files: list[Path], new_suffix: str) -> list[Path]:
    """a.wav and a.mp3 in one folder become a.wav.dac and a.mp3.dac, and both are kept."""
    short = [file.with_name(renamed(file, new_suffix)) for file in files]
    full = [file.with_name(file.name + new_suffix) for file in files]
    often = Counter(short)
    chosen = [f if often[s] > 1 else s for f, s in zip(full, short, strict=True)]
    # a.wav, a.mp3 and a.wav.mp3 would collide again; full names never do
    return chosen if len(set(chosen)) == len(chosen) else full


def run_all(jobs: list[Job], work: Work, n_processes: int, debug: bool) -> int:
    """Do every job, several at a time; returns 0, or 1 if any failed.

    work: raises CodecError where it cannot do a job; a ModelError stops all jobs.
    Raises what the job raises if there is but one.
    """
    if n_processes < 1:
        raise ArgumentError(f"{n_processes} jobs; 1 or more can run at the same time")
    if len(jobs) == 1:
        _prepare(jobs[0])
        work(jobs[0], Path(jobs[0].source).name)
        return 0
    if n_processes > 1:
        failures = _in_processes(jobs, work, min(n_processes, len(jobs)), debug)
    else:
        labels = [f"{i}/{len(jobs)} {Path(job.source).name}" for i, job in enumerate(jobs, 1)]
        failures = [_attempt(work, debug, *pair) for pair in zip(jobs, labels, strict=True)]
    return _summed_up([failure for failure in failures if failure], len(jobs))


def _in_processes(jobs: list[Job], work: Work, n_processes: int, debug: bool) -> list[str | None]:
    form = "{n_fmt}/{total_fmt} files, {remaining} left"
    bar = tqdm(total=len(jobs), bar_format=form, disable=None)
    died = "given up: a worker process died (out of memory?); try fewer --jobs"
    failures: dict[Job, str | None] = {job: f"{job.source}: {died}" for job in jobs}
    pool_of = worker_pool(n_processes, threads_for_each(n_processes))
    # a pool that is broken is left before it is told of: what waits for it might wait for ever
    with suppress(BrokenProcessPool), bar, pool_of as pool:
        for job, failure in each_done(pool, _attempt, jobs, work, debug):
            failures[job] = failure
            bar.update()
    return [failures[job] for job in jobs]


def _attempt(work: Work, debug: bool, job: Job, label: str = "") -> str | None:
    """Do a job; returns what went wrong, in one line."""
    try:
        _prepare(job)
        work(job, label)
    except ModelError:  # no other file would fare better
        raise
    except Exception as error:  # a defect of ours must not stop the other files either
        if debug:
            traceback.print_exc()
        known = isinstance(error, CodecError)
        reason = str(error) if known else f"unexpected {type(error).__name__}: {error}"
        return reason if reason.startswith(job.source) else f"{job.source}: {reason}"
    return None


def _prepare(job: Job) -> None:
    if job.target == PIPE:
        return
    check_apart([job.source], job.target)
    make_folder_for(job.target)


def _summed_up(failures: list[str], n_jobs: int) -> int:
    for failure in failures:
        say(failure)
    if failures:
        say(f"{len(failures)} of {n_jobs} files failed")
    return 1 if failures else 0
