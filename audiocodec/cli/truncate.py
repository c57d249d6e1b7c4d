"""`audiocodec truncate`: fewer codebooks, without a model."""

from functools import partial

import argbind

from audiocodec.cli.batch import PIPE, FileTask, dac_files, opened, planned, run_all
from audiocodec.errors import ArgumentError
from audiocodec.files import stdout


@argbind.bind(without_prefix=True, positional=True, group="truncate")
def truncate(
    input: str,
    target: str,
    codebooks: int = 0,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Keep the first codebooks of .dac files or shards of tokens; nothing is encoded again.

    Parameters
    ----------
    input : str
        .dac file, shard of tokens, folder of either, or - for standard input
    target : str
        file or folder to write, or - for standard output
    codebooks : int
        number of codebooks to keep, the first ones
    overwrite : bool
        replace files that exist
    debug : bool
        print the traceback of an error
    """
    if codebooks < 1:
        raise ArgumentError("give --codebooks with how many to keep, 1 or more")
    from audiocodec.tokens import editing

    if input != PIPE and editing.is_sharded(input):
        todo = [FileTask(str(a), str(b)) for a, b in editing.shard_targets(input, target)]
    else:
        todo = planned(input, target, dac_files, ".dac")
    return run_all(todo, partial(_truncate, codebooks, overwrite), 1, debug)


def _truncate(codebooks: int, overwrite: bool, task: FileTask, label: str) -> None:
    from audiocodec.tokens import editing

    if task.source != PIPE and editing.is_sharded(task.source):
        editing.truncate_shards(task.source, task.target, codebooks, overwrite)
        return
    with opened(task.source) as file:
        target = stdout() if task.target == PIPE else task.target
        editing.truncate(file, target, codebooks, overwrite)
