"""FORMAT.md is enough: a reader written from it alone agrees with ours."""

import hashlib
import json
import re
import struct
import zlib
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

import audiocodec.container
from audiocodec.container import DacFile
from tests.container.samples import EXAMPLE, header_of, random_codes, written

FORMAT = Path(audiocodec.container.__file__).with_name("FORMAT.md")


def read_by_the_book(raw):
    """A .dac file by FORMAT.md: fields of the header, tags, codes[channel][codebook], index."""
    assert raw[:9] == b"\x89DAC\r\n\x1a\n\x01"
    at = 13 + int.from_bytes(raw[9:13], "little")
    assert zlib.crc32(raw[:at]) == int.from_bytes(raw[at : at + 4], "little")
    fields = struct.unpack_from("<16sIIIBBIBQd", raw, 13)
    channels, n_codebooks, size = fields[4:7]
    bits = (size - 1).bit_length()

    def text(place):
        stop = place + 2 + int.from_bytes(raw[place : place + 2], "little")
        return raw[place + 2 : stop].decode(), stop

    model, place = text(64)
    tags, n_tags = {}, int.from_bytes(raw[place : place + 2], "little")
    place += 2
    for _ in range(n_tags):
        key, place = text(place)
        tags[key], place = text(place)
    at, blocks, codes = at + 4, [], [[[] for _ in range(n_codebooks)] for _ in range(channels)]
    while raw[at : at + 4] == b"\xdaBLK":
        n_bytes, first, n_frames, n_books, coding, crc = struct.unpack_from("<IIHBBI", raw, at + 4)
        payload = raw[at + 20 : at + 20 + n_bytes]
        assert crc == zlib.crc32(raw[at : at + 16] + payload)
        assert (first, n_books, coding) == (sum(f for _, f in blocks), n_codebooks, 0)
        digits = "".join(f"{byte:08b}" for byte in payload)
        numbers = iter(int(digits[i : i + bits], 2) for i in range(0, len(digits), bits))
        for book in range(n_codebooks):
            for channel in range(channels):
                codes[channel][book] += [next(numbers) for _ in range(n_frames)]
        blocks.append((20 + n_bytes, n_frames))
        at += 20 + n_bytes
    marker, n_samples, n_frames, n_blocks = struct.unpack_from("<4sQQI", raw, at)
    assert (marker, n_frames, n_blocks) == (b"\xdaEND", sum(f for _, f in blocks), len(blocks))
    index = [struct.unpack_from("<IH", raw, at + 24 + 6 * i) for i in range(n_blocks)]
    assert index == blocks
    stop = at + 24 + 6 * n_blocks
    trailer = struct.pack("<II4s", zlib.crc32(raw[at:stop]), stop + 4 - at, b"\xdaIDX")
    assert raw[stop:] == trailer
    return fields, model, tags, codes, n_samples


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    channels=st.integers(1, 3),
    n_codebooks=st.integers(1, 4),
    codebook_size=st.integers(2, 65536),
    n_frames=st.integers(0, 40),
    frames_per_block=st.integers(1, 20),
)
def test_an_independent_reader_agrees(
    channels, n_codebooks, codebook_size, n_frames, frames_per_block
):
    """It finds the same header, tags and codes, every checksum and the index."""
    header = header_of(
        n_frames, channels=channels, n_codebooks=n_codebooks, codebook_size=codebook_size
    )
    codes = random_codes(header, n_frames)
    raw = written(header, codes, frames_per_block)
    fields, model, tags, read, n_samples = read_by_the_book(raw)
    assert fields[0].hex() == header.fingerprint
    assert fields[1:4] == (header.model_rate, header.hop, header.sample_rate)
    assert (model, tags, n_samples) == (header.model, header.tags, header.n_samples)
    assert np.array_equal(np.array(read, np.uint16), codes)


def test_the_fingerprint_is_as_described(small):
    """From the JSON of the text and the tables, with nothing but hashlib."""
    (shape,) = re.findall(r"^   `(\{.*?\})`", FORMAT.read_text("utf-8"), re.M | re.S)
    named = json.loads(shape)
    assert list(named) == sorted(named)
    values = {key: getattr(small.config, key) for key in named}
    digest = hashlib.sha256(json.dumps(values, separators=(",", ":")).encode())
    for stage in small.model.quantizer.stages:
        digest.update(stage.codebook.weight.numpy().astype("<f4").tobytes())
    assert small.fingerprint == digest.digest()[:16].hex()


def test_the_example_in_the_text_is_a_file():
    """The hexadecimal listing can be read, and is what the text says."""
    lines = re.findall(r"^0[0-9a-f]{2}  ((?:[0-9a-f]{2} ?)+)$", FORMAT.read_text("utf-8"), re.M)
    raw = bytes.fromhex("".join(lines))
    assert raw == EXAMPLE.to_bytes()
    assert DacFile.from_bytes(raw).header == EXAMPLE.header
