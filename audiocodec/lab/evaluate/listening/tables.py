"""Writes ratings.csv, raw_ratings.csv, ratings.md, and ratings.html with a plot."""

import csv
import html
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from audiocodec.files import make_folder, write_file
from audiocodec.lab.evaluate.listening.key import SYSTEM
from audiocodec.lab.evaluate.listening.ratings import Analysis, Listener, Mean
from audiocodec.lab.reporting.pictures import svg_of
from audiocodec.lab.reporting.tables import markdown_table

INK = "#010203"  # replaced by the page's text colour when the plot is put into the page
HEAD = ("system", "n", "mean", "95 % interval", "median")
HOW = (
    "Screening by ITU-R BS.1534-3, 4.1.2: a listener who rated the hidden reference below 90, or "
    "the anchor above 90, in more than 15 % of the trials is left out. Intervals: Student's t over "
    "all ratings, as in the standard; it assumes that ratings of one listener are independent, so "
    "with few listeners the intervals are too narrow."
)
STYLE = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
.plot { overflow-x: auto; }
svg { width: 100%; min-width: 40rem; height: auto; }
"""


def write_ratings(folder: Path, analysis: Analysis) -> None:
    """Write ratings.csv, raw_ratings.csv, ratings.md and ratings.html, replacing older ones.

    Raises OutputError if they cannot be written.
    """
    make_folder(folder)
    files = {
        "ratings.csv": _csv(_mean_lines(analysis)),
        "raw_ratings.csv": _csv(_raw_lines(analysis)),
        "ratings.md": "\n".join(_markdown(analysis)) + "\n",
        "ratings.html": "\n".join(_page(analysis)) + "\n",
    }
    for name, text in files.items():
        write_file(folder / name, text)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def _mean_lines(analysis: Analysis) -> Iterator[Sequence[object]]:
    """Lines of ratings.csv. Its column `of` tells ratings from differences to the first system."""
    yield "of", "class", "system", "role", "n", "mean", "low", "high", "median"
    for of, means in (("rating", analysis.means), ("difference", analysis.differences)):
        for mean in means:
            figures = (mean.mean, mean.low, mean.high, mean.median)
            shown = ("" if math.isnan(figure) else f"{figure:.3f}" for figure in figures)
            yield of, mean.kind, mean.system, mean.role, mean.n, *shown


def _raw_lines(analysis: Analysis) -> Iterator[Sequence[object]]:
    yield (
        *("listener", "excluded", "trial", "order", "clip", "class", "system", "role"),
        *("score", "plays", "seconds", "started", "finished", "comment", "remarks"),
    )
    excluded = {listener.name: listener.excluded for listener in analysis.listeners}
    for rating in analysis.ratings:
        answer = rating.answer
        yield (
            *(_inert(answer.listener), excluded[answer.listener], answer.trial, answer.order),
            *(rating.clip, rating.kind, rating.system, rating.role),
            *(f"{answer.score:g}", answer.plays, f"{answer.seconds:g}"),
            *(answer.started, answer.finished, _inert(answer.comment), _inert(answer.remarks)),
        )


def _inert(text: str) -> str:
    """A listener's text, changed so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _markdown(analysis: Analysis) -> Iterator[str]:
    yield f"# Ratings: {_plain(analysis.title)}"
    yield ""
    yield _count(analysis) + " " + HOW
    yield ""
    for title, head, lines in _sections(analysis):
        yield f"## {_plain(title)}"
        yield ""
        yield markdown_table(head, ([_plain(cell) for cell in line] for line in lines))
        yield ""


def _plain(text: str) -> str:
    """The text, escaped for Markdown."""
    escaped = "".join(f"\\{letter}" if letter in r"\`*_[]|#" else letter for letter in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")


def _page(analysis: Analysis) -> Iterator[str]:
    title = html.escape(f"Ratings: {analysis.title}")
    yield "<!DOCTYPE html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}</style></head><body>"
    yield f"<h1>{title}</h1>"
    yield f"<p>{html.escape(_count(analysis) + ' ' + HOW)}</p>"
    if analysis.means:
        yield f'<div class="plot">{plot(analysis)}</div>'
    for heading, head, lines in _sections(analysis):
        yield f"<h2>{html.escape(heading)}</h2>"
        yield "<table><thead><tr>"
        yield "".join(f"<th>{html.escape(name)}</th>" for name in head) + "</tr></thead><tbody>"
        for line in lines:
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in line)
            yield f"<tr>{cells}</tr>"
        yield "</tbody></table>"
    yield "</body></html>"


_Section = tuple[str, Sequence[str], list[Sequence[str]]]  # title, head, lines


def _sections(analysis: Analysis) -> Iterator[_Section]:
    """The tables, which are the same in Markdown and in the page."""
    for kind in analysis.kinds:
        lines = [_cells(mean) for mean in analysis.means if mean.kind == kind]
        yield f"{kind}: mean ratings, 0 to 100", HEAD, lines
    for kind in dict.fromkeys(mean.kind for mean in analysis.differences):
        lines = [_cells(mean, "+.1f") for mean in analysis.differences if mean.kind == kind]
        yield f"{kind}: {analysis.compared_with} less each other system", HEAD, lines
    heads = ("listener", "trials", "reference below 90", "anchor above 90", "outcome")
    yield "Listeners", heads, [_listener_cells(listener) for listener in analysis.listeners]
    remarks = dict.fromkeys((r.answer.listener, r.answer.remarks) for r in analysis.ratings)
    if any(remark for _, remark in remarks):
        yield "Remarks", ("listener", "remark"), [pair for pair in remarks if pair[1]]


def _cells(mean: Mean, form: str = ".1f") -> Sequence[str]:
    spread = "-" if math.isnan(mean.low) else f"{mean.low:{form}} to {mean.high:{form}}"
    return mean.system, str(mean.n), f"{mean.mean:{form}}", spread, f"{mean.median:{form}}"


def _listener_cells(listener: Listener) -> Sequence[str]:
    outcome = f"left out: {listener.excluded}" if listener.excluded else "kept"
    counts = (listener.n_trials, listener.reference_missed, listener.anchor_missed)
    return listener.name, *map(str, counts), outcome


def _count(analysis: Analysis) -> str:
    n_kept = sum(not listener.excluded for listener in analysis.listeners)
    left = "" if n_kept else " No listener is left, so there are no means."
    return f"{n_kept} of {len(analysis.listeners)} listeners kept, test {analysis.test}.{left}"


def plot(analysis: Analysis) -> str:
    """Means and intervals of each class as an SVG element in the page's text colour."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    systems = [mean.system for mean in analysis.means if mean.kind == analysis.kinds[0]][::-1]
    n_panels = len(analysis.kinds)
    settings: dict[Any, Any] = {
        "text.parse_math": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    }
    with rc_context(settings):
        figure = Figure(figsize=(2.2 + 2.4 * n_panels, 0.8 + 0.32 * len(systems)))
        panels = figure.subplots(1, n_panels, sharey=True, squeeze=False)[0]
        for panel, kind in zip(panels, analysis.kinds, strict=True):
            _draw(panel, kind, [mean for mean in analysis.means if mean.kind == kind], systems)
        figure.supxlabel("rating, 0 (bad) to 100 (excellent)", fontsize=10)
        figure.tight_layout()
        svg = svg_of(figure, transparent=True)
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def _draw(panel: Any, kind: str, means: Sequence[Mean], systems: Sequence[str]) -> None:
    for mean in means:
        y = systems.index(mean.system)
        colour = "#2f6fb0" if mean.role == SYSTEM else "#8a8a8a"
        if not math.isnan(mean.low):
            panel.plot([max(0, mean.low), min(100, mean.high)], [y, y], color=colour, linewidth=2)
        panel.plot([mean.mean], [y], "o", color=colour, markersize=6)
    panel.set(title=kind, xlim=(-3, 103), xticks=range(0, 101, 20))
    panel.set_yticks(range(len(systems)), systems)
    panel.grid(axis="x", color="#8a8a8a", alpha=0.3)
