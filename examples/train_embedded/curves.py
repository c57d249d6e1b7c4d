"""Draw the losses of a run: python examples/train_embedded/curves.py RUN [RUN ...] --out CURVES.svg

Draws each loss that any of the runs logged, smoothed over five lines of the log. The runs follow
each other on the axis of steps. Needs matplotlib.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from audiocodec.lab.train.logs import read_log

mpl.use("svg")
from matplotlib import pyplot as plt

LOSSES = ("mel", "complex", "commitment", "feature", "adversarial", "discriminator", "efficiency")
SMOOTHED = 5  # lines of the log


def smooth(values: np.ndarray) -> np.ndarray:
    """Running mean of values (n,), over fewer values at the edges."""
    window = np.ones(min(SMOOTHED, len(values)))
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def main() -> None:
    """Read the logs, draw, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of training runs, in order")
    parser.add_argument("--out", type=Path, required=True, help="SVG file to write")
    args = parser.parse_args()
    lines, offset = [], 0.0
    for run in args.runs:
        own = read_log(run)
        lines += [line | {"step": line["step"] + offset} for line in own]
        offset = lines[-1]["step"]
    names = [name for name in LOSSES if any(name in line for line in lines)]
    figure, axes = plt.subplots(len(names), 1, figsize=(7, 1.4 * len(names)), sharex=True)
    for axis, name in zip(axes, names):
        points = np.array([(line["step"], line[name]) for line in lines if name in line])
        axis.plot(points[:, 0], smooth(points[:, 1]), linewidth=1)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    figure.tight_layout()
    figure.savefig(args.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
