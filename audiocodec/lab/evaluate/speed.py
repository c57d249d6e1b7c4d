"""Measures a system's speed and memory: alone, in a fresh process, on all cores."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path

from audiocodec.lab.evaluate.clips import Reference, read_clip
from audiocodec.lab.evaluate.measuring import Candidate, system_of
from audiocodec.lab.evaluate.report_data import Speed
from audiocodec.lab.reporting.machine import peak_mib
from audiocodec.threads import threads_for_each
from audiocodec.workers import worker_pool

REPEATS = 3  # the fastest counts, as it was disturbed least
POLL_S = 0.001


def speed_of(candidate: Candidate, reference: Reference) -> Speed:
    """Encode and decode one clip three times, in a process that has done nothing else."""
    with worker_pool(1, threads_for_each(1)) as pool:
        return pool.submit(_timed, candidate, reference.path).result()


def _timed(candidate: Candidate, path: Path) -> Speed:
    audio, sample_rate = read_clip(path)
    system = system_of(candidate.spec)
    with _programs_watched() as peaks:
        runs = [system.run(audio, sample_rate, candidate.setting) for _ in range(REPEATS)]
    peak = max(peaks, default=nan) if system.in_programs else peak_mib()
    seconds = len(audio) / sample_rate
    return Speed(
        candidate.name,
        candidate.setting.label,
        encode_speed=seconds / min(run.encode_s for run in runs),
        decode_speed=seconds / min(run.decode_s for run in runs),
        peak_mib=nan if peak is None else peak,
    )


@contextmanager
def _programs_watched() -> Iterator[list[float]]:
    """Collect peak memory in MiB of the programs that this process runs, sampled every ms."""
    peaks: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(POLL_S):
            peaks.extend(peak for child in _programs() if (peak := peak_mib(child)) is not None)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def _programs() -> list[str]:
    """Child processes that run another program; before exec, a child is a copy of this one."""
    found = []
    try:
        tasks = Path("/proc/self/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []  # not Linux: memory stays unknown
    for child in children:
        try:
            is_copy = os.path.samefile(f"/proc/{child}/exe", sys.executable)
        except OSError:  # it has ended
            continue
        if not is_copy:
            found.append(child)
    return found
