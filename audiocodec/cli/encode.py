"""`audiocodec encode`: sound files to .dac files."""

from functools import partial
from pathlib import Path
from shlex import join, quote

import argbind

from audiocodec.cli.arguments import words_of
from audiocodec.cli.batch import PIPE, FileTask, run_all
from audiocodec.cli.messages import shown_afterwards
from audiocodec.cli.models import revision_of
from audiocodec.cli.operands import Direction
from audiocodec.cli.progress import progress_bar
from audiocodec.container import check_dac_name
from audiocodec.errors import ArgumentError
from audiocodec.files import stdin, stdout
from audiocodec.weights.registry import DEFAULT_MODEL


@argbind.bind(without_prefix=True, positional=True, group="encode")
def encode(
    inputs: str,
    out: str = "",
    model: str = DEFAULT_MODEL,
    revision: str = "",
    device: str = "auto",
    codebooks: int = 0,
    bitrate: float = 0.0,
    track: int = 0,
    no_normalize: bool = False,
    fast: bool = False,
    jobs: int = 1,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Compress sound files to .dac files.

    Parameters
    ----------
    inputs : str
        INPUT [OUTPUT], or several inputs: sound files or folders of them; - for a pipe
    out : str
        folder to write .dac files to; left out: beside the inputs
    model : str
        model to use: a name (see `audiocodec models`), owner/name on the hub, a folder or a file
    revision : str
        branch, tag or commit of a model on the hub
    device : str
        device to run on: auto, cpu, cuda, cuda:1, mps, ...
    codebooks : int
        number of codebooks to use, the first ones; 0: all
    bitrate : float
        largest bit rate in kbps, all channels together: use as many codebooks as fit; 0: all
    track : int
        audio track of a video to read, counted from 1; 0: the first
    no_normalize : bool
        keep the level of the recording instead of bringing it to -16 LUFS
    fast : bool
        compute in bfloat16 or TF32 where the device has them; tokens may differ
    jobs : int
        number of files to work on at the same time
    overwrite : bool
        replace files that exist
    debug : bool
        print the traceback of an error
    """
    from audiocodec.recordings import sound_files

    encoding = Direction("encode", sound_files, ".dac", _check_input, _check_output)
    todo = encoding.tasks(words_of(inputs), out)
    settings = {
        "n_codebooks": codebooks or None,
        "kbps": bitrate or None,
        "track": track or None,
        "normalize": not no_normalize,
        "overwrite": overwrite,
    }
    work = partial(_encode, (model, revision_of(model, revision), device, fast), settings)
    return run_all(todo, work, jobs, debug)


def _check_input(name: str) -> None:
    if name.lower().endswith(".dac"):
        raise ArgumentError(
            f"{name}: is a .dac file by its name; "
            f"`audiocodec decode {quote(name)}` turns it into sound"
        )


def _check_output(source: str, name: str) -> None:
    from audiocodec.audio.formats import looks_like_media

    if looks_like_media(name) and source != PIPE and Path(name).exists():
        raise ArgumentError(
            f"{name}: is a sound file by its name, and the output of encode is a .dac file; to "
            f"encode both, write `audiocodec encode {join([source, name])} --out FOLDER`"
        )
    check_dac_name(name)


def _encode(loading: tuple, settings: dict, task: FileTask, label: str) -> None:
    from audiocodec.cli.loading import loaded
    from audiocodec.codec import CutAudioWarning

    codec = loaded(*loading)
    source = stdin() if task.source == PIPE else task.source
    target = stdout() if task.target == PIPE else task.target
    with shown_afterwards(CutAudioWarning), progress_bar(label, codec.sample_rate) as progress:
        codec.compress(source, target, progress=progress, **settings)
