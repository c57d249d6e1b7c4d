"""A progress bar with the real-time factor and the time left, on terminals only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from audiocodec.cli.messages import printable

READING = "{desc}: reading"
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} s, {speed} real time, {remaining} left"


class _FileBar(tqdm):
    """Shows the speed as a multiple of real time."""

    @property
    def format_dict(self) -> dict[str, Any]:
        values = super().format_dict
        rate = values["rate"] or (values["n"] / values["elapsed"] if values["elapsed"] else 0)
        values["speed"] = f"{rate:.1f}x"
        return values


@contextmanager
def progress_bar(label: str, sample_rate: int) -> Iterator[Callable[[int, int], None] | None]:
    """Yields a progress callback for Codec.compress and decompress.

    It takes samples done and samples in all. None without a label or a terminal.
    """
    if not label or not sys.stderr.isatty():
        yield None
        return
    with _FileBar(
        total=1.0, desc=printable(label), bar_format=READING, leave=False, file=sys.stderr
    ) as bar:

        def update(n_done: int, n_total: int) -> None:
            if bar.bar_format != BAR:
                bar.bar_format = BAR
                bar.reset(n_total / sample_rate)
            bar.update(n_done / sample_rate - bar.n)

        yield update
