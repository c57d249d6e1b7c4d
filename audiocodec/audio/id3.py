"""The tags of an MP3 file: ID3v2.2 to 2.4 at its start, ID3v1 at its end.

Sources: id3.org, "ID3 tag version 2.3.0" and "2.4.0 - Main Structure"; ID3v1.1.
"""

from collections.abc import Iterator
from typing import BinaryIO

from audiocodec.audio.tag_text import tag_text
from audiocodec.files import read_exactly

FRAMES = {  # names of 2.3 and 2.4, and of 2.2
    "title": ("TIT2", "TT2"),
    "artist": ("TPE1", "TP1"),
    "album": ("TALB", "TAL"),
    "date": ("TDRC", "TYER", "TYE"),
    "genre": ("TCON", "TCO"),
    "tracknumber": ("TRCK", "TRK"),
    "comment": ("COMM", "COM"),
    "copyright": ("TCOP", "TCR"),
}
NAMES = {frame.encode(): tag for tag, frames in FRAMES.items() for frame in frames}
ENCODINGS = {
    1: "utf-16",
    2: "utf-16-be",
    3: "utf-8",
}  # by the first byte; 0 should be Latin-1, and often is not
MAX_ID3V2_BYTES = 2**20  # the rest is not read: text comes before pictures
MAX_TEXT_BYTES = 2**14
V1_FIELDS = {"title": (3, 33), "artist": (33, 63), "album": (63, 93), "date": (93, 97)}


def id3_tags(file: BinaryIO) -> dict[str, str]:
    """Read the tags of a file, named as in FRAMES; damaged ones are left out."""
    file.seek(0)
    head = read_exactly(file, 10)
    tags: dict[str, str] = {}
    if head[:3] == b"ID3" and len(head) == 10 and head[3] in (2, 3, 4):
        size = min(_syncsafe(head[6:10]), MAX_ID3V2_BYTES)
        tags = dict(_texts(head[3], head[5], read_exactly(file, size)))
    file.seek(0, 2)
    n_bytes = file.tell()
    file.seek(max(0, n_bytes - 128))
    return _v1_tags(read_exactly(file, 128)) | tags


def _syncsafe(raw: bytes) -> int:
    """Decode an integer of seven bits a byte."""
    number = 0
    for byte in raw:
        number = number << 7 | byte & 0x7F
    return number


def _texts(version: int, flags: int, body: bytes) -> Iterator[tuple[str, str]]:
    """Tags and texts of the frames of an ID3v2 tag."""
    if flags & 0x80 and version < 4:  # unsynchronisation of the whole tag; 2.4 has it in each frame
        body = body.replace(b"\xff\0", b"\xff")
    if flags & 0x40 and version > 2:  # an extended header
        body = body[_syncsafe(body[:4]) + 4 * (version == 3) :]
    n_name, n_head = (3, 6) if version == 2 else (4, 10)
    while len(body) > n_head and body[0]:
        raw_size = body[n_name : 2 * n_name]
        size = _syncsafe(raw_size) if version == 4 else int.from_bytes(raw_size, "big")
        tag = NAMES.get(body[:n_name])
        content = body[n_head : n_head + size]
        if tag and 1 < size <= MAX_TEXT_BYTES and (version == 2 or not body[9] & 0xCE):
            text = _text(content, tag == "comment")
            if text:
                yield tag, text
        body = body[n_head + size :]


def _text(content: bytes, is_comment: bool) -> str:
    """The first text of a frame; for a comment, without its language and description."""
    encoding, content = ENCODINGS.get(content[0]), content[4 if is_comment else 1 :]
    if encoding is None:
        texts = content.split(b"\0")
        return tag_text(texts[1 if is_comment and len(texts) > 1 else 0])
    parts = content.decode(encoding, "replace").split("\0")
    return parts[1 if is_comment and len(parts) > 1 else 0].removeprefix("\ufeff")


def _v1_tags(raw: bytes) -> dict[str, str]:
    if len(raw) < 128 or raw[:3] != b"TAG":
        return {}
    tags = {tag: tag_text(raw[slice(*place)]).strip() for tag, place in V1_FIELDS.items()}
    has_track = raw[125] == 0 and raw[126] > 0
    tags["comment"] = tag_text(raw[97:125] if has_track else raw[97:127]).strip()
    if has_track:
        tags["tracknumber"] = str(raw[126])
    return {tag: text for tag, text in tags.items() if text}
