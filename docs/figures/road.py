"""Draws road.svg: the way of a waveform to a .dac file and back, with the 44.1 kHz model's numbers.

python docs/figures/road.py
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

STATIONS = (  # name, what it is, package that makes it and takes it back
    ("file", "any rate,\n1 to 8 channels", "audio"),
    ("samples", "44,100 a second,\n-16 LUFS", "audio"),
    ("latents", "86.13 frames\na second", "engine, model"),
    ("codes", "9 of 10 bits\na frame", "engine, model"),
    (".dac file", "7.75 kbit/s\na channel", "container"),
)
STEPS = ("read,\nresample", "encoder", "quantizer", "pack")
BACK = ("resample,\nwrite", "decoder", "codebooks", "unpack")
WIDTH, HEIGHT, GAP = 1.7, 1.1, 1.25
BLUE, GREY, PAPER = "#1f5f99", "#555555", "#eef3f8"


def draw() -> plt.Figure:
    """The figure, of a width that fits a page."""
    figure, axes = plt.subplots(figsize=(9.6, 2.5))
    axes.set_axis_off()
    for i, station in enumerate(STATIONS):
        _box(axes, i * (WIDTH + GAP), *station)
    for i, (step, back) in enumerate(zip(STEPS, BACK, strict=True)):
        start = i * (WIDTH + GAP) + WIDTH
        _arrow(axes, start, start + GAP, 0.22, step)
        _arrow(axes, start + GAP, start, -0.22, back)
    axes.set_xlim(-0.1, len(STATIONS) * (WIDTH + GAP) - GAP + 0.1)
    axes.set_ylim(-1.05, 0.95)
    figure.subplots_adjust(0, 0, 1, 1)
    return figure


def _box(axes: Axes, left: float, name: str, what: str, package: str) -> None:
    shape = FancyBboxPatch(
        (left, -HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.12",
        edgecolor=BLUE,
        facecolor=PAPER,
    )
    axes.add_patch(shape)
    centre = left + WIDTH / 2
    axes.text(centre, 0.32, name, ha="center", va="center", fontsize=12, weight="bold", color=BLUE)
    axes.text(centre, -0.16, what, ha="center", va="center", fontsize=9, color="black")
    axes.text(
        centre, -0.8, package, ha="center", va="center", fontsize=9, family="monospace", color=GREY
    )


def _arrow(axes: Axes, start: float, end: float, height: float, label: str) -> None:
    axes.add_patch(
        FancyArrowPatch(
            (start, height), (end, height), arrowstyle="-|>", mutation_scale=11, color=GREY
        )
    )
    above = height > 0
    axes.text(
        (start + end) / 2,
        height + (0.06 if above else -0.08),
        label,
        ha="center",
        va="bottom" if above else "top",
        fontsize=9,
        color=GREY,
    )


if __name__ == "__main__":
    mpl.rcParams |= {"svg.hashsalt": "audiocodec", "svg.fonttype": "path"}
    draw().savefig(Path(__file__).with_name("road.svg"), metadata={"Date": None})
