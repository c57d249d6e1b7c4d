"""`audiocodec splice`: a part of one .dac file into another, without a model."""

import math

import argbind

from audiocodec.cli.batch import PIPE, opened, target_of
from audiocodec.cli.concat import gain_of
from audiocodec.cli.crop import span_of
from audiocodec.errors import ArgumentError


@argbind.bind(without_prefix=True, positional=True, group="splice")
def splice(
    input: str,
    insert: str,
    target: str,
    start: float = 0.0,
    duration: float = 0.0,
    insert_start: float = 0.0,
    insert_duration: float = 0.0,
    frames: bool = False,
    gain_db: float = math.nan,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Replace a part of a .dac file by another file, or insert it; nothing is encoded again.

    Parameters
    ----------
    input : str
        a .dac file, or - for standard input
    insert : str
        the .dac file to put into it
    target : str
        the .dac file to write, or -
    start : float
        where, in seconds, to the nearest frame
    duration : float
        seconds of INPUT that give way; 0: none, inf: all up to the end
    insert_start : float
        seconds of INSERT to skip
    insert_duration : float
        seconds of INSERT to take; 0: up to its end
    frames : bool
        starts and durations count frames instead of seconds
    gain_db : float
        for files whose level was changed by different gains: the one that decoding takes back
        from both; 0 leaves them at the level they were encoded at
    overwrite : bool
        replace a file that exists
    debug : bool
        show where an error came from
    """
    from audiocodec.tokens import editing

    if input == insert == PIPE:
        raise ArgumentError("standard input can be read once; name - once")
    at = span_of(start, None if math.isinf(duration) else duration, frames)
    of = span_of(insert_start, insert_duration or None, frames)
    with opened(input) as file, opened(insert) as other:
        to = target_of(target)
        editing.splice(file, other, to, at, of, gain_of(gain_db), overwrite)
    return 0
