"""Means over clips with 95 % bootstrap intervals, medians, and counts of missing figures.

Failures are counted by reason and enter no mean.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocodec.lab.evaluate.figures import METRICS
from audiocodec.lab.evaluate.rows import ZERO_IS_NONE, ResultRow, Value, printable, write_table

ALL = "all"  # stands for all classes together
DRAWS = 2000  # resamplings of the bootstrap
RATES = ("kbps", "nominal_kbps", "tokens_per_s", "encode_speed", "decode_speed")
COLUMNS = (
    "class",
    "system",
    "setting",
    "metric",
    "n",
    "mean",
    "low",
    "high",
    "median",
    "failed",
    "failures",
)


@dataclass(frozen=True)
class Summary:
    """A figure or rate of a system at a setting, over those clips of a class that have it."""

    kind: str  # class, or ALL
    system: str
    setting: str
    metric: str  # a column of results.csv
    n: int  # clips that have it
    mean: float = nan  # NaN if n is 0, as is the median
    low: float = nan  # 95 % interval of the mean; NaN if n is less than 2
    high: float = nan
    median: float = nan
    failures: dict[str, int] = field(default_factory=dict)  # clips without the figure, by reason

    @property
    def label(self) -> str:
        """The same as ResultRow.label."""
        return f"{self.system}, {self.setting}"


class Summaries:
    """Summaries by class, label of system and setting, and metric."""

    def __init__(self, rows: Sequence[ResultRow]) -> None:
        self.lines = tuple(summaries(rows))
        self._at = {(s.kind, s.label, s.metric): s for s in self.lines}

    @property
    def kinds(self) -> list[str]:
        """Classes to show, in order of appearance; ALL only where there are several."""
        kinds = list(dict.fromkeys(s.kind for s in self.lines))
        return [kind for kind in kinds if kind != ALL or len(kinds) > 2]

    def labels(self, kind: str) -> list[str]:
        """Labels of systems and settings in a class: in order of appearance, then by rate."""
        lines = [s for s in self.lines if s.kind == kind and s.metric == "kbps"]
        order = list(dict.fromkeys(s.system for s in lines))
        return [s.label for s in sorted(lines, key=lambda s: (order.index(s.system), s.mean))]

    def get(self, kind: str, label: str, metric: str) -> Summary | None:
        """The summary, or None if the metric was never tried."""
        return self._at.get((kind, label, metric))

    def kbps(self, kind: str, label: str) -> Summary:
        """The measured rate, which every system has."""
        return self._at[kind, label, "kbps"]

    def nearest(self, kind: str, label: str) -> str | None:
        """Label of the other system with the nearest measured rate, by ratio; None if alone."""
        mine = self.kbps(kind, label)
        rates = [self.kbps(kind, other) for other in self.labels(kind)]
        others = [rate for rate in rates if rate.system != mine.system]
        if not others:
            return None
        return min(others, key=lambda rate: _octaves(rate.mean, mine.mean)).label


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean (Efron, 1979), with a fixed seed."""
    x = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(_shares(len(x)) @ x, (0.025, 0.975))
    return float(low), float(high)


def summaries(rows: Sequence[ResultRow]) -> list[Summary]:
    """A summary for each class (and ALL), system, setting and metric tried on any clip."""
    groups: dict[tuple[str, str, str], list[ResultRow]] = {}
    kinds = dict.fromkeys(row.kind for row in rows)
    for kind in dict.fromkeys((*kinds, ALL)):
        for row in rows:
            if kind in (row.kind, ALL):
                groups.setdefault((kind, row.system, row.setting), []).append(row)
    return [line for group, members in groups.items() for line in _lines(group, members)]


def write_summary_csv(path: Path, lines: Iterable[Summary]) -> None:
    """Write summary.csv. Raises OutputError if it cannot be written."""
    write_table(path, COLUMNS, map(_record, lines))


def _lines(group: tuple[str, str, str], rows: Sequence[ResultRow]) -> Iterator[Summary]:
    """Summaries of one system at one setting: its rates, then its figures."""
    for name in RATES:
        values = [getattr(row, name) for row in rows]
        if name not in ZERO_IS_NONE or any(values):
            yield _summary(group, name, values, Counter())
    for metric in METRICS:
        values = [row.figures[metric.name] for row in rows if metric.name in row.figures]
        reasons = [row.failures[metric.name] for row in rows if metric.name in row.failures]
        if values or reasons:
            yield _summary(group, metric.name, values, Counter(reasons))


def _summary(
    group: tuple[str, str, str], metric: str, values: Sequence[float], failures: Counter[str]
) -> Summary:
    n = len(values)
    low, high = interval(values) if n > 1 else (nan, nan)
    mean, median = (float(np.mean(values)), float(np.median(values))) if n else (nan, nan)
    return Summary(*group, metric, n, mean, low, high, median, dict(failures.most_common()))


@lru_cache(maxsize=8)
def _shares(n: int) -> NDArray[np.float64]:
    """Share of each of n clips in each resampling with replacement, (DRAWS, n)."""
    draws = np.random.default_rng(0).integers(n, size=(DRAWS, n))
    rows = np.repeat(np.arange(DRAWS), n)
    return np.bincount(rows * n + draws.ravel(), minlength=DRAWS * n).reshape(DRAWS, n) / n


def _octaves(a: float, b: float) -> float:
    return abs(float(np.log2(max(a, 1e-9) / max(b, 1e-9))))


def _record(line: Summary) -> dict[str, Value]:
    numbers = {name: getattr(line, name) for name in ("mean", "low", "high", "median")}
    return {
        "class": printable(line.kind),
        "system": printable(line.system),
        "setting": printable(line.setting),
        "metric": line.metric,
        "n": line.n,
        **{name: None if np.isnan(value) else value for name, value in numbers.items()},
        "failed": sum(line.failures.values()),
        "failures": "; ".join(f"{printable(why)} ({n})" for why, n in line.failures.items()),
    }
