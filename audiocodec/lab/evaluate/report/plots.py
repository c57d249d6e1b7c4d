"""Plots rate-distortion curves and codebook use as SVG, the same bytes for the same figures.

Uses matplotlib's Figure but not pyplot, so that no state is left behind in the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.files import write_file
from audiocodec.lab.evaluate.figures import METRICS, SPEECH, Metric
from audiocodec.lab.evaluate.report.tables import shown_metrics
from audiocodec.lab.evaluate.report_data import Report, Usage
from audiocodec.lab.evaluate.rows import printable
from audiocodec.lab.evaluate.summary import ALL, Summaries, Summary
from audiocodec.lab.reporting.pictures import svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#24292f", "#6b737c", "#d5d9de"
DARK = {INK: "#e4e7ea", FAINT: "#a0a8b0", GRID: "#3a4149"}  # their replacements on a dark page
MODEL_COLOUR = "#d55e00"
# Okabe and Ito, Color Universal Design (2008): distinct for colour-blind readers, and visible on
# white and on black. Markers differ too.
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f", "#8f63c4")
MARKERS = ("s", "^", "D", "v", "P", "X", "h")
RATE_TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)  # kbps
OVERVIEW = ("visqol", "mel", "si_sdr")
OVERVIEW_OF_SPEECH = ("visqol_speech", "pesq", "estoi")
PANEL = (3.3, 2.5)  # inches


@dataclass(frozen=True)
class Look:
    """How a system is drawn, in every plot."""

    colour: str
    marker: str
    is_model: bool = False


def looks(report: Report) -> dict[str, Look]:
    """A look for each system, by order of appearance; the model's is always the same."""
    systems = dict.fromkeys(row.system for row in report.rows)
    others = [system for system in systems if system != report.model]
    given = {
        system: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
        for i, system in enumerate(others)
    }
    return {report.model: Look(MODEL_COLOUR, "o", True)} | given


def rate_distortion(report: Report, summaries: Summaries, kind: str) -> "Figure":
    """A panel for each shown metric of a class: mean and 95 % interval by measured kbps."""
    metrics = shown_metrics([row for row in report.rows if kind in (row.kind, ALL)], kind)
    figure, panels = _grid(len(metrics), n_columns=3)
    for panel, metric in zip(panels, metrics):
        _curves(panel, report, summaries, kind, metric)
        _title(panel, metric.title, _better(metric))
    _share_rates(panels)
    _legend(figure, report, summaries, kind)
    return figure


def overview(report: Report, summaries: Summaries) -> "Figure":
    """ViSQOL, mel distance and SI-SDR of each class, then figures for speech; for a README."""
    kinds = [kind for kind in summaries.kinds if kind != ALL]
    shown = [(name, kind) for name in OVERVIEW for kind in kinds]
    shown += [(name, SPEECH) for name in OVERVIEW_OF_SPEECH[: len(kinds)] if SPEECH in kinds]
    metric_of = {metric.name: metric for metric in METRICS}
    figure, panels = _grid(len(shown), n_columns=len(kinds))
    for panel, (name, kind) in zip(panels, shown):
        metric = metric_of[name]
        _curves(panel, report, summaries, kind, metric)
        _title(panel, f"{kind}: {metric.title}", _better(metric))
    _share_rates(panels)
    _legend(figure, report, summaries, *kinds)
    return figure


def codebook_use(usages: Sequence[Usage]) -> "Figure":
    """Entropy and share of entries used, of each codebook of one system, beside their maxima."""
    figure, panels = _grid(2 * len(usages), n_columns=len(usages))
    for usage, entropy, used in zip(usages, panels, panels[len(usages) :]):
        where = "all classes" if usage.kind == ALL else usage.kind
        numbers = np.arange(1, len(usage.entropy) + 1)
        bits = float(np.log2(usage.codebook_size))
        entropy.bar(numbers, bits, color=GRID, width=0.8)
        entropy.bar(numbers, usage.entropy, color=COLOURS[0], width=0.8)
        _title(entropy, f"{where}: entropy, bits", f"of {bits:g}")
        used.bar(numbers, 100.0, color=GRID, width=0.8)
        used.bar(numbers, 100 * np.array(usage.used_share), color=COLOURS[1], width=0.8)
        _title(used, f"{where}: entries used, %", f"of {usage.codebook_size}")
        for panel in (entropy, used):
            panel.set_xticks(numbers)
            panel.grid(visible=False)
            panel.set_xlabel("codebook", color=FAINT, fontsize=8)
    return figure


def save_svg(figure: "Figure", path: Path, for_page: bool = True) -> None:
    """Write an SVG whose text stays text. Raises OutputError if it cannot be written.

    for_page: make it transparent, and light on dark if the reader prefers that; else on white.
    """
    svg = svg_of(figure, transparent=for_page, bbox_inches="tight")
    write_file(path, _with_dark_colours(svg) if for_page else svg)


def _with_dark_colours(svg: str) -> str:
    """Add the colours for dark pages, which browsers apply to pictures in a page as well."""
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    return svg.replace("<defs>", f"{style}<defs>", 1)


def _grid(n_panels: int, n_columns: int) -> "tuple[Figure, list[Axes]]":
    """An empty figure with n_panels panels."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    n_rows = -(-n_panels // n_columns)
    size = (PANEL[0] * n_columns, PANEL[1] * n_rows)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    figure = Figure(figsize=size, layout=layout, facecolor="white")
    panels = [figure.add_subplot(n_rows, n_columns, i + 1) for i in range(n_panels)]
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(GRID)
        panel.tick_params(colors=GRID, labelcolor=INK, labelsize=8)
        panel.set_axisbelow(True)
        panel.grid(color=GRID, linewidth=0.6)
    return figure, panels


def _title(panel: "Axes", title: str, remark: str) -> None:
    panel.set_title(title, loc="left", fontsize=9.5, color=INK, pad=6).set_parse_math(False)
    panel.set_title(remark, loc="right", fontsize=8, color=FAINT, pad=6)


def _better(metric: Metric) -> str:
    return "↑ better" if metric.higher_is_better else "↓ better"


def _curves(panel: "Axes", report: Report, summaries: Summaries, kind: str, metric: Metric) -> None:
    """Draw a line for each system through its settings, by rate."""
    for system, look in looks(report).items():
        points = [
            (summaries.kbps(kind, label).mean, found)
            for label in summaries.labels(kind)
            if (found := summaries.get(kind, label, metric.name)) and found.n
            if found.system == system
        ]
        if points:
            panel.errorbar(
                [kbps for kbps, _ in points],
                [found.mean for _, found in points],
                yerr=np.array([_reach(found) for _, found in points]).T,
                **_drawn(look),
            )


def _reach(found: Summary) -> tuple[float, float]:
    """Distances from the mean down and up to the ends of its interval; 0 if it has none."""
    if found.n < 2:
        return 0.0, 0.0
    return max(0.0, found.mean - found.low), max(0.0, found.high - found.mean)


def _drawn(look: Look) -> dict[str, Any]:
    """The style of a system's line; the model's is heavier and lies on top."""
    strong = look.is_model
    return {
        "color": look.colour,
        "marker": look.marker,
        "linewidth": 2.4 if strong else 1.4,
        "markersize": 6 if strong else 4.5,
        "elinewidth": 1.2 if strong else 0.9,
        "capsize": 2,
        "zorder": 4 if strong else 3,
    }


def _share_rates(panels: "Sequence[Axes]") -> None:
    """Give all panels the same logarithmic axis of rates."""
    from matplotlib.ticker import FixedLocator, NullLocator

    drawn = [panel for panel in panels if panel.lines]
    rates = np.concatenate([line.get_xdata() for panel in drawn for line in panel.lines] or [[1.0]])
    low, high = float(rates.min()) / 1.2, float(rates.max()) * 1.2
    ticks = [tick for tick in RATE_TICKS if low <= tick <= high]
    for panel in panels:
        panel.set_xscale("log")
        panel.set_xlim(low, high)
        panel.xaxis.set_major_locator(FixedLocator(ticks))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xticklabels([f"{tick:g}" for tick in ticks])
        panel.set_xlabel("kbps, measured", color=FAINT, fontsize=8)


def _legend(figure: "Figure", report: Report, summaries: Summaries, *kinds: str) -> None:
    """Add a legend below the panels, with the systems that were measured."""
    from matplotlib.lines import Line2D

    there = {line.system for line in summaries.lines if line.kind in kinds}
    shown = {system: look for system, look in looks(report).items() if system in there}
    handles = []
    for look in shown.values():
        drawn = {k: v for k, v in _drawn(look).items() if k not in ("elinewidth", "capsize")}
        handles.append(Line2D([], [], **drawn))
    legend = figure.legend(
        handles,
        ["system"] * len(handles),  # set below: a name that begins with _ would be left out here
        loc="outside lower center",
        ncols=min(6, len(handles)),
        frameon=False,
        fontsize=9,
    )
    for text, system in zip(legend.get_texts(), shown):
        text.set_parse_math(False)
        text.set(
            text=printable(system), color=INK, weight="bold" if shown[system].is_model else "normal"
        )
