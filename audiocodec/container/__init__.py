"""Reads and writes .dac files as FORMAT.md specifies them, without torch."""

from audiocodec.container.codespace import CodeSpace, called
from audiocodec.container.dacfile import DacFile
from audiocodec.container.header import Header
from audiocodec.container.opening import is_dac, open_dac
from audiocodec.container.output import check_dac_name, dac_output, is_other_name
from audiocodec.container.published import PublishedFile, is_published, read_published
from audiocodec.container.reader import Reader, check_readable
from audiocodec.container.records import Block
from audiocodec.container.writer import Writer

__all__ = [
    "Block",
    "called",
    "check_dac_name",
    "check_readable",
    "CodeSpace",
    "dac_output",
    "DacFile",
    "Header",
    "is_dac",
    "is_other_name",
    "is_published",
    "open_dac",
    "PublishedFile",
    "read_published",
    "Reader",
    "Writer",
]
