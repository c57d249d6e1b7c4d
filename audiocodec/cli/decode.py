"""`audiocodec decode`: .dac files back to sound."""

import os
from functools import partial
from shlex import join, quote
from typing import TYPE_CHECKING, BinaryIO

import argbind

from audiocodec.cli.arguments import words_of
from audiocodec.cli.batch import PIPE, FileTask, dac_files, opened, run_all
from audiocodec.cli.messages import shown_afterwards
from audiocodec.cli.models import revision_of
from audiocodec.cli.operands import Direction
from audiocodec.cli.progress import progress_bar
from audiocodec.container import is_dac, open_dac
from audiocodec.errors import ArgumentError, ContainerError, ModelError
from audiocodec.files import open_binary, stdout

if TYPE_CHECKING:
    from audiocodec.codec import Codec


@argbind.bind(without_prefix=True, positional=True, group="decode")
def decode(
    inputs: str,
    out: str = "",
    model: str = "",
    revision: str = "",
    device: str = "auto",
    codebooks: int = 0,
    start: float = 0.0,
    duration: float = 0.0,
    rate: int = 0,
    format: str = "",
    subtype: str = "",
    recover: bool = False,
    fast: bool = False,
    jobs: int = 1,
    overwrite: bool = False,
    debug: bool = False,
) -> int:
    """Turn .dac files, ours or published ones, back into sound.

    Parameters
    ----------
    inputs : str
        INPUT [OUTPUT], or several inputs: .dac files or folders of them; - for a pipe
    out : str
        folder to write sound files to; left out: beside the inputs
    model : str
        model that made the codes; left out: the one that the file names
    revision : str
        branch, tag or commit of a model on the hub
    device : str
        device to run on: auto, cpu, cuda, cuda:1, mps, ...
    codebooks : int
        number of codebooks to decode with, the first ones; 0: all
    start : float
        seconds to skip at the beginning
    duration : float
        seconds to decode; 0: to the end
    rate : int
        sample rate of the output in Hz; 0: that of the recording (48000 where Opus demands it)
    format : str
        format of the sound file: wav, flac, ogg, ...; left out: that of the output's name, or wav
    subtype : str
        sample encoding of the sound file: PCM_16, PCM_24, FLOAT, VORBIS, ...
    recover : bool
        replace damaged blocks by silence instead of giving up
    fast : bool
        compute in bfloat16 or TF32 where the device has them
    jobs : int
        number of files to work on at the same time
    overwrite : bool
        replace files that exist
    debug : bool
        print the traceback of an error
    """
    new_suffix = f".{format or 'wav'}".lower()
    decoding = Direction("decode", dac_files, new_suffix, _check_input, _check_output)
    todo = decoding.tasks(words_of(inputs), out)
    settings = {
        "start": start,
        "duration": duration or None,
        "n_codebooks": codebooks or None,
        "recover": recover,
        "rate": rate or None,
        "subtype": subtype or None,
        "format": format or None,
        "overwrite": overwrite,
    }
    loading = (model, revision_of(model, revision), device, fast)
    work = partial(_decode, loading, settings)
    return run_all(todo, work, jobs, debug)


def _check_input(name: str) -> None:
    from audiocodec.audio.formats import looks_like_media

    if not looks_like_media(name) or not os.path.isfile(name):
        return
    with open_binary(name) as file:
        if is_dac(file):
            return
    raise ArgumentError(
        f"{name}: is a sound file by its name, and decode reads .dac files; "
        f"`audiocodec encode {quote(name)}` makes one"
    )


def _check_output(source: str, name: str) -> None:
    if name.lower().endswith(".dac") and source != PIPE and os.path.exists(name):
        raise ArgumentError(
            f"{name}: is a .dac file by its name, and the output of decode is a sound file; to "
            f"decode both, write `audiocodec decode {join([source, name])} --out FOLDER`"
        )
    if name.lower().endswith(".dac"):
        raise ArgumentError(
            f"{name}: is a .dac file by its name, and the output of decode is a sound file; "
            f"call it {name[:-4]}.wav, or .flac, .ogg, ..."
        )


def _decode(loading: tuple, settings: dict, task: FileTask, label: str) -> None:
    from audiocodec.codec import LostAudioWarning

    with opened(task.source) as file:
        codec = _codec_for(file, task.source, loading)
        target = stdout() if task.target == PIPE else task.target
        with shown_afterwards(LostAudioWarning), progress_bar(label, codec.sample_rate) as progress:
            codec.decompress(file, target, progress=progress, **settings)


def _codec_for(file: BinaryIO, name: str, loading: tuple) -> "Codec":
    from audiocodec.cli.loading import loaded
    from audiocodec.decompression import named_model

    model, revision, *others = loading
    if model:
        return loaded(*loading)
    named = named_model(open_dac(file, name))
    file.seek(0)
    try:
        return loaded(named, revision_of(named, revision or ""), *others)
    except ModelError as error:  # another file may name another model
        raise ContainerError(f"{name}: {error}") from error
