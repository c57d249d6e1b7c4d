"""The .dac file: FORMAT.md specifies it, these modules read and write it. No torch."""

from audiocodec.container.dacfile import DacFile
from audiocodec.container.header import Header
from audiocodec.container.published import PublishedFile, is_published, read_published
from audiocodec.container.reader import Reader, check_readable
from audiocodec.container.records import Block
from audiocodec.container.writer import Writer

__all__ = [
    "Block",
    "check_readable",
    "DacFile",
    "Header",
    "is_published",
    "PublishedFile",
    "read_published",
    "Reader",
    "Writer",
]
