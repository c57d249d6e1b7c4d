"""`audiocodec truncate`: fewer codebooks, without a model."""

from functools import partial

import argbind

from audiocodec.cli.batch import PIPE, Job, dac_files, opened, planned, run_all
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
        a .dac file, a shard of tokens, a folder of either, or - for standard input
    target : str
        a file, a folder, or -
    codebooks : int
        how many to keep
    overwrite : bool
        replace files that exist
    debug : bool
        show where an error came from
    """
    if codebooks < 1:
        raise ArgumentError("give --codebooks with how many to keep, 1 or more")
    from audiocodec.tokens import editing

    if input != PIPE and editing.is_sharded(input):
        todo = [Job(str(a), str(b)) for a, b in editing.shard_targets(input, target)]
    else:
        todo = planned(input, target, dac_files, ".dac")
    return run_all(todo, partial(_truncate, codebooks, overwrite), 1, debug)


def _truncate(codebooks: int, overwrite: bool, job: Job, label: str) -> None:
    from audiocodec.tokens import editing

    if job.source != PIPE and editing.is_sharded(job.source):
        editing.truncate_shards(job.source, job.target, codebooks, overwrite)
        return
    with opened(job.source) as file:
        target = stdout() if job.target == PIPE else job.target
        editing.truncate(file, target, codebooks, overwrite)
