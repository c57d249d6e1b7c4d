"""Commands over files and folders: pairs each input with an output and processes all pairs.

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
class FileTask:
    """One file to read and one to write; "-" stands for standard input and output."""

    source: str
    target: str


FoundIn = Callable[[Path], Iterable[Path]]
Work = Callable[[FileTask, str], None]  # takes a task and its label for the progress bar


def opened(source: str) -> BinaryIO:
    """A seekable file; a pipe is copied to a temporary one first. Raises ContainerError."""
    if source == PIPE:
        return spooled(stdin())
    file = open_binary(source)
    return file if is_seekable(file) else spooled(file)


def target_of(name: str) -> str | BinaryIO:
    """The .dac file to write, whose folder is created, or standard output for -.

    Raises OutputError, and ArgumentError for a name that does not suit a .dac file.
    """
    if name == PIPE:
        return stdout()
    from audiocodec.container import check_dac_name  # which imports numpy

    check_dac_name(name)
    make_folder_for(name)
    return name


def dac_files(folder: Path) -> Iterable[Path]:
    """The .dac files under a folder: a FoundIn for planned()."""
    from audiocodec.recordings import files_in  # which imports soundfile

    return files_in(folder, (".dac",))


def planned(source: str, target: str, found_in: FoundIn, new_suffix: str) -> list[FileTask]:
    """The tasks that a source and a target of a command line stand for.

    found_in: lists the files of a folder. Their tree is recreated under `target`, or beside the
    sources if it is "". No two tasks write the same file.
    Raises CodecError for a source that does not exist or holds no such files.
    """
    if source == PIPE:
        return [FileTask(PIPE, target or PIPE)]
    path = Path(source)
    if not path.exists():
        raise CodecError(f"{source}: no such file or folder")
    if not path.is_dir():
        return [FileTask(source, _target_of_one(path, target, new_suffix))]
    if target == PIPE or (target and Path(target).exists() and not Path(target).is_dir()):
        raise ArgumentError(f"{source} is a folder, so the output must be a folder too")
    files = [found.relative_to(path) for found in found_in(path)]
    if not files:
        kind = ".dac" if found_in is dac_files else "sound"
        raise CodecError(f"{source}: holds no {kind} files")
    folder = Path(target or source)
    names = _without_collisions(files, new_suffix)
    return [FileTask(str(path / f), str(folder / t)) for f, t in zip(files, names, strict=True)]


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


def run_all(tasks: list[FileTask], work: Work, n_processes: int, debug: bool) -> int:
    """Do every task, several at a time; returns 0, or 1 if any failed.

    work: raises CodecError where it cannot do a task; a ModelError stops all tasks.
    A single task's errors are raised instead.
    """
    if n_processes < 1:
        raise ArgumentError(f"{n_processes} jobs; 1 or more can run at the same time")
    if len(tasks) == 1:
        _prepare(tasks[0])
        work(tasks[0], Path(tasks[0].source).name)
        return 0
    if n_processes > 1:
        failures = _in_processes(tasks, work, min(n_processes, len(tasks)), debug)
    else:
        labels = [f"{i}/{len(tasks)} {Path(task.source).name}" for i, task in enumerate(tasks, 1)]
        failures = [_attempt(work, debug, *pair) for pair in zip(tasks, labels, strict=True)]
    return _summed_up([failure for failure in failures if failure], len(tasks))


def _in_processes(
    tasks: list[FileTask], work: Work, n_processes: int, debug: bool
) -> list[str | None]:
    form = "{n_fmt}/{total_fmt} files, {remaining} left"
    bar = tqdm(total=len(tasks), bar_format=form, disable=None)
    died = "given up: a worker process died (out of memory?); try fewer --jobs"
    failures: dict[FileTask, str | None] = {task: f"{task.source}: {died}" for task in tasks}
    pool_of = worker_pool(n_processes, threads_for_each(n_processes))
    # leave a broken pool before reporting it: waiting for its results could hang
    with suppress(BrokenProcessPool), bar, pool_of as pool:
        for task, failure in each_done(pool, _attempt, tasks, work, debug):
            failures[task] = failure
            bar.update()
    return [failures[task] for task in tasks]


def _attempt(work: Work, debug: bool, task: FileTask, label: str = "") -> str | None:
    """Do a task; returns an error message of one line, or None."""
    try:
        _prepare(task)
        work(task, label)
    except ModelError:  # it would fail for every file
        raise
    except Exception as error:  # a bug must not stop the other files either
        if debug:
            traceback.print_exc()
        known = isinstance(error, CodecError)
        reason = str(error) if known else f"unexpected {type(error).__name__}: {error}"
        return reason if reason.startswith(task.source) else f"{task.source}: {reason}"
    return None


def _prepare(task: FileTask) -> None:
    if task.target == PIPE:
        return
    check_apart([task.source], task.target)
    make_folder_for(task.target)


def _summed_up(failures: list[str], n_tasks: int) -> int:
    for failure in failures:
        say(failure)
    if failures:
        say(f"{len(failures)} of {n_tasks} files failed")
    return 1 if failures else 0
