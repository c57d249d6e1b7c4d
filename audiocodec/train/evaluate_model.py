"""Measure a model on held-out clips beside Opus: tables on stdout, and in files.

    python -m audiocodec.train.evaluate_model --manifest CLIPS.csv [--model FOLDER]
        [--codebooks "1 3 6 9"] [--opus "8 12 14 16"] [--untrained] [--out FOLDER] [--jobs 2]

Figures, means over the clips of a class with 95 % bootstrap intervals: mel and STFT distance with
the settings of the published evaluation, the mel distance of the paper's training loss (7 scales),
SI-SDR, ViSQOL (audio mode, 48 kHz), for speech ESTOI and PESQ (wide band). No figure decides
alone: noise of the right spectrum does well in ViSQOL. Opus runs through opusenc and opusdec, at
bit rates measured on the files. Needs the extra "train". May import: everything but cli.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import argbind
import torch
from tqdm import tqdm

from audiocodec.errors import ArgumentError, CodecError, OutputError
from audiocodec.train.reporting import report, write_csv
from audiocodec.train.scoring import ClipFile, ClipReport, Scorer, Systems, read_clips
from audiocodec.weights.registry import DEFAULT_MODEL

GROUP = "evaluate"  # of argbind: the flags of this command


@argbind.bind(without_prefix=True, group=GROUP)
def evaluate(
    manifest: str = "",
    model: str = "",
    codebooks: str = "1 3 6 9",
    opus: str = "8 12 14 16",
    every: int = 1,
    untrained: bool = False,
    out: str = "",
    jobs: int = 2,
) -> None:
    """Print the tables.

    Parameters
    ----------
    manifest : str
        CSV with the columns file (or path), relative to it, and class
    model : str
        name, folder or file of the model; empty for the default one
    codebooks : str
        how many of them to decode, one line of the tables each
    opus : str
        bit rates in kbps to ask Opus for, 6 or more; empty for none
    every : int
        take every n-th clip
    untrained : bool
        also the same architecture with random weights
    out : str
        folder for results.csv (each clip and system) and results.md (what is printed)
    jobs : int
        processes, of one thread each
    """
    if not manifest or every < 1 or jobs < 1:
        raise ArgumentError("needs --manifest CLIPS.csv; --every and --jobs are 1 or more")
    clips = read_clips(Path(manifest), every)
    systems = Systems(model or DEFAULT_MODEL, numbers(codebooks), numbers(opus), untrained)
    folder = _made(out) if out else None
    reports = reports_of(clips, systems, jobs)
    scores = [score for clip_report in reports for score in clip_report.scores]
    usage = reports[0].usage
    usage.counts = torch.stack([one.usage.counts for one in reports]).sum(dim=0)
    lines = list(report(scores, usage))
    sys.stdout.write("\n".join(lines) + "\n")
    if folder:
        write_csv(folder / "results.csv", scores)
        (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def reports_of(clips: Sequence[ClipFile], systems: Systems, jobs: int) -> list[ClipReport]:
    """Score clips in `jobs` processes, in the order of the clips; progress on stderr."""
    scorer = Scorer(systems)  # here too: what is wrong with the arguments shows before any work
    if jobs == 1:
        with _one_thread():
            return [scorer(clip) for clip in tqdm(clips, unit="clip", disable=None)]
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (systems,)) as pool:
        results = pool.map(_score, clips)
        return list(tqdm(results, total=len(clips), unit="clip", disable=None))


_scorers: list[Scorer] = []  # of a worker process: one, made when it starts


def _start_worker(systems: Systems) -> None:
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # of ViSQOL; read when it is imported
    torch.set_num_threads(1)
    _scorers[:] = [Scorer(systems)]


def _score(clip: ClipFile) -> ClipReport:
    return _scorers[0](clip)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def numbers(text: str) -> tuple[int, ...]:
    """'1 3 6' -> (1, 3, 6). Raises ArgumentError."""
    try:
        return tuple(int(n) for n in text.split())
    except ValueError as error:
        raise ArgumentError(f"{text!r} does not look like '1 3 6'") from error


def _made(folder: str) -> Path:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    return Path(folder)


def main(argv: list[str]) -> int:
    """Run the command; 0, or 1 with a line that says what is wrong."""
    parser = argbind.build_parser(GROUP)
    parser.allow_abbrev = False
    try:
        with argbind.scope(vars(parser.parse_args(argv))):
            evaluate()
    except CodecError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
