"""`audiocodec crop`: a part of a .dac file, without a model."""

from typing import TYPE_CHECKING

import argbind

from audiocodec.cli.batch import opened, target_of
from audiocodec.errors import ArgumentError

if TYPE_CHECKING:
    from audiocodec.tokens.editing import Span


@argbind.bind(without_prefix=True, positional=True, group="crop")
def crop(
    input: str,
    target: str,
    start: float = 0.0,
    duration: float = 0.0,
    frames: bool = False,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Cut a part out of a .dac file, at frame boundaries; nothing is encoded again.

    Parameters
    ----------
    input : str
        .dac file to read, or - for standard input
    target : str
        .dac file to write, or - for standard output
    start : float
        seconds to skip, rounded to the nearest frame
    duration : float
        seconds to keep, rounded to the nearest frame; 0: to the end
    frames : bool
        count --start and --duration in frames instead of seconds
    overwrite : bool
        replace a file that exists
    debug : bool
        print the traceback of an error
    """
    from audiocodec.tokens import editing

    span = span_of(start, duration or None, frames)
    with opened(input) as file:
        editing.crop(file, target_of(target), span, overwrite)
    return 0


def span_of(start: float, duration: float | None, frames: bool) -> "Span":
    """The range that flags give. Raises ArgumentError for a fraction of a frame."""
    from audiocodec.tokens.editing import Frames, Seconds

    if not frames:
        return Seconds(start, duration)
    for number in (start, duration):
        if number is not None and not float(number).is_integer():
            raise ArgumentError(f"{number} frames; with --frames give whole numbers")
    return Frames(int(start), None if duration is None else int(duration))
