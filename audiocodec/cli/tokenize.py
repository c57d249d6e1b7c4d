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
    """Encode a corpus to shards of tokens; the same command goes on where it was stopped.

    Parameters
    ----------
    inputs : str
        folders, sound files, manifests (.jsonl, .csv, .parquet) and tars of sound files
    out : str
        folder for the shards, errors.jsonl, and what a restart needs
    format : str
        parquet, webdataset (tars of .dac files) or safetensors
    model : str
        a name (see `audiocodec models`), owner/name on the hub, a folder or a file
    revision : str
        branch, tag or commit of a hub repository
    device : str
        auto, cpu, cuda, cuda:1, mps
    codebooks : int
        use only the first ones; 0: all
    track : int
        which audio track of a video, from 1; 0: the first
    no_normalize : bool
        leave the level alone instead of bringing each item to -16 LUFS
    fast : bool
        bfloat16 or TF32 where the device has them; tokens may differ
    shard_rows : int
        rows of a shard, at most; it also ends when its sound files have 64 MiB
    workers : int
        processes on the CPU, or Ray actors; 0: one a core, or one a GPU with Ray
    engine : str
        local, or ray for a cluster whose machines share the folder
    address : str
        of the Ray cluster; left out: one is started on this machine
    debug : bool
        show where an error came from
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
        say(f"{counted(done.n_errors, 'item')} could not be used; {out}/errors.jsonl tells why")
    return 0 if done.n_rows else 1


class _Bar(tqdm):
    """Knows hours of audio beside its count."""

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
    """Yields what tokenize() calls; None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    bars: list[_Bar] = []

    def update(n_done: int, n_items: int, audio_s: float) -> None:
        if not bars:  # what earlier runs did counts in neither the speed nor the time left
            bars.append(
                _Bar(initial=n_done, total=n_items, bar_format=BAR, leave=False, file=sys.stderr)
            )
        bars[0].audio_s = audio_s
        bars[0].update(n_done - bars[0].n)

    try:
        yield update
    finally:
        for bar in bars:
            bar.close()
