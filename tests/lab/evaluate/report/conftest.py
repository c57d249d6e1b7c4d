"""A small report with everything in it, hostile names too."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.lab.evaluate.figures import METRICS
from audiocodec.lab.evaluate.report.page import write_report
from audiocodec.lab.evaluate.report_data import Condition, HeardClip, Report, Speed, Usage
from audiocodec.lab.evaluate.rows import ResultRow

RATE, SECONDS = 16000, 4
HOSTILE = ('<script>alert("x")</script>', "a/b\\c: Grüße & 'quotes'", "A_B_C_GRUSSE", "../../etc")
KINDS = ("speech", "music")
SETTINGS = (("ours", 2.0), ("ours", 8.0), ("Opus", 6.5), ("Opus", 12.0), ("$x_{2}$ <b>", 3.0))


def a_row(clip: str, kind: str, system: str, kbps: float) -> ResultRow:
    """Figures that follow from the rate; one clip of Opus has no ViSQOL."""
    names = [m.name for m in METRICS if kind == "speech" or not m.speech_only]
    figures = {name: kbps / 4 + len(clip) % 3 for name in names}
    failures = {}
    if system == "Opus" and clip == HOSTILE[0]:
        del figures["visqol"]
        failures["visqol"] = "shorter than 1 s"
    n = int(kbps) if system == "ours" else 0
    return ResultRow(
        clip, kind, system, f"{kbps:g} kbps", n, kbps, kbps, 86.0 * n, 10, 20, figures, failures
    )


def tone(path: Path, hertz: float) -> Path:
    """A FLAC that differs from one to the other by its pitch, in noise as in any recording."""
    time = np.arange(RATE * SECONDS) / RATE
    noise = 0.02 * np.random.default_rng(0).normal(size=len(time))
    sf.write(path, 0.3 * np.sin(2 * np.pi * hertz * time) + noise, RATE)
    return path


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report; its audio lies in a folder of its own."""
    folder = tmp_path_factory.mktemp("decoded")
    clips = [(clip, KINDS[i % 2]) for i, clip in enumerate(HOSTILE)]
    rows = [a_row(clip, kind, *setting) for clip, kind in clips for setting in SETTINGS]
    heard = []
    for i, (clip, kind) in enumerate(clips):
        mine = [row for row in rows if row.clip == clip]
        conditions = [
            Condition(row, tone(folder / f"{i}_{j}.flac", 300 + 200 * j))
            for j, row in enumerate(mine)
        ]
        heard.append(HeardClip(clip, kind, tone(folder / f"{i}.flac", 200), tuple(conditions)))
    return Report(
        "ours",
        tuple(rows),
        tuple(heard),
        (
            Usage("ours", "all", 3000, 1024, (9.5, 8.25), (1.0, 0.75), 0.8875),
            Usage("ours", "speech", 1500, 1024, (9.0, 7.0), (0.9, 0.5), 0.8),
        ),
        (Speed("ours", "8 kbps", 12.0, 345.6, 512.0),),
        ("clip <x>: Opus gave up",),
        {"EnCodec": "no weights & <no> network"},
        {"date": "2026-11-24", "command": "audiocodec evaluate 'a b' --out \"x\""},
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Path:
    """The folder that write_report makes, with a listening test in it."""
    target = tmp_path_factory.mktemp("made") / "report"
    target.mkdir()
    (target / "listening_test.html").write_text("<!DOCTYPE html><title>test</title>")
    write_report(target, report)
    return target
