"""`audiocodec concat`: .dac files one after the other, without a model."""

import math
from contextlib import ExitStack

import argbind

from audiocodec.cli.arguments import words_of
from audiocodec.cli.batch import PIPE, opened, target_of
from audiocodec.errors import ArgumentError


@argbind.bind(without_prefix=True, positional=True, group="concat")
def concat(
    inputs: str,
    out: str = "",
    gain_db: float = math.nan,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Join .dac files of one model into one file, in order; nothing is encoded again.

    Parameters
    ----------
    inputs : str
        .dac files to read, or - for standard input
    out : str
        .dac file to write, or - for standard output
    gain_db : float
        gain in dB that decoding undoes, needed where files were encoded with different gains;
        0: decode at the level of the encoded audio
    overwrite : bool
        replace a file that exists
    debug : bool
        print the traceback of an error
    """
    from audiocodec.tokens import editing

    names = words_of(inputs)
    if not out:
        raise ArgumentError("give --out with the .dac file to write, or -")
    if names.count(PIPE) > 1:
        raise ArgumentError("standard input can be read once; name - once")
    with ExitStack() as stack:
        files = [stack.enter_context(opened(name)) for name in names]
        editing.concatenate(files, target_of(out), gain_of(gain_db), overwrite)
    return 0


def gain_of(gain_db: float) -> float | None:
    """None where the flag was not given."""
    return None if math.isnan(gain_db) else gain_db
