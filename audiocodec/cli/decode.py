"""`audiocodec decode`: .dac files back to sound."""

from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import argbind

from audiocodec.cli.batch import PIPE, Job, opened, planned, run_all
from audiocodec.cli.messages import told_afterwards
from audiocodec.cli.models import revision_of
from audiocodec.cli.progress import progress_bar
from audiocodec.container import open_dac
from audiocodec.errors import ContainerError, ModelError
from audiocodec.files import stdout

if TYPE_CHECKING:
    from audiocodec.codec import Codec


@argbind.bind(without_prefix=True, positional=True, group="decode")
def decode(
    input: str,
    output: str,
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
    input : str
        a .dac file, a folder of them, or - for standard input
    output : str
        a sound file (.wav, .flac, .ogg, ...), a folder, or -; beside the input if left out
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
    from audiocodec.recordings import files_in

    todo = planned(
        input, output, partial(files_in, suffixes=(".dac",)), "." + (format or "wav").lower()
    )
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
