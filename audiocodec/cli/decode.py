"""`audiocodec decode`: .dac files back to sound."""

import os
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import argbind

from audiocodec.cli.arguments import words_of
from audiocodec.cli.batch import PIPE, Job, dac_files, opened, run_all
from audiocodec.cli.messages import told_afterwards
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
        INPUT [OUTPUT], or several inputs: .dac files and folders of them; - for a pipe
    out : str
        folder for the sound files of one or several inputs; beside the inputs if left out
    model : str
        the model that made the codes; by default the one that the file names
    revision : str
        branch, tag or commit of a hub repository
    device : str
        auto, cpu, cuda, cuda:1, mps
    codebooks : int
        decode with the first ones only; 0: with all
    start : float
        seconds to skip
    duration : float
        seconds to decode; 0: up to the end
    rate : int
        sample rate of the output, Hz; 0: that of the recording (48000 for Opus, if it must be)
    format : str
        wav, flac, ogg, ...; by default that of the output's name, else wav
    subtype : str
        of the sound file: PCM_16, PCM_24, FLOAT, VORBIS, ...
    recover : bool
        put silence where blocks are damaged instead of giving up
    fast : bool
        bfloat16 or TF32 where the device has them
    jobs : int
        files of a folder to work on at the same time
    overwrite : bool
        replace files that exist
    debug : bool
        show where an error came from
    """
    new_suffix = f".{format or 'wav'}".lower()
    decoding = Direction("decode", dac_files, new_suffix, _check_input, _check_output)
    todo = decoding.jobs(words_of(inputs), out)
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
        f"{name}: is sound by its name, and decode reads .dac files; "
        f"`audiocodec encode {name}` makes one"
    )


def _check_output(source: str, name: str) -> None:
    if name.lower().endswith(".dac") and source != PIPE and os.path.exists(name):
        raise ArgumentError(
            f"{name}: is a .dac file by its name, and the output of decode is a sound file; to "
            f"decode both, write `audiocodec decode {source} {name} --out FOLDER`"
        )
    if name.lower().endswith(".dac"):
        raise ArgumentError(
            f"{name}: sound is to be written, and .dac is the name of codes; "
            f"call it {name[:-4]}.wav, or .flac, .ogg, ..."
        )


def _decode(loading: tuple, settings: dict, job: Job, label: str) -> None:
    from audiocodec.codec import LostAudioWarning

    with opened(job.source) as file:
        codec = _codec_for(file, job.source, loading)
        target = stdout() if job.target == PIPE else job.target
        with told_afterwards(LostAudioWarning), progress_bar(label, codec.sample_rate) as progress:
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
