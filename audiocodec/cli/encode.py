"""`audiocodec encode`: sound files to .dac files."""

from functools import partial
from pathlib import Path

import argbind

from audiocodec.cli.arguments import words_of
from audiocodec.cli.batch import PIPE, Job, run_all
from audiocodec.cli.messages import told_afterwards
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
        INPUT [OUTPUT], or several inputs: sound files and folders of them; - for a pipe
    out : str
        folder for the .dac files of one or several inputs; beside the inputs if left out
    model : str
        a name (see `audiocodec models`), owner/name on the hub, a folder or a file
    revision : str
        branch, tag or commit of a hub repository
    device : str
        auto, cpu, cuda, cuda:1, mps
    codebooks : int
        use only the first ones; 0: all
    bitrate : float
        as many codebooks as fit into so many kbps, all channels together; 0: all
    track : int
        which audio track of a video, from 1; 0: the first
    no_normalize : bool
        leave the level alone instead of bringing it to -16 LUFS
    fast : bool
        bfloat16 or TF32 where the device has them; tokens may differ
    jobs : int
        files of a folder to work on at the same time
    overwrite : bool
        replace files that exist
    debug : bool
        show where an error came from
    """
    from audiocodec.recordings import sound_files

    encoding = Direction("encode", sound_files, ".dac", _check_input, _check_output)
    todo = encoding.jobs(words_of(inputs), out)
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
            f"{name}: is a .dac file by its name; `audiocodec decode {name}` turns it into sound"
        )


def _check_output(source: str, name: str) -> None:
    from audiocodec.audio.formats import looks_like_media

    if looks_like_media(name) and source != PIPE and Path(name).exists():
        raise ArgumentError(
            f"{name}: is a sound file by its name, and the output of encode is a .dac file; to "
            f"encode both, write `audiocodec encode {source} {name} --out FOLDER`"
        )
    check_dac_name(name)


def _encode(loading: tuple, settings: dict, job: Job, label: str) -> None:
    from audiocodec.cli.loading import loaded
    from audiocodec.codec import CutAudioWarning

    codec = loaded(*loading)
    source = stdin() if job.source == PIPE else job.source
    target = stdout() if job.target == PIPE else job.target
    with told_afterwards(CutAudioWarning), progress_bar(label, codec.sample_rate) as progress:
        codec.compress(source, target, progress=progress, **settings)
