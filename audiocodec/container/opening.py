"""Which kind of .dac file one is: told here, for all who open one."""

from typing import BinaryIO

from audiocodec.container.header import MAGIC
from audiocodec.container.published import PublishedFile, is_published, read_published
from audiocodec.container.reader import Reader, check_readable
from audiocodec.files import name_of, read_exactly

PREFIX_BYTES = 8  # tell one kind from another


def open_dac(file: BinaryIO, path: str | None = None) -> Reader | PublishedFile:
    """Open a .dac file: one of ours as a Reader, one of the published tool read whole.

    file: a file object that can be sought in, read from where it stands. path: what the file is
    called in messages. Raises ContainerError for another kind of file, ArgumentError for what is
    no binary file object.
    """
    check_readable(file)
    position = file.tell()
    prefix = read_exactly(file, PREFIX_BYTES)
    file.seek(position)
    if is_published(prefix):
        return read_published(file, path or name_of(file))
    return Reader(file, path)


def is_dac(file: BinaryIO) -> bool:
    """Whether a file begins as a .dac file of either kind does."""
    prefix = read_exactly(file, PREFIX_BYTES)
    return prefix == MAGIC or is_published(prefix)
