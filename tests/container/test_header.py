"""The header: it comes back as it was written, and nothing out of bounds gets in or out."""

import io
import struct
import zlib
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from audiocodec.container import Header
from audiocodec.container.header import ALIGNMENTS, MAX_BODY_BYTES, RATES, UNKNOWN, read_header
from audiocodec.errors import (
    ArgumentError,
    ContainerError,
    DamagedHeader,
    NotADacFile,
    TruncatedFile,
    UnsupportedVersion,
)
from tests.container.samples import HEADER

texts = st.text(st.characters(codec="utf-8"), max_size=20)
rates = st.integers(*RATES)
headers = st.builds(
    Header,
    model=texts,
    fingerprint=st.binary(min_size=16, max_size=16).map(bytes.hex),
    model_rate=rates,
    hop=st.integers(1, 65536),
    sample_rate=rates,
    channels=st.integers(1, 8),
    n_samples=st.none() | st.integers(0, 2**22),
    n_codebooks=st.integers(1, 255),
    codebook_size=st.integers(2, 65536),
    gain=st.floats(1e-30, 1e30),
    alignment=st.sampled_from(ALIGNMENTS),
    tags=st.dictionaries(texts, texts, max_size=4),
)


def resealed(body):
    """A header with this body and a checksum that matches."""
    start = struct.pack("<8sBI", b"\x89DAC\r\n\x1a\n", 1, len(body)) + body
    return start + struct.pack("<I", zlib.crc32(start))


def body_with(offset, raw):
    """The body of the example, altered at one place."""
    body = bytearray(HEADER.to_bytes()[13:-4])
    body[offset : offset + len(raw)] = raw
    return bytes(body)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(header=headers)
def test_a_header_comes_back(header):
    """All fields and tags survive, and its length is told."""
    raw = header.to_bytes()
    assert read_header(io.BytesIO(raw + b"more"), "x") == (header, len(raw))


def test_what_it_computes():
    """Rates and lengths follow from the fields."""
    header = replace(HEADER, model_rate=44100, hop=512, sample_rate=48000, n_samples=48000)
    header = replace(header, channels=2, n_codebooks=9)
    assert header.bits_per_code == 10
    assert header.frame_rate == pytest.approx(86.1328125)
    assert header.nominal_kbps == pytest.approx(2 * 7.751953125)
    assert (header.duration_s, header.n_model_samples, header.n_frames) == (1.0, 44100, 87)


@pytest.mark.parametrize(("size", "bits"), [(2, 1), (3, 2), (1000, 10), (1024, 10), (65536, 16)])
def test_bits_of_a_code(size, bits):
    """As few as hold every entry."""
    assert replace(HEADER, codebook_size=size).bits_per_code == bits


@pytest.mark.parametrize(("n_samples", "n_frames"), [(0, 0), (1, 1), (320, 1), (321, 2)])
def test_frames_of_a_length(n_samples, n_frames):
    """Whole frames, the last one filled up; no frames for no samples."""
    assert replace(HEADER, n_samples=n_samples).n_frames == n_frames


def test_an_unknown_length_makes_everything_that_follows_unknown():
    """A live stream has neither length nor frame count in its header."""
    header = replace(HEADER, n_samples=None)
    assert header.duration_s is header.n_model_samples is header.n_frames is None


@pytest.mark.parametrize(
    "fields",
    [
        {"model_rate": 0},
        {"sample_rate": 999},
        {"sample_rate": 10**6},
        {"hop": 0},
        {"channels": 0},
        {"channels": 9},
        {"n_codebooks": 0},
        {"n_codebooks": 256},
        {"codebook_size": 1},
        {"codebook_size": 65537},
        {"n_samples": -1},
        {"n_samples": 2**60},
        {"gain": 0.0},
        {"gain": -1.0},
        {"gain": 1e-300},
        {"gain": float("nan")},
        {"gain": float("inf")},
        {"alignment": "askew"},
        {"fingerprint": "00"},
        {"fingerprint": "g" * 32},
        {"fingerprint": "0A" * 16},
        {"tags": {str(i): "" for i in range(65536)}},
    ],
)
def test_a_caller_gets_an_argument_error(fields):
    """Values out of bounds are refused when the header is made."""
    with pytest.raises(ArgumentError):
        replace(HEADER, **fields)


@pytest.mark.parametrize("tags", [{"title": 1}, {"title": None}, {"title": b"Hi"}, {1: "one"}])
def test_tags_that_are_no_text(tags):
    """The message names the tag."""
    (key,) = tags
    with pytest.raises(ArgumentError, match=f"tag {key!r} is .*; names and values must be text"):
        replace(HEADER, tags=tags)


@pytest.mark.parametrize("tags", [{"a": "x" * 65536}, {str(i): "x" * 60000 for i in range(18)}])
def test_tags_that_are_too_long(tags):
    """A text or a body beyond its limit is refused when written."""
    with pytest.raises(ArgumentError):
        replace(HEADER, tags=tags).to_bytes()


@pytest.mark.parametrize(
    ("offset", "raw"),
    [
        (16, struct.pack("<I", 0)),
        (20, struct.pack("<I", 2**32 - 1)),
        (24, struct.pack("<I", 2**32 - 1)),
        (28, b"\0"),
        (28, b"\xff"),
        (29, b"\0"),
        (30, struct.pack("<I", 2**32 - 1)),
        (34, b"\x07"),
        (35, struct.pack("<Q", UNKNOWN - 1)),
        (43, struct.pack("<d", float("nan"))),
        (51, struct.pack("<H", 65535)),
        (53, b"\xff\xff\xff\xff"),
        (57, struct.pack("<H", 65535)),
    ],
)
def test_a_sealed_header_that_makes_no_sense(offset, raw):
    """A matching checksum is not believed: every field has bounds."""
    with pytest.raises(DamagedHeader, match="some/file"):
        read_header(io.BytesIO(resealed(body_with(offset, raw))), "some/file")


def test_later_fields_are_ignored():
    """Bytes behind the tags are room to grow."""
    raw = resealed(HEADER.to_bytes()[13:-4] + b"what a later release adds")
    assert read_header(io.BytesIO(raw), "x")[0] == HEADER


def test_a_body_beyond_the_limit_is_not_read():
    """A declared length is checked before anything is read."""
    raw = struct.pack("<8sBI", b"\x89DAC\r\n\x1a\n", 1, MAX_BODY_BYTES + 1)
    with pytest.raises(DamagedHeader, match=str(MAX_BODY_BYTES)):
        read_header(io.BytesIO(raw + bytes(100)), "x")


def test_a_newer_version_says_so():
    """The message names both versions."""
    raw = bytearray(HEADER.to_bytes())
    raw[8] = 9
    with pytest.raises(UnsupportedVersion, match=r"version 9.*version 1"):
        read_header(io.BytesIO(raw), "x")


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF\0\0\0\0WAVEfmt ", b"PK\x03\x04", b"hello\n", b"\x93NUMPY\x01\0", b"\x89PNG"],
)
def test_other_kinds_of_files(data):
    """Sounds, archives, texts and nothing at all are named as not ours."""
    with pytest.raises(NotADacFile, match="some/file"):
        read_header(io.BytesIO(data), "some/file")


def test_every_cut_and_every_flip_of_a_header_is_noticed():
    """No prefix and no altered byte passes."""
    raw = HEADER.to_bytes()
    for n_bytes in range(1, len(raw)):
        with pytest.raises(TruncatedFile):
            read_header(io.BytesIO(raw[:n_bytes]), "x")
    for i in range(len(raw)):
        with pytest.raises(ContainerError):
            read_header(io.BytesIO(raw[:i] + bytes([raw[i] ^ 16]) + raw[i + 1 :]), "x")
