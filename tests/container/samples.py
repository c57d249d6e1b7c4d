"""Small files for the tests of the container."""

import io
from dataclasses import replace

import numpy as np

from audiocodec.container import Block, DacFile, Header, Writer
from audiocodec.container.records import ENTRY, EndRecord, block_bytes, end_bytes

HEADER = Header(
    model="tiny",
    fingerprint="000102030405060708090a0b0c0d0e0f",
    model_rate=16000,
    hop=320,
    sample_rate=16000,
    channels=1,
    n_samples=700,
    n_codebooks=2,
    codebook_size=1024,
    gain=0.5,
    tags={"title": "Hi"},
)
EXAMPLE = DacFile(HEADER, np.array([[[1, 2, 3], [1021, 1022, 1023]]], np.uint16))


def header_of(n_frames, **fields):
    """A header for so many whole frames."""
    header = replace(HEADER, **fields)
    model_samples = n_frames * header.hop
    return replace(header, n_samples=model_samples * header.sample_rate // header.model_rate)


def random_codes(header, n_frames, seed=0):
    """Seeded codes, uint16 (channels, n_codebooks, n_frames)."""
    shape = (header.channels, header.n_codebooks, n_frames)
    return np.random.default_rng(seed).integers(0, header.codebook_size, shape, np.uint16)


def written(header, codes, frames_per_block=None, n_samples=None):
    """The bytes of a file with blocks of so many frames."""
    file = io.BytesIO()
    with Writer(file, header, frames_per_block) as writer:
        writer.write(codes)
        writer.close(n_samples)
    return file.getvalue()


class Pipe:
    """A file that only goes forwards, and hands out little at a time."""

    def __init__(self, data=b"", most=7):
        self.source, self.most, self.written = io.BytesIO(data), most, bytearray()

    def read(self, n_bytes=-1):
        return self.source.read(self.most if n_bytes < 0 else min(n_bytes, self.most))

    def write(self, data):
        self.written += data
        return len(data)

    def seekable(self):
        return False


def assembled(header, blocks, n_samples=700, entries=None, n_frames=None):
    """A file of these blocks with an end record that says what it likes; checksums match."""
    raws = [block_bytes(block, header) for block in blocks]
    if entries is None:
        entries = [(len(raw), block.codes.shape[-1]) for raw, block in zip(raws, blocks)]
    if n_frames is None:
        n_frames = sum(frames for _, frames in entries)
    end = EndRecord(n_samples, n_frames, np.array(entries, ENTRY))
    return header.to_bytes() + b"".join(raws) + end_bytes(end)


def contradictory(header=HEADER):
    """Files whose checksums all match, and which contradict themselves or the format, by name.

    header: one of 700 samples in 3 frames of 2 codebooks.
    """
    example = DacFile(header, EXAMPLE.codes)
    live, empty = replace(header, n_samples=None), replace(header, n_samples=0)
    first, second = Block(0, EXAMPLE.codes), Block(3, EXAMPLE.codes)
    whole, none = example.to_bytes(), written(empty, EXAMPLE.codes[..., :0])
    short = replace(header, n_codebooks=1)
    return {
        "3 frames said, 6 held": assembled(header, [first, second]),
        "3 frames said, 6 held, 3 in the end": assembled(header, [first, second], n_frames=3),
        "3 frames said, 6 held, 3 in the index": assembled(
            header, [first, second], entries=[(56, 3)]
        ),
        "3 frames said, 6 held, no end": assembled(header, [first, second])[:-48],
        "6 frames said, 3 held": assembled(replace(header, n_samples=1900), [first], 1900),
        "end of another length": assembled(header, [first], 701),
        "live end of another length": assembled(live, [first], 1900),
        "live end of no limit": assembled(live, [first], 2**64 - 1),
        "end of other frames": assembled(header, [first], n_frames=4),
        "entry of no frames": assembled(header, [first], entries=[(28, 3), (0, 0)]),
        "entry of no frames before": assembled(header, [first], entries=[(0, 0), (28, 3)]),
        "entries of other lengths": assembled(live, [first, second], 1900, [(24, 3), (32, 3)]),
        "entries of other frames": assembled(live, [first, second], 1900, [(28, 2), (28, 4)]),
        "entries that are swapped": assembled(
            live,
            [first, Block(3, np.tile(EXAMPLE.codes[:, :1], 3))],
            3800,
            [(32, 9), (28, 3)],
        ),
        "no entries": assembled(header, [first], entries=[], n_frames=3),
        "a block twice": assembled(live, [first, first], 1900),
        "a gap between blocks": assembled(live, [first, Block(4, EXAMPLE.codes)], 1900),
        "a byte behind": whole + b"\n",
        "a byte behind a live end": assembled(live, [first]) + b"\0",
        "another file behind": whole + whole,
        "the end twice": whole + whole[-42:],
        "no samples, then garbage": none + b"garbage" * 9,
        "no samples, garbage before the end": none[:-36] + b"garbage" * 9 + none[-36:],
        "no samples, but a block": assembled(empty, [first], 0),
        "no samples, no end": none[:-36],
        "no end": whole[:-42],
        "a cut end": whole[:-3],
        "garbage for an end": whole[:-42] + b"abc",
        "an end of another file": DacFile(short, EXAMPLE.codes[:, :1]).to_bytes()[:-42]
        + whole[-42:],
        "a wrong trailer": whole[:-8] + b"\x23" + whole[-7:],
    }
