"""Writes ID3v2.4 tags; libsndfile writes UTF-8 text into MP3 files and labels it Latin-1.

Source: id3.org, "ID3 tag version 2.4.0", Main Structure and Native Frames.
"""

from collections.abc import Mapping

from audiocodec.audio.id3 import FRAMES

UTF_8 = b"\x03"


def id3_tag(tags: Mapping[str, str]) -> bytes:
    """Encode tags as the bytes that begin an MP3 file; none if there are no tags."""
    frames = b"".join(_frame(name, value.encode()) for name, value in tags.items())
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames if frames else b""


def _frame(name: str, value: bytes) -> bytes:
    if name == "comment":  # language unknown, no description
        return _framed("COMM", UTF_8 + b"XXX" + b"\0" + value)
    if name in FRAMES:
        return _framed(FRAMES[name][0], UTF_8 + value)
    return _framed("TXXX", UTF_8 + name.upper().encode() + b"\0" + value)


def _framed(name: str, body: bytes) -> bytes:
    return name.encode() + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(n: int) -> bytes:
    """Encode 28 bits in four bytes, the highest bit of each 0."""
    return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))
