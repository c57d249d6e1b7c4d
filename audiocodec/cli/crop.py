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
    """Cut a part out of a .dac file, on boundaries of frames; nothing is encoded again.

    Parameters
    ----------
    input : str
        a .dac file, or - for standard input
    target : str
        a .dac file, or -
    start : float
        seconds to skip, to the nearest frame
    duration : float
        seconds to keep, to the nearest frame; 0: up to the end
    frames : bool
        start and duration count frames instead of seconds
    overwrite : bool
        replace a file that exists
    debug : bool
        show where an error came from
    """
    from audiocodec.tokens import editing

    span = span_of(start, duration or None, frames)
    with opened(input) as file:
        editing.crop(file, target_of(target), span, overwrite)
    return 0


def span_of(start: float, duration: float | None, frames: bool) -> "Span":
    """A range from flags. Raises ArgumentError for a part of a frame."""
    from audiocodec.tokens.editing import Frames, Seconds

    if not frames:
        return Seconds(start, duration)
    for number in (start, duration):
        if number is not None and not float(number).is_integer():
            raise ArgumentError(f"{number} frames; with --frames give whole numbers")
    return Frames(int(start), None if duration is None else int(duration))
