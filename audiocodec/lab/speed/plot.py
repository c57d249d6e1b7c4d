"""Plots speed ratios, and memory and time by length, with matplotlib's Figure but not pyplot.

matplotlib is imported only when a figure is drawn; it comes with the extra "eval".
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiocodec.lab.speed.report import growth, title_of
from audiocodec.lab.speed.results import BenchmarkResults, BenchmarkRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, AMBER = "#3366a8", "#c77a1b"
PANEL_INCHES = (7.0, 3.2)


def picture(results: BenchmarkResults) -> "Figure":
    """A panel of ratios for each model, and one of memory and time if there are several lengths.

    Raises ImportError where matplotlib is missing.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    compared = _longest(results.rows)
    models = list(dict.fromkeys(row.model for row in compared))
    grown = [m for m in models if growth(row for row in results.rows if row.model == m)]
    n_panels = max(1, len(models) + len(grown))
    size = (PANEL_INCHES[0], PANEL_INCHES[1] * n_panels)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(), facecolor="white")
    panels = iter([figure.add_subplot(n_panels, 1, i + 1) for i in range(n_panels)])
    for model in models:
        _ratios(next(panels), model, [row for row in compared if row.model == model])
    for model in grown:
        _growth(next(panels), model, growth(row for row in results.rows if row.model == model))
    return figure


def _longest(rows: Sequence[BenchmarkRow]) -> list[BenchmarkRow]:
    """For each system and operation, the row with a ratio of the longest audio, least batch."""
    found: dict[tuple[str, str, str], BenchmarkRow] = {}
    for row in sorted(rows, key=lambda row: (row.audio_s, -row.batch)):
        if row.ratio is not None:
            found[row.model, row.operation, row.system] = row
    return sorted(found.values(), key=lambda row: (row.operation, row.system))


def _ratios(panel: "Axes", model: str, rows: Sequence[BenchmarkRow]) -> None:
    labels = [f"{row.operation} / {title_of(row.system)}" for row in rows]
    ratios = [row.ratio or 0.0 for row in rows]
    panel.barh(labels, ratios, color=BLUE)
    panel.axvline(1.0, color="black", linewidth=1)
    for i, ratio in enumerate(ratios):
        panel.text(ratio, i, f" {ratio:.2f}", va="center", fontsize=8)
    panel.invert_yaxis()
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title(f"{model}: how many times as fast as", loc="left", fontsize=10)


def _growth(panel: "Axes", model: str, rows: Sequence[BenchmarkRow]) -> None:
    memory = panel.twinx()
    for operation, marker in (("compress", "o"), ("decompress", "s")):
        own = [row for row in rows if row.operation == operation]
        lengths = [row.audio_s for row in own]
        panel.plot(lengths, [row.ours_s for row in own], marker=marker, color=BLUE, label=operation)
        known = [row for row in own if row.ours_mib is not None]
        x, y = [row.audio_s for row in known], [row.ours_mib or 0.0 for row in known]
        memory.plot(x, y, marker=marker, color=AMBER, linestyle=":")
    panel.set_xscale("log")
    panel.set_ylim(bottom=0)
    memory.set_ylim(bottom=0)
    panel.set_xlabel("seconds of audio", fontsize=8)
    panel.set_ylabel("s for each second", color=BLUE, fontsize=8)
    memory.set_ylabel("MiB", color=AMBER, fontsize=8)
    panel.legend(fontsize=8, frameon=False)
    panel.set_title(f"{model}: file to file", loc="left", fontsize=10)
