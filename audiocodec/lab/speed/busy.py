"""Measure encoding on a quiet and on a busy machine: python -m audiocodec.lab.speed.busy

Compares two ways for threads to wait: this library's own, and OpenMP's default, which spins. Both
take turns, with and without other processes that keep all cores busy. Prints median wall-clock and
CPU times, and median ratios over the rounds. The machine should have nothing else to do.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import soundfile

from audiocodec.threads import usable_cores
from audiocodec.weights.registry import DEFAULT_MODEL

OWN, SPINNING = "own", "spinning"
WAYS: dict[str, dict[str, str]] = {OWN: {}, SPINNING: {"GOMP_SPINCOUNT": "300000"}}
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")  # removed from the environment


class Taken(NamedTuple):
    """The time that one turn took."""

    wall_s: float
    cpu_s: float  # of all threads, user and system


Turn = Callable[[], Taken]
Measured = dict[tuple[str, bool], list[Taken]]  # by way of waiting, and whether the machine is busy


def measure(turns: dict[str, Turn], n_rounds: int, n_busy: int) -> Measured:
    """Time each way n_rounds times, on a quiet machine and beside n_busy busy processes."""
    taken: Measured = {}
    for _ in range(n_rounds):
        for is_busy in (False, True):
            with busy_processes(n_busy if is_busy else 0):
                for way, turn in turns.items():
                    taken.setdefault((way, is_busy), []).append(turn())
    return taken


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """Keep n processes computing until the block ends."""
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [context.Process(target=_compute, daemon=True) for _ in range(n)]
    try:
        for process in processes:
            process.start()
        time.sleep(0.5 if n else 0)  # until they compute
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _compute() -> None:
    while True:
        sum(range(1_000_000))


@contextmanager
def library(way: str, model: str, audio_s: float) -> Iterator[Turn]:
    """Time Codec.encode of noise in a process that stays alive, without loading and warm-up."""
    command = [sys.executable, "-c", _SERVE, model, str(audio_s)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=_variables(way)) as it:
        questions, answers = it.stdin, it.stdout
        if questions is None or answers is None:
            raise RuntimeError("a process without pipes")

        def turn() -> Taken:
            questions.write("encode\n")
            questions.flush()
            wall_s, cpu_s = answers.readline().split()
            return Taken(float(wall_s), float(cpu_s))

        turn()
        yield turn
        questions.close()


_SERVE = "import sys; from audiocodec.lab.speed.busy import serve; serve(*sys.argv[1:])"


def serve(model: str, audio_s: str) -> None:
    """For each line of standard input, encode once and print the seconds that it took."""
    from audiocodec.lab.systems.ours import Ours
    from audiocodec.lab.systems.workloads import TimedSpec, Workload

    system = Ours.for_timing(TimedSpec("ours", model, ""))
    work = system.prepare(Workload("encode", float(audio_s)))
    for _ in sys.stdin:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        work()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        sys.stdout.write(f"{wall_s} {cpu_s}\n")
        sys.stdout.flush()


@contextmanager
def command(way: str, model: str, audio_s: float) -> Iterator[Turn]:
    """Time `audiocodec encode` of a mono file, from the start of the process to its end."""
    with TemporaryDirectory() as folder:
        sound, target = Path(folder, "noise.wav"), Path(folder, "noise.dac")
        noise = np.random.default_rng(0).standard_normal(round(44100 * audio_s))
        soundfile.write(sound, 0.1 * noise, 44100)
        line = [sys.executable, "-m", "audiocodec", "encode", str(sound), str(target)]
        line += ["--model", model, "--device", "cpu", "--overwrite"]

        def turn() -> Taken:
            started_s, before = time.perf_counter(), os.times()
            subprocess.run(line, check=True, env=_variables(way), stderr=subprocess.DEVNULL)
            wall_s, after = time.perf_counter() - started_s, os.times()
            cpu_s = after.children_user - before.children_user
            return Taken(wall_s, cpu_s + after.children_system - before.children_system)

        turn()
        yield turn


def _variables(way: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in CHOICES} | WAYS[way]


def report(taken: Measured) -> str:
    """A table of median times, and two ratios, each the median over the rounds."""
    lines = ["| threads wait | machine | wall, s | CPU, s |", "|---|---|---|---|"]
    for (way, is_busy), turns in taken.items():
        wall_s, cpu_s = (statistics.median(part) for part in zip(*turns, strict=True))
        machine = "busy" if is_busy else "quiet"
        lines.append(f"| {way} | {machine} | {wall_s:.3f} | {cpu_s:.3f} |")
    quiet, busy = taken[OWN, False], taken[OWN, True]
    cpu = statistics.median(b.cpu_s / q.cpu_s for b, q in zip(busy, quiet, strict=True))
    spinning = taken[SPINNING, False]
    wall = statistics.median(q.wall_s / s.wall_s for q, s in zip(quiet, spinning, strict=True))
    lines += [
        "",
        f"CPU time on a busy machine, relative to that on a quiet one: {cpu:.2f}.",
        f"Wall-clock time on a quiet machine, relative to that with spinning threads: {wall:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("audiocodec.lab.speed.busy", allow_abbrev=False)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model name, folder or file")
    parser.add_argument("--audio-s", type=float, default=4.0, help="seconds of audio to encode")
    parser.add_argument("--rounds", type=int, default=10, help="times that each case is measured")
    busy_help = "number of processes that keep the machine busy"
    parser.add_argument("--busy", type=int, default=usable_cores(), help=busy_help)
    parser.add_argument("--command", action="store_true", help="time the command from start to end")
    args = parser.parse_args(argv)
    kind = command if args.command else library
    with ExitStack() as stack:
        turns = {w: stack.enter_context(kind(w, args.model, args.audio_s)) for w in WAYS}
        sys.stdout.write(report(measure(turns, args.rounds, args.busy)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
