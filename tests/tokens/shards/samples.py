"""Rows of tokens for the tests of shards."""

import numpy as np

from audiocodec.tokens.shards import ShardHeader, TokenRow

FINGERPRINT = "000102030405060708090a0b0c0d0e0f"
COLUMNS = {"text": "str", "speaker": "int", "score": "float", "clean": "bool"}
HEADER = ShardHeader("tiny", FINGERPRINT, 16000, 320, 1024, columns=COLUMNS)
SUFFIXES = (".parquet", ".tar", ".safetensors")


def row_of(number=0, frames=5, channels=1, n_codebooks=3, **fields):
    """A seeded row of whole frames but for 20 samples."""
    shape = (channels, n_codebooks, frames)
    values = {
        "id": f"speech/a.{number}.wav",
        "source": f"corpus/speech/a.{number}.wav",
        "sample_rate": 16000,
        "channels": channels,
        "n_codebooks": n_codebooks,
        "frames": frames,
        "n_samples": max(0, frames * 320 - 20),
        "codes": np.random.default_rng(number).integers(0, 1024, shape, np.uint16),
        "model": "tiny",
        "fingerprint": FINGERPRINT,
        "gain": 0.5,
        "columns": {"text": f"número {number}", "speaker": number, "score": 0.25, "clean": True},
    }
    return TokenRow(**(values | fields))


ROWS = [row_of(n, frames=3 + 7 * n, channels=1 + n % 2, n_codebooks=3 - n % 2) for n in range(6)]


def same(one, other):
    """Whether two rows are equal in all they hold."""
    a, b = dict(vars(one)), dict(vars(other))
    return np.array_equal(a.pop("codes"), b.pop("codes")) and a == b
