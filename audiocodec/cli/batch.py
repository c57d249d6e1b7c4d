"""Files and trees of files: which input makes which output, and getting through all of them.

One bad file does not stop the others. May import: the standard library, tqdm, errors.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from audiocodec.errors import ArgumentError, CodecError

PIPE = "-"


@dataclass(frozen=True)
class Job:
    """One file to read and one to write; "-" stands for standard input and output."""

    source: str
    target: str


def planned(source: str, target: str, suffixes: Sequence[str], new_suffix: str) -> list[Job]:
    """What there is to do for the operands of a command.

    A folder is walked for files that end in one of `suffixes`; its tree is made again under
    `target`, or beside the sources if that is left out. No two jobs write the same file.
    Raises CodecError if there is nothing to do.
    """
    if source == PIPE:
        return [Job(PIPE, target or PIPE)]
    path = Path(source)
    if not path.exists():
        raise CodecError(f"{source}: no such file or folder")
    if not path.is_dir():
        named = path.with_name(renamed(path, new_suffix))
        if target and target != PIPE:
            named = Path(target) / named.name if Path(target).is_dir() else Path(target)
        return [Job(source, PIPE if target == PIPE else str(named))]
    if target == PIPE or (target and Path(target).exists() and not Path(target).is_dir()):
        raise ArgumentError(f"{source} is a folder, so the output must be a folder too")
    files = sorted(_walked(path, suffixes))
    if not files:
        raise CodecError(f"{source}: no file in it ends in {', '.join(sorted(suffixes))}")
    return _without_collisions(path, Path(target or source), files, new_suffix)


def renamed(path: Path, new_suffix: str) -> str:
    """speech.wav -> speech.dac; speech.wav.dac -> speech.wav, speech.mp3.dac -> speech.mp3.wav."""
    if path.suffix == ".dac":
        return path.stem if path.stem.endswith(new_suffix) else path.stem + new_suffix
    return path.stem + new_suffix


def _walked(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [
        Path(place, name).relative_to(folder)
        for place, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in suffixes and not name.startswith(".")
    ]


def _without_collisions(
    source: Path, target: Path, files: list[Path], new_suffix: str
) -> list[Job]:
    """a.wav and a.mp3 in one folder become a.wav.dac and a.mp3.dac, and both are kept."""
    targets = [file.with_name(renamed(file, new_suffix)) for file in files]
    often = Counter(targets)
    full = [file.with_name(file.name + new_suffix) for file in files]
    chosen = [f if often[t] > 1 else t for f, t in zip(full, targets, strict=True)]
    if twice := [str(t) for t, n in Counter(chosen).items() if n > 1]:
        raise CodecError(f"{source}: two files would both become {twice[0]}; rename one")
    return [Job(str(source / f), str(target / t)) for f, t in zip(files, chosen, strict=True)]


def run_all(jobs: list[Job], work: Callable[[Job, str], None], n_processes: int) -> int:
    """Do every job, several at a time; returns 0, or 1 if any failed.

    work: takes the job and its label for the progress bar; raises CodecError where it cannot.
    """
    if len(jobs) == 1:
        _prepare(jobs[0])
        work(jobs[0], Path(jobs[0].source).name)
        return 0
    if n_processes > 1:
        failures = _in_processes(jobs, work, min(n_processes, len(jobs)))
    else:
        labels = [f"{i}/{len(jobs)} {Path(job.source).name}" for i, job in enumerate(jobs, 1)]
        failures = [_attempt(work, job, label) for job, label in zip(jobs, labels, strict=True)]
    return _summed_up([failure for failure in failures if failure], len(jobs))


def _in_processes(
    jobs: list[Job], work: Callable[[Job, str], None], n_processes: int
) -> list[str | None]:
    threads = max(1, (os.cpu_count() or 1) // n_processes)
    with ProcessPoolExecutor(
        n_processes, get_context("spawn"), initializer=_limit_threads, initargs=(threads,)
    ) as pool:
        futures = [pool.submit(_attempt, work, job, "") for job in jobs]
        try:
            quiet = not sys.stderr.isatty()
            done = tqdm(as_completed(futures), total=len(jobs), unit="file", disable=quiet)
            return [future.result() for future in done]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def _limit_threads(n_threads: int) -> None:
    import torch

    torch.set_num_threads(n_threads)


def _attempt(work: Callable[[Job, str], None], job: Job, label: str) -> str | None:
    """Do a job; returns what went wrong, in one line."""
    try:
        _prepare(job)
        work(job, label)
    except CodecError as error:
        return str(error)
    except Exception as error:  # a defect of ours must not stop the other files either
        return f"{job.source}: unexpected {type(error).__name__}: {error}"
    return None


def _prepare(job: Job) -> None:
    if job.target != PIPE and job.source != PIPE:
        Path(job.target).parent.mkdir(parents=True, exist_ok=True)


def _summed_up(failures: list[str], n_jobs: int) -> int:
    if not failures:
        return 0
    for failure in failures:
        print("audiocodec: " + " ".join(failure.split()), file=sys.stderr)
    print(f"audiocodec: {len(failures)} of {n_jobs} files failed", file=sys.stderr)
    return 1
