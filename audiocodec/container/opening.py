"""Opens .dac files of both kinds, ours and those of the published tool."""

from typing import BinaryIO

from audiocodec.container.header import MAGIC
from audiocodec.container.published import PublishedFile, is_published, read_published
from audiocodec.container.reader import Reader, check_readable
from audiocodec.files import name_of, read_exactly

PREFIX_BYTES = 8  # enough to distinguish the kinds


def open_dac(file: BinaryIO, path: str | None = None) -> Reader | PublishedFile:
    """Open a .dac file: ours as a Reader; one of the published tool is read whole.

    file: a seekable file object, read from its current position. path: the file's name in
    messages. Raises ContainerError for another kind of file, ArgumentError for anything but a
    binary file object.
    """
    check_readable(file)
    position = file.tell()
    prefix = read_exactly(file, PREFIX_BYTES)
    file.seek(position)
    if is_published(prefix):
        return read_published(file, path or name_of(file))
    return Reader(file, path)


def is_dac(file: BinaryIO) -> bool:
    """Whether a file begins as .dac files of either kind do."""
    prefix = read_exactly(file, PREFIX_BYTES)
    return prefix == MAGIC or is_published(prefix)
