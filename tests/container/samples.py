"""Small files for the tests of the container."""

import io
from dataclasses import replace

import numpy as np

from audiocodec.container import DacFile, Header, Writer

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
