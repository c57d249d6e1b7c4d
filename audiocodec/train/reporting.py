"""Scores to a Markdown report and a CSV. Means over clips with 95 % bootstrap intervals.

May import: numpy, train.codebooks, train.scoring.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from audiocodec.train.codebooks import CodebookUsage
from audiocodec.train.scoring import FIGURES, SPEECH_FIGURES, Score

RESAMPLES = 2000  # of the bootstrap
TITLES = {  # of columns, with digits after the point
    "mel": ("mel distance ↓", 2),
    "mel_training": ("mel, 7 scales ↓", 2),
    "stft": ("STFT distance ↓", 2),
    "si_sdr": ("SI-SDR, dB ↑", 1),
    "visqol": ("ViSQOL ↑", 2),
    "estoi": ("ESTOI ↑", 2),
    "pesq": ("PESQ ↑", 2),
}


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; the same for the same seed."""
    x = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(len(x), size=(RESAMPLES, len(x)))
    low, high = np.quantile(x[draws].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def report(scores: Sequence[Score], usage: CodebookUsage) -> Iterator[str]:
    """Lines of Markdown: a table for each class, failures below it, then codebook use."""
    for kind in dict.fromkeys(score.kind for score in scores):
        yield from class_table(kind, [score for score in scores if score.kind == kind])
        yield ""
    yield from codebook_lines(usage)


def class_table(kind: str, scores: Sequence[Score]) -> Iterator[str]:
    """A line for each system, in order of first appearance."""
    names = [name for name in FIGURES if kind == "speech" or name not in SPEECH_FIGURES]
    systems = list(dict.fromkeys(score.system for score in scores))
    rates = {name: _kbps(scores, name) for name in systems}
    yield f"### {kind}: {len({score.clip for score in scores})} clips"
    yield ""
    yield f"| | kbps | {' | '.join(TITLES[name][0] for name in names)} | nearest Opus |"
    yield "|---" * (len(names) + 3) + "|"
    for system in systems:
        mine = [score for score in scores if score.system == system]
        cells = [_cell(mine, name) for name in names]
        beside = nearest_opus(scores, rates[system]) if mine[0].n_codebooks else ""
        yield f"| {system} | {rates[system]:.2f} | {' | '.join(cells)} | {beside or '-'} |"
    yield from failure_lines(scores)


def nearest_opus(scores: Sequence[Score], kbps: float) -> str:
    """Name of the Opus whose mean bit rate is nearest; empty where none was run."""
    names = dict.fromkeys(score.system for score in scores if not score.n_codebooks)
    return min(names, key=lambda name: abs(_kbps(scores, name) - kbps), default="")


def failure_lines(scores: Sequence[Score]) -> Iterator[str]:
    """What has no figure and is left out of the means: metric, reason, system, how often."""
    failed = Counter(
        (name, reason, score.system) for score in scores for name, reason in score.failures.items()
    )
    if failed:
        yield ""
    for (name, reason, system), n in failed.items():
        title = TITLES[name][0].split(",")[0].rstrip(" ↑↓")
        yield f"- {title} left out for {n} clips: {reason} ({system})"


def codebook_lines(usage: CodebookUsage) -> Iterator[str]:
    """Entropy of each codebook over all clips, and of all of them against the bits spent."""
    n_codebooks, codebook_size = usage.counts.shape
    yield f"### Codebook use, {int(usage.counts[0].sum())} frames of all clips"
    yield ""
    yield f"| codebook | {' | '.join(str(n + 1) for n in range(n_codebooks))} | efficiency |"
    yield "|---" * (n_codebooks + 2) + "|"
    entropies = " | ".join(f"{h:.2f}" for h in usage.entropy().tolist())
    bits = np.log2(codebook_size)
    yield f"| entropy, of {bits:g} bits | {entropies} | {100 * usage.efficiency():.1f} % |"


def write_csv(path: Path, scores: Sequence[Score]) -> None:
    """A row for each clip and system; a figure that failed is empty, `failures` says why."""
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = ["clip", "class", "system", "codebooks", "kbps", *FIGURES, "failures"]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for score in scores:
            row = {"clip": score.clip, "class": score.kind, "system": score.system}
            numbers = {"codebooks": score.n_codebooks or "", "kbps": f"{score.kbps:.3f}"}
            figures = {name: f"{value:.4f}" for name, value in score.figures.items()}
            reasons = "; ".join(f"{name}: {reason}" for name, reason in score.failures.items())
            writer.writerow(row | numbers | figures | {"failures": reasons})


def _kbps(scores: Sequence[Score], system: str) -> float:
    return float(np.mean([score.kbps for score in scores if score.system == system]))


def _cell(scores: Sequence[Score], name: str) -> str:
    """Mean and interval of those that have the figure."""
    values = [score.figures[name] for score in scores if name in score.figures]
    digits = TITLES[name][1]
    if not values:
        return "-"
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) < 2:
        return mean
    low, high = interval(values)
    return f"{mean} ({low:.{digits}f} to {high:.{digits}f})"
