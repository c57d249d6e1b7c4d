"""Matplotlib figures as SVG: the same figure gives the same bytes, and text stays text.

matplotlib is imported only when a figure is drawn; it comes with the extra "eval".
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "audiocodec",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
}


def svg_of(figure: "Figure", **how: Any) -> str:
    """The text of an SVG file. how: further arguments of savefig."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(file, format="svg", metadata=NO_METADATA, **how)
    return file.getvalue()
