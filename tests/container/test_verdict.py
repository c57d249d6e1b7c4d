"""Whether a file is whole: one verdict, whichever way it is read."""

import io
import struct
import zlib

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container import DacFile, Reader
from audiocodec.container.records import ENTRY
from audiocodec.errors import ContainerError
from tests.container.samples import EXAMPLE, HEADER, Pipe, contradictory, random_codes, written

CONTRADICTORY = contradictory()


def in_parts(raw):
    """A frame at a time, as one who crops does."""
    reader = Reader(io.BytesIO(raw))
    _, n_frames = reader.extent()
    for frame in range(n_frames):
        list(reader.blocks(first_frame=frame, stop_frame=frame + 1))


def checked(raw, make=io.BytesIO):
    """What info asks; raises for a file with problems."""
    problems = Reader(make(raw)).check()
    if problems:
        raise ContainerError("; ".join(problems))


WAYS = {
    "in order": lambda raw: list(Reader(io.BytesIO(raw)).blocks()),
    "pipe": lambda raw: list(Reader(Pipe(raw)).blocks()),
    "in parts": in_parts,
    "load": DacFile.from_bytes,
    "check": checked,
    "check of a pipe": lambda raw: checked(raw, Pipe),
}


def verdicts(raw):
    """What each way of reading says: an error, or None."""
    said = {}
    for name, way in WAYS.items():
        try:
            way(raw)
        except ContainerError as error:
            said[name] = error
        else:
            said[name] = None
    return said


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_a_contradictory_file_is_refused_whichever_way_it_is_read(name):
    """By whole readers, by readers of parts, and by pipes; each says so in one line."""
    said = verdicts(CONTRADICTORY[name])
    assert None not in said.values(), said
    for error in said.values():
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", [name for name in CONTRADICTORY if name[:3] != "no "])
def test_its_intact_blocks_can_be_recovered(name):
    """Refused does not mean lost."""
    first = next(Reader(io.BytesIO(CONTRADICTORY[name])).blocks(recover=True))
    n_codebooks = first.codes.shape[1]
    assert np.array_equal(first.codes, EXAMPLE.codes[:, :n_codebooks])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a byte behind", "other bytes follow its end"),
        ("no end", "its end is missing"),
        ("end of another length", "700 samples at its start, and 701"),
        ("a wrong trailer", "its end record is damaged"),
    ],
)
def test_the_message_says_what_is_wrong(name, message):
    """And how to have what is there."""
    with pytest.raises(ContainerError, match=f"{message}.*--recover"):
        Reader(io.BytesIO(CONTRADICTORY[name])).extent()


LONG = written(HEADER, EXAMPLE.codes, 1)


def resealed(raw):
    """The bytes with the checksums of header, blocks and end record made to match, where found."""
    raw = bytearray(raw)
    n_body = min(int.from_bytes(raw[9:13], "little"), len(raw))
    if 13 + n_body + 4 <= len(raw):
        raw[13 + n_body : 17 + n_body] = struct.pack("<I", zlib.crc32(raw[: 13 + n_body]))
    at = raw.find(b"\xdaBLK")
    while at >= 0:
        if at + 20 > len(raw):
            break
        n_bytes = int.from_bytes(raw[at + 4 : at + 8], "little")
        payload = bytes(raw[at + 20 : at + 20 + n_bytes])
        raw[at + 16 : at + 20] = struct.pack("<I", zlib.crc32(bytes(raw[at : at + 16]) + payload))
        at = raw.find(b"\xdaBLK", at + 20)
    end = raw.find(b"\xdaEND")
    if 0 <= end <= len(raw) - 24:
        stop = end + 24 + ENTRY.itemsize * int.from_bytes(raw[end + 20 : end + 24], "little")
        if stop + 12 <= len(raw):
            raw[stop : stop + 4] = struct.pack("<I", zlib.crc32(raw[end:stop]))
    return bytes(raw)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(data=st.data())
def test_readers_agree_about_mutated_files(data):
    """Whatever is altered and sealed again, all accept a file or none does."""
    raw = bytearray(data.draw(st.sampled_from([LONG, *CONTRADICTORY.values()])))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        kind = data.draw(st.sampled_from(["set", "add", "cut", "copy"]))
        if kind == "set":
            raw[at : at + 1] = bytes([data.draw(st.sampled_from([0, 1, 2, 3, 6, 28, 127, 255]))])
        elif kind == "add":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=3))
        elif kind == "cut":
            del raw[at : at + data.draw(st.integers(1, 30))]
        else:
            start = data.draw(st.integers(0, len(raw)))
            raw[at:at] = raw[start : start + 36]
    raw = resealed(raw)
    try:
        Reader(io.BytesIO(raw))
    except ContainerError:
        return
    said = verdicts(raw)
    if any("codebooks; read them with" in str(error) for error in said.values()):
        del said["load"]  # a legal file, for which DacFile has no room
    assert len({error is None for error in said.values()}) == 1, said


def test_every_way_accepts_what_is_whole():
    """So that the refusals above mean something."""
    for raw in (EXAMPLE.to_bytes(), LONG, written(HEADER, random_codes(HEADER, 3), 2)):
        assert set(verdicts(raw).values()) == {None}
