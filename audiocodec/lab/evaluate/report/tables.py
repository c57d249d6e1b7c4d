"""The tables of the report, for summary.md and for the page."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np

from audiocodec.lab.evaluate.figures import METRICS, Metric
from audiocodec.lab.evaluate.report_data import Report, Usage
from audiocodec.lab.evaluate.rows import ResultRow, Value, printable, write_table
from audiocodec.lab.evaluate.summary import ALL, Summaries, Summary
from audiocodec.lab.reporting.tables import markdown_table

MEDIAN_TOO = ("si_sdr", "si_sdr_aligned")  # a few clips can dominate a mean of decibels
TITLES = {metric.name: metric.title.split(",")[0] for metric in METRICS}
CODEBOOK_COLUMNS = (
    "system",
    "class",
    "frames",
    "codebook",
    "entries",
    "entropy_bits",
    "used_share",
    "efficiency_of_all",
)


@dataclass(frozen=True)
class TableCell:
    """A figure of a table, with its interval and the like in small print."""

    text: str
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of a table."""

    cells: tuple[TableCell, ...]
    of_model: bool = False  # the line is about the report's model


@dataclass(frozen=True)
class Table:
    """A table with notes below it. The first cell of a line names the line."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


def markdown(report: Report, summaries: Summaries | None = None) -> str:
    """All tables of the report, each under a heading."""
    found = summaries or Summaries(report.rows)
    tables = [class_table(report, found, kind) for kind in found.kinds]
    tables += usage_tables(report.usage)
    tables += [speed_table(report), left_out_table(report)]
    filled = [table for table in tables if table.lines or table.notes]
    return "\n".join(f"### {_as_markdown(table)}" for table in filled)


def class_table(report: Report, summaries: Summaries, kind: str) -> Table:
    """A line for each system and setting: its rate and figures, and the model's nearest rival."""
    rows = [row for row in report.rows if kind in (row.kind, ALL)]
    metrics = shown_metrics(rows, kind)
    lines = []
    for label in summaries.labels(kind):
        rate = summaries.kbps(kind, label)
        of_model = rate.system == report.model
        nearest = summaries.nearest(kind, label) if of_model else None
        cells = [TableCell(label), _rate_cell(rate)]
        cells += [_cell(summaries.get(kind, label, metric.name), metric) for metric in metrics]
        lines.append(Line((*cells, _nearest_cell(summaries, kind, nearest)), of_model))
    columns = ("system", "kbps", *(_heading(metric) for metric in metrics), "nearest other")
    n_clips = len({row.clip for row in rows})
    title = f"{'All classes' if kind == ALL else kind}, {_counted(n_clips, 'clip')}"
    return Table(title, columns, tuple(lines), tuple(left_out(rows)))


def shown_metrics(rows: Iterable[ResultRow], kind: str) -> list[Metric]:
    """The metrics to show for a class: those that were tried; for ALL, without those for speech."""
    tried = {name for row in rows for name in (*row.figures, *row.failures)}
    return [
        metric
        for metric in METRICS
        if metric.shown and metric.name in tried and not (metric.speech_only and kind == ALL)
    ]


def left_out(rows: Sequence[ResultRow]) -> Iterator[str]:
    """Notes on missing figures, which no mean contains: metric, number of clips, why, systems."""
    counts = Counter((name, why, row.label) for row in rows for name, why in row.failures.items())
    together: dict[tuple[str, str, int], list[str]] = {}
    for (name, why, label), n in counts.items():
        together.setdefault((name, why, n), []).append(label)
    n_labels = len({row.label for row in rows})
    for (name, why, n), labels in together.items():
        whose = "every system" if len(labels) == n_labels > 1 else "; ".join(labels)
        yield f"{TITLES.get(name, name)} left out for {_counted(n, 'clip')}: {why} ({whose})"


def usage_tables(usages: Sequence[Usage]) -> list[Table]:
    """A table for each system: entropy and share of entries used of each codebook, by class."""
    tables = []
    for system in dict.fromkeys(usage.system for usage in usages):
        mine = [usage for usage in usages if usage.system == system]
        n_codebooks = max(len(usage.entropy) for usage in mine)
        columns = ("", *(str(n + 1) for n in range(n_codebooks)), "efficiency")
        lines = tuple(line for usage in mine for line in _usage_lines(usage))
        tables.append(Table(f"Codebook use of {system}", columns, lines))
    return tables


def write_codebooks_csv(path: Path, usages: Sequence[Usage]) -> None:
    """Write a line for each codebook, system and class. Raises OutputError if that fails."""
    values: Iterator[tuple[Value, ...]] = (
        (*map(printable, (u.system, u.kind)), u.n_frames, n, u.codebook_size, *of_one, u.efficiency)
        for u in usages
        for n, of_one in enumerate(zip(u.entropy, u.used_share), start=1)
    )
    write_table(path, CODEBOOK_COLUMNS, (dict(zip(CODEBOOK_COLUMNS, line)) for line in values))


def speed_table(report: Report) -> Table:
    """Speed and peak memory of each system, which ran alone on the machine."""
    lines = tuple(
        Line(
            (
                TableCell(f"{speed.system}, {speed.setting}"),
                TableCell(_times(speed.encode_speed)),
                TableCell(_times(speed.decode_speed)),
                TableCell("unknown" if isnan(speed.peak_mib) else f"{speed.peak_mib:.0f}"),
            ),
            speed.system == report.model,
        )
        for speed in report.speed
    )
    columns = (
        "system",
        "encoding, times real time",
        "decoding, times real time",
        "peak memory, MiB",
    )
    return Table("Speed and memory", columns, lines)


def left_out_table(report: Report) -> Table:
    """Baselines that did not run and clips that failed, with the reasons."""
    lines = [Line((TableCell(name), TableCell(why))) for name, why in report.not_run.items()]
    return Table("Not run, not measured", ("system", "why"), tuple(lines), report.failed)


def _as_markdown(table: Table) -> str:
    rows = [[_plain(cell) for cell in line.cells] for line in table.lines]
    drawn = [markdown_table([_escaped(one) for one in table.columns], rows)] if rows else []
    lines = [_escaped(table.title), "", *drawn, *([""] if drawn else [])]
    notes = [f"- {_escaped(note)}" for note in table.notes]
    return "\n".join(lines + ([*notes, ""] if notes else []))


def _plain(cell: TableCell) -> str:
    return _escaped(f"{cell.text} ({', '.join(cell.small)})" if cell.small else cell.text)


def _escaped(text: str) -> str:
    """The text, escaped so that it stays in its Markdown cell and makes no HTML tag."""
    return " ".join(printable(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _heading(metric: Metric) -> str:
    return f"{metric.title} {'↑' if metric.higher_is_better else '↓'}"


def _cell(summary: Summary | None, metric: Metric) -> TableCell:
    if summary is None or not summary.n:
        return TableCell("-")
    mean, low, high, median = (
        f"{value:.{metric.digits}f}"
        for value in (summary.mean, summary.low, summary.high, summary.median)
    )
    if summary.n < 2:
        return TableCell(mean)
    medians = (f"median {median}",) if metric.name in MEDIAN_TOO else ()
    return TableCell(mean, (f"{low} to {high}", *medians))


def _rate_cell(rate: Summary) -> TableCell:
    low, high = f"{rate.low:.2f}", f"{rate.high:.2f}"
    return TableCell(
        f"{rate.mean:.2f}", (f"{low} to {high}",) if rate.n > 1 and low != high else ()
    )


def _nearest_cell(summaries: Summaries, kind: str, label: str | None) -> TableCell:
    if label is None:
        return TableCell("")
    return TableCell(label, (f"{summaries.kbps(kind, label).mean:.2f} kbps",))


def _usage_lines(usage: Usage) -> Iterator[Line]:
    where = "all classes" if usage.kind == ALL else usage.kind
    bits = float(np.log2(usage.codebook_size))
    head = TableCell(f"{where}: entropy, of {bits:g} bits", (_counted(usage.n_frames, "frame"),))
    entropies = [TableCell(f"{value:.2f}") for value in usage.entropy]
    yield Line((head, *entropies, TableCell(f"{100 * usage.efficiency:.1f} %")))
    shares = [TableCell(f"{100 * value:.0f} %") for value in usage.used_share]
    yield Line((TableCell(f"{where}: entries used"), *shares, TableCell("")))


def _times(speed: float) -> str:
    return f"{speed:.3g}" if speed < 100 else f"{speed:.0f}"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
