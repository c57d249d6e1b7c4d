"""Files made on purpose: little memory and bounded effort, whatever they declare."""

import io
import struct
import tracemalloc
import zlib
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest

from audiocodec.container import Block, DacFile, Reader, read_published
from audiocodec.container.records import BLOCK, END_MARKER, block_bytes, read_block
from audiocodec.errors import CodesError, ContainerError
from tests.container.samples import EXAMPLE, HEADER, Pipe, header_of, random_codes, written

BLOCKS = EXAMPLE.to_bytes()[:-42]  # the header and the one block, without the end
WIDE = replace(HEADER, n_codebooks=255, codebook_size=65536, n_samples=None)
NPY = b"\x93NUMPY\x01\0v\0" + b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117)


class Counting(io.BytesIO):
    """Knows how many bytes were read."""

    n_read = 0

    def read(self, n_bytes=-1):
        data = super().read(n_bytes)
        self.n_read += len(data)
        return data


@contextmanager
def little_memory(most=2**22):
    """Fails if more than so many bytes were taken at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def sealed(raw):
    """The bytes with a checksum that matches."""
    return raw + struct.pack("<I", zlib.crc32(raw))


def header_with(n_body=None, n_tags=1, n_samples=700):
    """The header of the example, declaring what it likes."""
    body = bytearray(HEADER.to_bytes()[13:-4])
    body[35:43] = struct.pack("<Q", n_samples)
    body[57:59] = struct.pack("<H", n_tags)
    start = struct.pack("<8sBI", b"\x89DAC\r\n\x1a\n", 1, len(body) if n_body is None else n_body)
    return sealed(start + bytes(body))


@pytest.mark.parametrize("make", [io.BytesIO, Pipe])
@pytest.mark.parametrize(
    "raw",
    [
        header_with(n_body=2**32 - 1),
        header_with(n_body=2**20),
        header_with(n_tags=65535),
        header_with(n_samples=2**64 - 2),
        header_with(n_samples=320 * (2**32 - 1)),
        BLOCKS + sealed(struct.pack("<4sQQI", END_MARKER, 700, 3, 2**32 - 1)),
        WIDE.to_bytes() + sealed(struct.pack("<4sQQI", END_MARKER, 2**64 - 1, 2**64 - 1, 0)),
        WIDE.to_bytes() + struct.pack("<4sIIHBB", b"\xdaBLK", 4096 * 255 * 2, 0, 4096, 255, 0),
    ],
    ids=range(8),
)
def test_declared_sizes_take_no_memory(make, raw):
    """Body, tags, samples, blocks, payload: checksums match, but nothing is behind the numbers."""
    with little_memory():
        with suppress(ContainerError):
            list(Reader(make(raw)).blocks())
        with suppress(ContainerError):
            list(Reader(make(raw)).blocks(recover=True))
        with suppress(ContainerError):
            DacFile.from_bytes(raw)
        with suppress(ContainerError):
            Reader(make(raw)).check()


def test_a_large_block_takes_a_few_times_its_bytes():
    """Of 16 bits a code, as of ten: written and read."""
    for codebook_size in (1024, 65536):
        header = header_of(4096, n_codebooks=255, codebook_size=codebook_size)
        codes = random_codes(header, 4096)
        with little_memory(5 * codes.nbytes):
            raw = block_bytes(Block(0, codes), header)
        with little_memory(5 * codes.nbytes):
            block = read_block(raw[: BLOCK.size], io.BytesIO(raw[BLOCK.size :]), header)
        assert np.array_equal(block.codes, codes)


def nested(n_blocks, first_frame):
    """Intact blocks inside the payloads of intact blocks, all of the same first frame."""
    header, raw = replace(HEADER, n_codebooks=1, codebook_size=65536, n_samples=None), b""
    for _ in range(n_blocks):
        codes = np.frombuffer(raw + bytes(2), ">u2").reshape(1, 1, -1)
        raw = block_bytes(Block(first_frame, codes), header)
    return header.to_bytes() + raw


@pytest.mark.parametrize("n_codes", [1, 4096])
def test_false_markers(n_codes):
    """Each leads to bytes that are read in vain, but only so often."""
    fake = struct.pack("<4sIIHBB", b"\xdaBLK", 2 * n_codes, 0, n_codes, 1, 0)
    file = Counting(replace(HEADER, n_codebooks=1, codebook_size=65536).to_bytes() + fake * 20_000)
    assert list(Reader(file).blocks(recover=True)) == []
    assert file.n_read < 70 * 2**20


def test_blocks_inside_blocks():
    """Intact ones that are out of place cost as much effort as damaged ones."""
    file = Counting(nested(370, first_frame=2**32 - 1) * 60)
    assert list(Reader(file).blocks(recover=True)) == []
    assert file.n_read < 70 * 2**20


def test_one_block_where_others_are_inside():
    """An intact block is one block, whatever its payload looks like."""
    (block,) = Reader(io.BytesIO(nested(50, first_frame=0))).blocks(recover=True)
    assert block.first_frame == 0


def test_small_blocks_are_recovered_without_reading_much_in_vain():
    """The smallest blocks there are, all intact, are not held against a file."""
    header = header_of(3000, n_codebooks=1, codebook_size=2)
    file = Counting(written(header, random_codes(header, 3000), 1))
    assert len(list(Reader(file).blocks(recover=True))) == 3000
    assert file.n_read < 250 * len(file.getvalue())


@pytest.mark.parametrize("junk", [b"\xdaBLK", b"\xdaBLK" * 50, b"\xda\xdaB\xdaEND\xdaIDX" * 9])
def test_markers_in_garbage_between_blocks(junk):
    """Whatever stands between them, the blocks are found."""
    header = header_of(48)
    codes = random_codes(header, 48)
    raw, n_header = written(header, codes, 16), len(header.to_bytes())
    n_block = 20 + 2 * 16 * 10 // 8
    parts = [raw[n_header + i * n_block :][:n_block] for i in range(3)]
    blocks = Reader(io.BytesIO(raw[:n_header] + junk + junk.join(parts) + junk))
    found = np.concatenate([block.codes for block in blocks.blocks(recover=True)], axis=-1)
    assert np.array_equal(found, codes)
    assert "index" in blocks.check()[0]


def test_a_file_in_hand_is_whole_or_an_error():
    """Each byte altered, each prefix: the codes are those that were written, or none."""
    for header in (HEADER, replace(HEADER, n_samples=None)):
        raw = written(header, EXAMPLE.codes, 2, 700)
        cuts = [raw[:n] for n in range(len(raw))]
        flips = [
            raw[:i] + bytes([raw[i] ^ b]) + raw[i + 1 :]
            for i in range(len(raw))
            for b in (1, 64, 255)
        ]
        for altered in cuts + flips:
            with suppress(ContainerError):
                file = DacFile.from_bytes(altered)
                assert file.header == EXAMPLE.header
                assert np.array_equal(file.codes, EXAMPLE.codes)


def test_codes_of_another_length_than_the_header_says():
    """They are refused when they meet, not when they are saved."""
    with pytest.raises(CodesError, match=r"2 frames.*700 samples make 3"):
        DacFile(HEADER, EXAMPLE.codes[..., :2])


def laughs(empty, grow, n_levels=60):
    """A value in a value in a value, each of them twice."""
    pickled = b"\x80\x04" + empty + b"\x94"
    for level in range(n_levels):
        pickled += grow(bytes([level])) + b"\x94"
    return pickled


def twice_as_a_tuple(level):
    return b"h" + level + b"h" + level + b"\x86"


def twice_as_a_list(level):
    return b"](h" + level + b"h" + level + b"e"


@pytest.mark.parametrize(
    "pickled",
    [
        laughs(b")", twice_as_a_tuple) + b".",
        laughs(b")", twice_as_a_tuple) + b"}h\x3cNs.",
        laughs(b")", twice_as_a_tuple) + b"cnumpy\ndtype\n" + b"h\x3c\x85R.",
        laughs(b"]", twice_as_a_list) + b".",
        b"\x80\x04]\x94\x95" + bytes(8) + b"\x94h\x00h\x01\x86.",
        b"\x80\x04X" + struct.pack("<I", 2**17) + b"x" * 2**17 + b"\x94" + b"h\0" * 900 + b".",
        b"\x80\x04" + b"\x85" * 900 + b".",
        b"\x80\x04)" + b"\x85" * 900 + b".",
    ],
    ids=range(8),
)
def test_pickles_that_grow(pickled):
    """A few bytes that would take forever to look through, or much memory, are refused at once."""
    with little_memory(), pytest.raises(ContainerError, match="some/file") as info:
        read_published(io.BytesIO(NPY + b"\n" + pickled), "some/file")
    assert len(str(info.value)) < 400


def test_long_names_make_no_long_messages():
    """What a file says of itself is cut before it is shown."""
    pickled = b"\x80\x04c" + b"a" * 10**5 + b"\nb\n."
    with pytest.raises(ContainerError) as info:
        read_published(io.BytesIO(NPY + b"\n" + pickled), "some/file")
    assert len(str(info.value)) < 400
