"""Where a .dac file goes: a path, or a binary file object, a pipe too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from audiocodec.errors import ArgumentError
from audiocodec.files import name_of, output_file

DAC = ".dac"
# of shards, lists, weights and reports; sound and video are known to audio.formats
OTHER_SUFFIXES = (
    *(".parquet", ".tar", ".safetensors", ".csv", ".jsonl", ".json", ".yml", ".yaml"),
    *(".pth", ".pt", ".onnx", ".npy", ".npz", ".zip", ".txt", ".md", ".html", ".py"),
)


@contextmanager
def dac_output(
    target: str | os.PathLike[str] | BinaryIO, overwrite: bool = False
) -> Iterator[BinaryIO]:
    """Open what a .dac file is written to; a path appears whole when the block ends well.

    Raises ArgumentError for a name of another kind of file, OutputExists, OutputError.
    """
    if not isinstance(target, str | os.PathLike):
        yield target
        return
    check_dac_name(target)
    with output_file(target, overwrite) as file:
        yield file


def check_dac_name(path: str | os.PathLike[str]) -> None:
    """Raises ArgumentError where the name of a .dac file to write says that it is something else.

    A name without a suffix, or with one that says nothing, is left to the user.
    """
    if is_other_name(path):
        name = name_of(path)
        raise ArgumentError(
            f"{name}: codes are to be written, and the name is that of another kind of file; "
            f"call it {os.path.splitext(name)[0]}{DAC}"
        )


def is_other_name(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of sound, video or another kind of file than .dac."""
    from audiocodec.audio.formats import looks_like_media  # its package imports soundfile

    return looks_like_media(path) or Path(path).suffix.lower() in OTHER_SUFFIXES
