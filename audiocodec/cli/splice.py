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
    """Insert a part of one .dac file into another, or replace a part; nothing is encoded again.

    Parameters
    ----------
    input : str
        .dac file to read, or - for standard input
    insert : str
        .dac file to insert a part of
    target : str
        .dac file to write, or - for standard output
    start : float
        position in INPUT in seconds, rounded to the nearest frame
    duration : float
        seconds of INPUT to replace; 0: none, inf: to the end
    insert_start : float
        seconds of INSERT to skip
    insert_duration : float
        seconds of INSERT to take; 0: to its end
    frames : bool
        count starts and durations in frames instead of seconds
    gain_db : float
        gain in dB that decoding undoes, needed where files were encoded with different gains;
        0: decode at the level of the encoded audio
    overwrite : bool
        replace a file that exists
    debug : bool
        print the traceback of an error
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
