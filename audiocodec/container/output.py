"""Opens the target of a .dac file: a path, or a binary file object such as a pipe."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from audiocodec.errors import ArgumentError, OutputError
from audiocodec.files import name_of, output_file

DAC = ".dac"
# shards, lists, weights and reports; audio.formats knows those of sound and video
OTHER_SUFFIXES = (
    *(".parquet", ".tar", ".safetensors", ".csv", ".jsonl", ".json", ".yml", ".yaml"),
    *(".pth", ".pt", ".onnx", ".npy", ".npz", ".zip", ".txt", ".md", ".html", ".py"),
)


@contextmanager
def dac_output(
    target: str | os.PathLike[str] | BinaryIO, overwrite: bool = False
) -> Iterator[BinaryIO]:
    """Open the target of a .dac file; a path appears, whole, if the `with` block succeeds.

    Raises ArgumentError for a suffix of another kind of file, OutputExists, OutputError.
    """
    if not isinstance(target, str | os.PathLike):
        try:
            yield target
        except OSError as error:  # of the target: what reads a source raises a CodecError
            reason = error.strerror or error
            raise OutputError(f"{name_of(target)}: cannot be written: {reason}") from error
        return
    check_dac_name(target)
    with output_file(target, overwrite) as file:
        yield file


def check_dac_name(path: str | os.PathLike[str]) -> None:
    """Raises ArgumentError if a .dac file is to be written under another kind of file's suffix.

    Names without a suffix, or with an unknown one, are accepted.
    """
    if is_other_name(path):
        name = name_of(path)
        raise ArgumentError(
            f"{name}: codes cannot be written under the suffix of another kind of file; "
            f"call it {os.path.splitext(name)[0]}{DAC}"
        )


def is_other_name(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the suffix of sound, video or another kind of file than .dac."""
    from audiocodec.audio.formats import looks_like_media  # here: imports soundfile

    return looks_like_media(path) or Path(path).suffix.lower() in OTHER_SUFFIXES
