"""`audiocodec tokenize`: a corpus of audio as shards of tokens."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import argbind
from tqdm import tqdm

from audiocodec.cli.arguments import words_of
from audiocodec.cli.messages import counted, printable, say
from audiocodec.cli.models import revision_of
from audiocodec.cli.operands import check_folder
from audiocodec.errors import ArgumentError
from audiocodec.weights.registry import DEFAULT_MODEL

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} files, {audio}, {remaining} left"


@argbind.bind(without_prefix=True, positional=True, group="tokenize")
def tokenize(
    inputs: str,
    out: str = "",
    format: str = "parquet",
    model: str = DEFAULT_MODEL,
    revision: str = "",
    device: str = "auto",
    codebooks: int = 0,
    track: int = 0,
    no_normalize: bool = False,
    fast: bool = False,
    shard_rows: int = 128,
    workers: int = 0,
    engine: str = "local",
    address: str = "",
    debug: bool = False,
) -> int:
    """Encode a corpus to shards of tokens; the same command resumes a stopped run.

    Parameters
    ----------
    inputs : str
        folders, sound files, manifests (.jsonl, .csv, .parquet) and tars of sound files
    out : str
        folder for the shards, errors.jsonl and the state that resuming needs
    format : str
        format of the shards: parquet, webdataset (tars of .dac files) or safetensors
    model : str
        model to use: a name (see `audiocodec models`), owner/name on the hub, a folder or a file
    revision : str
        branch, tag or commit of a model on the hub
    device : str
        device to run on: auto, cpu, cuda, cuda:1, mps, ...
    codebooks : int
        number of codebooks to use, the first ones; 0: all
    track : int
        audio track of a video to read, counted from 1; 0: the first
    no_normalize : bool
        keep the level of each recording instead of bringing it to -16 LUFS
    fast : bool
        compute in bfloat16 or TF32 where the device has them; tokens may differ
    shard_rows : int
        largest number of rows in a shard, which also ends after 64 MiB of sound files
    workers : int
        number of CPU processes or Ray actors; 0: one per core, with Ray one per GPU
    engine : str
        where to run: local, or ray for a cluster whose machines share the --out folder
    address : str
        address of the Ray cluster; left out: one is started on this machine
    debug : bool
        print the traceback of an error
    """
    if not out:
        raise ArgumentError("give --out with a folder for the shards")
    check_folder(out)
    from audiocodec.tokens.tokenizing import TokenizeSettings
    from audiocodec.tokens.tokenizing import tokenize as run

    settings = TokenizeSettings(
        revision_of(model, revision),
        device,
        "fast" if fast else "exact",
        not no_normalize,
        shard_rows,
        engine,
        address or None,
        track or None,
    )
    began = time.monotonic()
    with _bar() as progress:
        done = run(
            words_of(inputs),
            out,
            model=model,
            format=format,
            n_codebooks=codebooks or None,
            workers=workers,
            settings=settings,
            progress=progress,
        )
    print(
        printable(
            f"{out}: {counted(done.n_rows, 'row')} in {counted(len(done.paths), 'shard')}, "
            f"{done.audio_s / 3600:.3f} hours of audio at {done.kbps:.2f} kbit/s, "
            f"{counted(done.n_errors, 'error')}, {time.monotonic() - began:.1f} s"
        )
    )
    if done.n_errors:
        say(f"{counted(done.n_errors, 'item')} could not be used; {out}/errors.jsonl says why")
    return 0 if done.n_rows else 1


class _CorpusBar(tqdm):
    """Shows hours of audio beside the number of files."""

    audio_s = 0.0

    @property
    def format_dict(self) -> dict[str, Any]:
        values = super().format_dict
        minutes = values["elapsed"] / 60
        per_minute = self.audio_s / 3600 / minutes if minutes else 0.0
        values["audio"] = f"{self.audio_s / 3600:.2f} h of audio, {per_minute:.2f} h/min"
        return values


@contextmanager
def _bar() -> Iterator[Callable[[int, int, float], None] | None]:
    """Yields the progress callback for tokenize(); None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: list[_CorpusBar] = []

    def update(n_done: int, n_items: int, audio_s: float) -> None:
        if not bars:  # work of earlier runs counts neither for the speed nor for the time left
            bars.append(
                _CorpusBar(
                    initial=n_done, total=n_items, bar_format=BAR, leave=False, file=sys.stderr
                )
            )
        bars[0].audio_s = audio_s
        bars[0].update(n_done - bars[0].n)

    try:
        yield update
    finally:
        for bar in bars:
            bar.close()
