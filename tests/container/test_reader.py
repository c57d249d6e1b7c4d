"""Reading: in order, by time, from a pipe; and what is left of damaged and hostile files."""

import io
import struct
import zlib
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container import Block, DacFile, Reader
from audiocodec.container.records import ENTRY, EndRecord, block_bytes, end_bytes
from audiocodec.errors import (
    ContainerError,
    DamagedBlock,
    NotADacFile,
    TruncatedFile,
)
from tests.container.samples import EXAMPLE, HEADER, Pipe, header_of, random_codes, written

FRAMES, PER_BLOCK = 50, 8
LONG = header_of(FRAMES, channels=2, n_codebooks=3)
CODES = random_codes(LONG, FRAMES)
RAW = written(LONG, CODES, PER_BLOCK)
N_HEADER = len(LONG.to_bytes())
N_BLOCK = 20 + 2 * 3 * PER_BLOCK * 10 // 8
N_END = 36 + 6 * -(-FRAMES // PER_BLOCK)
WITHOUT_INDEX = RAW[:-N_END]
LIVE = written(replace(LONG, n_samples=None), CODES, PER_BLOCK)


def joined(blocks):
    """Codes of blocks that follow each other."""
    return np.concatenate([np.zeros((2, 3, 0), np.uint16), *(b.codes for b in blocks)], axis=-1)


def flipped(raw, at, bits=16):
    """The same bytes with one altered."""
    return raw[:at] + bytes([raw[at] ^ bits]) + raw[at + 1 :]


def assembled(blocks, n_samples, header=LONG):
    """A file of these blocks, with an index and an end record that fit them."""
    raws = [block_bytes(block, header) for block in blocks]
    entries = [(len(raw), block.codes.shape[-1]) for raw, block in zip(raws, blocks)]
    n_frames = sum(n for _, n in entries)
    end = end_bytes(EndRecord(n_samples, n_frames, np.array(entries, ENTRY)))
    return header.to_bytes() + b"".join(raws) + end


class Counting(io.BytesIO):
    """Knows how many bytes were read."""

    n_read = 0

    def read(self, n_bytes=-1):
        data = super().read(n_bytes)
        self.n_read += len(data)
        return data


@pytest.mark.parametrize("raw", [RAW, LIVE])
@pytest.mark.parametrize("most", [1, 7, 10**6])
def test_a_pipe_is_read_in_order(raw, most):
    """However little it hands out at a time, and never sought in."""
    reader = Reader(Pipe(raw, most))
    blocks = list(reader.blocks())
    assert [block.first_frame for block in blocks] == list(range(0, FRAMES, PER_BLOCK))
    assert np.array_equal(joined(blocks), CODES)
    assert reader.n_samples == LONG.n_samples


def test_a_live_pipe_tells_its_length_when_it_ends():
    """Until then it is unknown."""
    reader = Reader(Pipe(LIVE))
    assert reader.n_samples is None
    list(reader.blocks())
    assert reader.n_samples == LONG.n_samples


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    first=st.integers(0, FRAMES),
    length=st.integers(1, FRAMES),
    kind=st.sampled_from(["index", "live", "pipe", "recover", "recover without index"]),
)
def test_any_part_equals_that_part_of_the_whole(first, length, kind):
    """With the index, from a pipe, and with the scan that recovers."""
    raw = {"recover without index": WITHOUT_INDEX, "live": LIVE}.get(kind, RAW)
    reader = Reader(Pipe(raw, 100) if kind == "pipe" else io.BytesIO(raw))
    assert reader.has_index == (kind not in ("recover without index", "pipe"))
    stop = min(FRAMES, first + length)
    blocks = list(reader.blocks(kind.startswith("recover"), first, stop))
    assert np.array_equal(joined(blocks), CODES[..., first:stop])
    assert not blocks or blocks[0].first_frame == first


def test_only_the_blocks_that_are_needed_are_read():
    """One block of a file of many: its bytes, and those of the header and the end."""
    n_frames = 8000
    header = header_of(n_frames, channels=2, n_codebooks=3)
    raw = written(header, random_codes(header, n_frames), PER_BLOCK)
    file = Counting(raw)
    (block,) = Reader(file).blocks(first_frame=4001, stop_frame=4007)
    n_end = 36 + 6 * n_frames // PER_BLOCK
    assert block.first_frame == 4001
    assert file.n_read <= len(header.to_bytes()) + N_BLOCK + n_end + 8


def test_damage_elsewhere_does_not_matter_to_a_part():
    """Blocks before and after the part are not looked at."""
    raw = flipped(flipped(RAW, N_HEADER + 30), N_HEADER + 2 * N_BLOCK + 30)
    (block,) = Reader(io.BytesIO(raw)).blocks(first_frame=9, stop_frame=15)
    assert np.array_equal(block.codes, CODES[..., 9:15])


def test_two_parts_can_be_read_one_after_the_other():
    """A reader of a file is not used up."""
    reader = Reader(io.BytesIO(RAW))
    for _ in range(2):
        assert np.array_equal(joined(reader.blocks()), CODES)


def test_a_file_may_start_anywhere_in_its_file_object():
    """What comes before the header is another's."""
    file = io.BytesIO(b"something else" + RAW)
    file.seek(14)
    assert np.array_equal(joined(Reader(file).blocks(first_frame=20)), CODES[..., 20:])


def test_every_flipped_byte_is_noticed():
    """check() tells of each; a reader in order fails or gives the same codes."""
    for at in range(len(RAW)):
        raw = flipped(RAW, at, 1 << at % 8)
        try:
            reader = Reader(io.BytesIO(raw))
        except ContainerError:
            continue
        assert reader.check(), at
        try:
            codes = joined(reader.blocks())
        except ContainerError:
            continue
        assert at >= len(WITHOUT_INDEX)
        assert np.array_equal(codes, CODES)


@pytest.mark.parametrize("whole", [RAW, LIVE])
def test_every_cut_is_noticed(whole):
    """No prefix is taken for a whole file; what is there can be had."""
    n_header = len(Reader(io.BytesIO(whole)).header.to_bytes())
    for n_bytes in range(len(whole)):
        if n_bytes < n_header:
            with pytest.raises((TruncatedFile, NotADacFile)):
                Reader(io.BytesIO(whole[:n_bytes]))
            continue
        reader = Reader(io.BytesIO(whole[:n_bytes]))
        assert reader.check(), n_bytes
        if n_bytes < (len(LIVE) - 8 if whole is LIVE else len(WITHOUT_INDEX)):
            with pytest.raises(TruncatedFile, match="--recover"):
                list(reader.blocks())
        n_intact = min(FRAMES, (n_bytes - n_header) // N_BLOCK * PER_BLOCK)
        kept = joined(reader.blocks(recover=True))
        assert np.array_equal(kept[..., :n_intact], CODES[..., :n_intact])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(bad=st.sets(st.integers(0, 5)), offset=st.integers(0, N_BLOCK - 1), pipe=st.booleans())
def test_intact_blocks_are_recovered(bad, offset, pipe):
    """Every block that was not touched comes back in its place, and no other."""
    raw = RAW
    for index in bad:
        raw = flipped(raw, N_HEADER + index * N_BLOCK + offset)
    blocks = list(Reader(Pipe(raw, 500) if pipe else io.BytesIO(raw)).blocks(recover=True))
    assert [b.first_frame // PER_BLOCK for b in blocks] == sorted(set(range(7)) - bad)
    for block in blocks:
        assert np.array_equal(block.codes, CODES[..., block.first_frame : block.stop_frame])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(first=st.integers(N_HEADER, len(RAW)), length=st.integers(1, 200), junk=st.binary())
def test_recovery_survives_lost_and_foreign_bytes(first, length, junk):
    """A piece cut out or replaced: what comes back is true, and in order."""
    raw = RAW[:first] + junk + RAW[first + length :]
    position = 0
    for block in Reader(io.BytesIO(raw)).blocks(recover=True):
        assert block.first_frame >= position
        position = block.stop_frame
        assert np.array_equal(block.codes, CODES[..., block.first_frame : position])


def test_the_message_says_which_block_and_when():
    """File, block, time, and what to do."""
    raw = flipped(RAW, N_HEADER + 3 * N_BLOCK + 40)
    with pytest.raises(DamagedBlock, match=r"x\.dac: block 3, at 0\.5 s, .*--recover") as info:
        list(Reader(io.BytesIO(raw), "x.dac").blocks())
    assert (info.value.index, info.value.path) == (3, "x.dac")


def test_check_names_the_time_that_is_damaged():
    """In seconds, for a person to listen to."""
    assert Reader(io.BytesIO(RAW)).check() == []
    (problem,) = Reader(io.BytesIO(flipped(RAW, N_HEADER + 2 * N_BLOCK + 40))).check()
    assert problem == "0.32 s to 0.48 s is damaged"


def test_blocks_may_hold_fewer_codebooks():
    """A rate that follows the content: each block says how many it has."""
    blocks = [Block(0, CODES[:, :, :8]), Block(8, CODES[:, :1, 8:16]), Block(16, CODES[..., 16:])]
    raw = assembled(blocks, LONG.n_samples)
    reader = Reader(io.BytesIO(raw))
    assert reader.check() == []
    for read, block in zip(reader.blocks(), blocks, strict=True):
        assert np.array_equal(read.codes, block.codes)
    with pytest.raises(ContainerError, match="codebooks"):
        DacFile.from_bytes(raw)


@pytest.mark.parametrize(
    "blocks",
    [
        [Block(0, CODES[..., :25]), Block(30, CODES[..., 25:])],
        [Block(0, CODES[..., :25]), Block(0, CODES[..., 25:])],
        [Block(2**32 - 1, CODES)],
        [Block(0, CODES[..., :25])],
        [Block(0, CODES), Block(50, CODES)],
    ],
)
def test_sealed_blocks_that_contradict_the_header(blocks):
    """Gaps, repeats, too few or too many frames, though every checksum matches."""
    reader = Reader(io.BytesIO(assembled(blocks, LONG.n_samples)))
    assert reader.check()
    with pytest.raises(ContainerError):
        list(reader.blocks())


def test_a_sealed_end_that_contradicts_the_header():
    """Two lengths in one file: neither is believed."""
    reader = Reader(io.BytesIO(assembled([Block(0, CODES)], LONG.n_samples - 1)))
    assert reader.check()
    with pytest.raises(ContainerError):
        reader.extent()


def sealed_block(n_payload, first, n_frames, n_codebooks, coding, payload):
    """A block that declares what it likes, with a checksum that matches."""
    start = struct.pack("<4sIIHBB", b"\xdaBLK", n_payload, first, n_frames, n_codebooks, coding)
    return start + struct.pack("<I", zlib.crc32(start + payload)) + payload


@pytest.mark.parametrize(
    "block",
    [
        sealed_block(2**32 - 1, 0, 3, 2, 0, bytes(8)),
        sealed_block(2**32 - 1, 0, 65535, 255, 0, bytes(8)),
        sealed_block(2**32 - 1, 0, 3, 2, 1, bytes(8)),
        sealed_block(8, 0, 0, 2, 0, bytes(8)),
        sealed_block(8, 0, 3, 0, 0, bytes(8)),
        sealed_block(12, 0, 3, 3, 0, bytes(12)),
        sealed_block(9, 0, 3, 2, 0, bytes(9)),
        sealed_block(0, 0, 0, 0, 0, b""),
        sealed_block(8, 0, 3, 2, 7, bytes(8)),
        sealed_block(12800, 0, 5120, 2, 0, bytes(12800)),
    ],
    ids=range(10),
)
def test_hostile_blocks(block):
    """Sizes and codings that are not allowed: no crash, no memory, no codes."""
    for end in (b"", EXAMPLE.to_bytes()[-42:]):
        for make in (io.BytesIO, Pipe):
            raw = HEADER.to_bytes() + block + end
            with pytest.raises(ContainerError):
                list(Reader(make(raw)).blocks())
            assert list(Reader(make(raw)).blocks(recover=True)) == []
            assert Reader(make(raw)).check()


def test_codes_beyond_the_codebook():
    """Ten bits hold 1023, a codebook of 1000 does not."""
    header = replace(HEADER, codebook_size=1000)
    raw = header.to_bytes() + EXAMPLE.to_bytes()[len(HEADER.to_bytes()) :]
    with pytest.raises(DamagedBlock, match="out of range"):
        list(Reader(io.BytesIO(raw)).blocks())


@pytest.mark.parametrize("n_blocks", [2, 2**20, 2**32 - 1])
@pytest.mark.parametrize("make", [io.BytesIO, Pipe])
def test_a_hostile_index_is_not_read(make, n_blocks):
    """More blocks than the file can hold are not believed; the codes are all there."""
    blocks = EXAMPLE.to_bytes()[:-42]
    end = struct.pack("<4sQQI", b"\xdaEND", 700, 3, n_blocks)
    raw = blocks + end + bytes(10000) + struct.pack("<I4s", 24 + 10000, b"\xdaIDX")
    reader = Reader(make(raw))
    assert np.array_equal(next(reader.blocks()).codes, EXAMPLE.codes)
    assert not reader.has_index


@pytest.mark.parametrize(
    "entries",
    [
        [(28, 1), (28, 2)],
        [(2**32 - 1, 3)],
        [(27, 3)],
        [(0, 3)],
        [(28, 65535)],
    ],
)
def test_an_index_that_lies(entries):
    """Sealed, but not true: it is not used, or what it leads to is refused."""
    end = EndRecord(700, sum(n for _, n in entries), np.array(entries, ENTRY))
    raw = EXAMPLE.to_bytes()[:-42] + end_bytes(end)
    for first in range(3):
        try:
            (block,) = Reader(io.BytesIO(raw)).blocks(first_frame=first, stop_frame=3)
        except ContainerError:
            continue
        assert np.array_equal(block.codes, EXAMPLE.codes[..., first:])


def test_false_markers_do_not_take_forever():
    """A file made of markers is given up after a bounded effort."""
    fake = struct.pack("<4sIIHBB", b"\xdaBLK", 10240, 0, 4096, 2, 0)
    raw = header_of(4096).to_bytes() + fake * 20000
    file = Counting(raw)
    assert list(Reader(file).blocks(recover=True)) == []
    assert file.n_read < 300 * len(raw) + 10**8


def test_a_small_file_cannot_claim_hours_of_silence():
    """Gaps in a recovered file are bounded by what could have been there."""
    header = replace(HEADER, n_samples=None)
    blocks = [Block(0, EXAMPLE.codes), Block(2**32 - 4, EXAMPLE.codes)]
    raw = header.to_bytes() + b"".join(block_bytes(block, header) for block in blocks)
    assert [b.first_frame for b in Reader(io.BytesIO(raw)).blocks(recover=True)] == [0]


def test_an_empty_sound():
    """No samples, no frames, no blocks: a file nevertheless."""
    header = replace(HEADER, n_samples=0)
    raw = written(header, np.zeros((1, 2, 0), np.uint16))
    reader = Reader(io.BytesIO(raw))
    assert (reader.check(), reader.extent(), list(reader.blocks())) == ([], (0, 0), [])
