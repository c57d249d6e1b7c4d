"""Reads FLAC files; joined ones, and those without length that end with tags, too.

Sources: RFC 9639 (FLAC), sections 8.1 and 8.2; ID3v1; Hydrogenaudio wiki, "APEv2 specification".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import BinaryIO

from audiocodec.audio.byte_window import ByteWindow
from audiocodec.audio.file_view import Span, file_view
from audiocodec.audio.joined import StreamPiece, joined, tell_cut
from audiocodec.audio.mp3_header import tag_bytes
from audiocodec.audio.sndfile import UNKNOWN_LENGTH, decoded, open_sndfile, sound_info
from audiocodec.audio.source import AudioSource, UnknownFormat
from audiocodec.errors import AudioError
from audiocodec.files import file_errors

# the marker and the head of STREAMINFO, which comes first; sound has it once in 2^63 bytes
STREAM_START, N_START_BYTES = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"), 8
MAX_STREAMS = 10_000  # opening so many takes seconds
MAX_METADATA_BLOCKS = 1000
MAX_END_TAGS = 4


def open_flac(file: BinaryIO, name: str) -> AudioSource:
    """Open one FLAC stream, or several that follow each other. The caller closes the file.

    Raises UnknownFormat, or AudioError for a file that cannot be used. Warns with CutAudioWarning
    of streams that cannot be joined to the first.
    """
    with file_errors(name):
        window = ByteWindow(file)
        starts = list(islice(_stream_starts(window), MAX_STREAMS + 1))
    if not starts:
        raise UnknownFormat("not FLAC")
    spans = list(zip([0, *starts[1:]], [*starts[1:], window.size], strict=True))
    if len(spans) == 1:
        has_length = sound_info(file, name).n_samples < UNKNOWN_LENGTH
        return open_sndfile(file if has_length else _without_tags(file, name, spans[0]), name)
    return joined(name, _pieces(file, name, spans))


def _stream_starts(window: ByteWindow) -> Iterator[int]:
    """Find where streams begin; none if the file does not begin with one."""
    position = tag_bytes(window.at(0, 10))
    if not STREAM_START.match(window.at(position, N_START_BYTES)):
        return
    while position >= 0:
        yield position
        sound = _behind_metadata(window, position + len("fLaC"))
        position = window.search(STREAM_START, N_START_BYTES, sound)


def _behind_metadata(window: ByteWindow, position: int) -> int:
    """Where the frames of a stream begin; pictures in the metadata are not searched."""
    for _ in range(MAX_METADATA_BLOCKS):
        head = window.at(position, 4)
        position += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 0x80:
            break
    return position


def _pieces(file: BinaryIO, name: str, spans: Sequence[Span]) -> list[StreamPiece]:
    """The streams up to the first that cannot be opened, of which it warns."""
    pieces: list[StreamPiece] = []
    for span in spans:
        try:
            if len(pieces) == MAX_STREAMS:
                raise AudioError(f"{name}: more than {MAX_STREAMS} streams")
            pieces.append(_piece(file, name, span))
        except AudioError:
            if not pieces:
                raise
            used_s = sum(piece.n_samples for piece in pieces) / pieces[0].info.sample_rate
            tell_cut(f"{name}: only the first {used_s:.1f} s are used; what follows cannot be read")
            break
    return pieces


def _piece(file: BinaryIO, name: str, span: Span) -> StreamPiece:
    view = file_view(file, [span])
    info = sound_info(view, name)
    if info.n_samples >= UNKNOWN_LENGTH:
        view = _without_tags(file, name, span)
        info = replace(info, n_samples=sum(len(block) for block in decoded(view, name)))
    return StreamPiece(info, partial(decoded, view, name))


def _without_tags(file: BinaryIO, name: str, span: Span) -> BinaryIO:
    """A stream without the tags behind it, of which libsndfile says that it lost its sync."""
    with file_errors(name):
        return file_view(file, [(span[0], _before_tags(ByteWindow(file), span))])


def _before_tags(window: ByteWindow, span: Span) -> int:
    """Where ID3v1 and APE tags begin that end at the end of a span; its end if there are none."""
    start, stop = span
    for _ in range(MAX_END_TAGS):
        n_bytes, foot = 0, window.at(max(start, stop - 32), 32)
        if window.at(max(start, stop - 128), 3) == b"TAG":
            n_bytes = 128
        elif foot[:8] == b"APETAGEX" and len(foot) == 32:
            has_header = foot[23] & 0x80
            n_bytes = int.from_bytes(foot[12:16], "little") + (32 if has_header else 0)
        if not 0 < n_bytes <= stop - start:
            break
        stop -= n_bytes
    return stop
