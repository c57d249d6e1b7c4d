"""`audiocodec evaluate`: measure a model beside other codecs, and write a page for listening."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import argbind

from audiocodec.cli.arguments import GIVEN, words_of
from audiocodec.cli.messages import printable, say
from audiocodec.cli.operands import check_folder
from audiocodec.errors import ArgumentError
from audiocodec.extras import check_installed
from audiocodec.weights.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from audiocodec.lab.evaluate.report_data import Report


@argbind.bind(without_prefix=True, positional=True, group="evaluate")
def evaluate(
    data: str,
    model: str = DEFAULT_MODEL,
    out: str = "",
    codebooks: str = "",
    baselines: str = "opus,mp3,aac",
    every: int = 1,
    seconds: float = 10.0,
    rate: int = 44100,
    listen: int = 3,
    jobs: int = 0,
    cache: str = "",
    ratings: str = "",
    debug: bool = False,
) -> int:
    """Measure a model beside other codecs, and write a page for listening.

    Parameters
    ----------
    data : str
        folder with a subfolder for each class, manifest (CSV, JSONL: path, class) or sound file
    model : str
        model to evaluate: name (see `audiocodec models`), owner/name on the hub, folder or file
    out : str
        folder to write the report to: index.html, results.csv, ...
    codebooks : str
        numbers of codebooks to decode with, as in 1 3 6 9; left out: a few from one to all
    baselines : str
        codecs to compare with: opus, mp3, aac, encodec, snac, dac, codec:MODEL, with rates as in
        opus:6/12; "": none
    every : int
        evaluate only every n-th clip
    seconds : float
        length of the excerpt taken from the middle of longer recordings, in seconds
    rate : int
        sample rate in Hz at which all codecs are compared
    listen : int
        number of clips per class to listen to in the report
    jobs : int
        number of processes; 0: one per core
    cache : str
        folder for decoded clips and figures, which reports can share; left out: OUT/cache
    ratings : str
        result files of the listening test in OUT to analyse; nothing is measured
    debug : bool
        print the traceback of an error
    """
    if not out:
        raise ArgumentError("give --out with a folder for the report")
    check_folder(out)
    if ratings:
        idle = [f"--{name}" for name in GIVEN.get() if name not in ("ratings", "out", "debug")]
        if idle or data:
            raise ArgumentError(
                f"{', '.join(idle) or data}: without effect, because --ratings measures nothing "
                "anew; leave it out"
            )
        return _analyse([Path(name) for name in words_of(ratings)], Path(out))
    if not data:
        raise ArgumentError("DATA is missing: a folder of clips, a manifest or a sound file")
    from audiocodec.lab.evaluate.run import EvaluationPlan, checked
    from audiocodec.lab.evaluate.run import evaluate as run

    plan = EvaluationPlan(
        data=Path(data),
        out=Path(out),
        cache=Path(cache or Path(out, "cache")),
        model=model,
        codebooks=_numbers(codebooks),
        baselines=baselines,
        every=every,
        seconds=seconds,
        sample_rate=rate,
        listen=listen,
        jobs=jobs,
        command=shlex.join(["audiocodec", *sys.argv[1:]]),
    )
    _write(Path(out), run(checked(plan), say))
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    """The words 1, 3 and 6, or one '1 3 6' -> (1, 3, 6). Raises ArgumentError."""
    words = [part for word in words_of(text) for part in word.split()]
    try:
        return tuple(int(word) for word in words)
    except ValueError as error:
        raise ArgumentError(
            f"--codebooks {' '.join(words)}: must be whole numbers, as in 1 3 6"
        ) from error


def _write(folder: Path, report: "Report") -> None:
    from audiocodec.lab.evaluate.listening.condition_selection import blind_clips
    from audiocodec.lab.evaluate.listening.stimuli import write_listening_test
    from audiocodec.lab.evaluate.report.page import write_report
    from audiocodec.lab.evaluate.report.tables import markdown

    if report.heard:
        write_listening_test(folder, "Listening test", blind_clips(report))
    write_report(folder, report)
    print("\n".join(map(printable, markdown(report).splitlines())))
    say(f"to look at and listen to: {folder / 'index.html'}")


def _analyse(ratings: list[Path], folder: Path) -> int:
    from audiocodec.lab.evaluate.listening.ratings import analyse
    from audiocodec.lab.evaluate.listening.tables import write_ratings

    check_installed("the plot of the ratings", "eval", ["matplotlib"])
    analysis = analyse(ratings, folder / "listening_key.json")
    write_ratings(folder, analysis)
    print((folder / "ratings.md").read_text(encoding="utf-8"))
    return 0
