"""Writing: pinned bytes, forwards only, and no file that contradicts itself."""

import io
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container import DacFile, Header, Reader, Writer
from audiocodec.errors import ArgumentError, CodesError
from tests.conftest import Trickle
from tests.container.samples import EXAMPLE, HEADER, Pipe, header_of, random_codes, written

EXAMPLE_HEX = (
    "894441430d0a1a0a0146000000000102030405060708090a0b0c0d0e0f803e000040010000803e0000010200"
    "04000000bc02000000000000000000000000e03f040074696e79010005007469746c6502004869c3eb2709"
    "da424c4b080000000000000003000200145937ea0040200ffdffbff0"
    "da454e44bc020000000000000300000000000000010000001c000000030067bdaf3f22000000da494458"
)
DAC_44KHZ = Header(
    model="a-model-name-of-some-forty-characters-44",
    fingerprint="0" * 32,
    model_rate=44100,
    hop=512,
    sample_rate=44100,
    channels=1,
    n_samples=30 * 44100,
    n_codebooks=9,
    codebook_size=1024,
)


def test_the_bytes_are_pinned(data):
    """The example of FORMAT.md, byte by byte: files written once stay readable."""
    assert EXAMPLE.to_bytes().hex() == EXAMPLE_HEX
    assert (data / "container" / "example.dac").read_bytes().hex() == EXAMPLE_HEX


def test_a_pipe_gets_the_same_bytes():
    """Nothing is sought or read back."""
    pipe = Pipe()
    EXAMPLE.save(pipe)
    assert bytes(pipe.written) == EXAMPLE.to_bytes()


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=20),
    frames_per_block=st.none() | st.integers(1, 300),
    channels=st.integers(1, 8),
    codebook_size=st.integers(2, 65536),
)
def test_the_bytes_do_not_depend_on_how_codes_were_pushed(
    cuts, frames_per_block, channels, codebook_size
):
    """Blocks are the same whatever pieces the codes came in, and read back from a pipe."""
    header = header_of(300, channels=channels, codebook_size=codebook_size)
    codes = random_codes(header, 300)
    pipe = Pipe()
    with Writer(pipe, header, frames_per_block) as writer:
        for piece in np.split(codes, sorted(cuts), axis=-1):
            writer.write(piece)
    assert pipe.written == written(header, codes, frames_per_block)
    assert np.array_equal(DacFile.load(Pipe(pipe.written, most=97)).codes, codes)


@pytest.mark.parametrize("seconds", [30.1, 60])
@pytest.mark.parametrize(("n_codebooks", "channels"), [(9, 1), (9, 2), (18, 1), (32, 1)])
def test_the_real_bit_rate_is_within_two_percent_of_the_nominal(seconds, n_codebooks, channels):
    """A file of 30 s and more, all told, takes at most 1.02 times the bits of its codes."""
    header = replace(
        DAC_44KHZ, n_samples=round(seconds * 44100), n_codebooks=n_codebooks, channels=channels
    )
    n_bytes = len(written(header, random_codes(header, header.n_frames)))
    assert n_bytes * 8 <= 1.02 * header.nominal_kbps * 1000 * seconds


@pytest.mark.parametrize(
    ("channels", "n_codebooks", "n_frames"), [(1, 9, 320), (1, 1, 1024), (8, 255, 64)]
)
def test_blocks_hold_about_four_kibibytes(channels, n_codebooks, n_frames):
    """In steps of 64 frames, never less than 64 or more than 1024."""
    header = header_of(2048, channels=channels, n_codebooks=n_codebooks)
    file = io.BytesIO(written(header, np.zeros((channels, n_codebooks, 2048), np.uint16)))
    assert next(Reader(file).blocks()).codes.shape == (channels, n_codebooks, n_frames)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((2, 3), np.uint16),
        np.zeros((2, 2, 3), np.uint16),
        np.zeros((1, 3, 3), np.uint16),
        np.zeros((1, 2, 3), np.float32),
        np.full((1, 2, 3), 1024),
        np.full((1, 2, 3), -1),
    ],
)
def test_codes_that_do_not_fit_the_header(codes):
    """Another shape, type or range is refused before anything is written."""
    with pytest.raises(CodesError):
        Writer(io.BytesIO(), HEADER).write(codes)
    with pytest.raises(CodesError):
        DacFile(HEADER, codes)


@pytest.mark.parametrize("n_frames", [0, 2, 4])
def test_another_length_than_the_header_says(n_frames):
    """Too few or too many frames are not written off as whole."""
    writer = Writer(io.BytesIO(), HEADER)
    writer.write(np.zeros((1, 2, n_frames), np.uint16))
    with pytest.raises(ArgumentError, match="3"):
        writer.close()


def test_a_length_that_contradicts_the_header():
    """close() may repeat the length, not change it."""
    writer = Writer(io.BytesIO(), HEADER)
    writer.write(EXAMPLE.codes)
    with pytest.raises(ArgumentError):
        writer.close(701)


def test_a_length_below_zero():
    """It is an error, though it makes no frames."""
    with pytest.raises(ArgumentError, match="-1 samples"):
        Writer(io.BytesIO(), replace(HEADER, n_samples=None)).close(-1)


def test_a_live_stream_tells_its_length_at_the_end():
    """Without a length in the header, close() tells it; whole frames if it does not."""
    live = replace(HEADER, n_samples=None)
    for told, expected in ((700, 700), (None, 960)):
        reader = Reader(io.BytesIO(written(live, EXAMPLE.codes, n_samples=told)))
        assert reader.header.n_samples is None
        assert reader.n_samples == expected


def test_an_error_leaves_no_end_record():
    """What was broken off does not look whole."""
    file = io.BytesIO()

    def broken_off():
        with Writer(file, HEADER) as writer:
            writer.write(EXAMPLE.codes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert file.getvalue() == HEADER.to_bytes()


def test_a_closed_container_stays_closed():
    """Closing twice writes one end record; writing after it is an error; the file stays open."""
    file = io.BytesIO()
    writer = Writer(file, HEADER)
    writer.write(EXAMPLE.codes)
    writer.close()
    writer.close()
    assert file.getvalue() == EXAMPLE.to_bytes()
    with pytest.raises(ArgumentError):
        writer.write(EXAMPLE.codes)


@pytest.mark.parametrize("frames_per_block", [-1, 0, 4097])
def test_blocks_have_bounds(frames_per_block):
    """The format allows 1 to 4096 frames."""
    with pytest.raises(ArgumentError):
        Writer(io.BytesIO(), HEADER, frames_per_block)


def test_a_raw_file_that_takes_a_part_at_a_time_gets_all():
    """What is left is written again, where a raw file object says how much it took."""
    whole, trickle = io.BytesIO(), Trickle(10)
    for file in (whole, trickle):
        EXAMPLE.save(file)
    assert trickle.taken == whole.getvalue()
