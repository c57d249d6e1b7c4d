"""From a folder of audio to token shards, in two parts: to train on, and held out.

Also what a held-out token costs without a model, which a model must beat.
"""

import json
import random
from pathlib import Path

import numpy as np

from audiocodec.audio import open_audio
from audiocodec.errors import ArgumentError
from audiocodec.recordings import sound_files
from audiocodec.tokens import open_shards, tokenize
from audiocodec.tokens.shards import Shards
from audiocodec.tokens.tokenizing import TokenizeSettings

PIECE_SECONDS = 10.0  # of a row: a row gives one crop in an epoch
HELD_OUT = 8  # one in so many pieces

Rows = list[dict[str, str | float]]  # of a manifest


def pieces(data: Path, minutes: float, seed: int) -> Rows:
    """Rows of a manifest: recordings in random order, in pieces, until there are enough."""
    paths = list(sound_files(data))
    random.Random(seed).shuffle(paths)
    rows: Rows = []
    left = 60 * minutes
    for path in paths:
        with open_audio(path) as audio:
            seconds = min(audio.length() / audio.sample_rate, left)
        left -= seconds
        for start in np.arange(0, seconds - 0.5, PIECE_SECONDS).tolist():
            duration = min(PIECE_SECONDS, seconds - start)
            rows.append({"path": str(path.resolve()), "start": start, "duration": duration})
    if len(rows) < 2:
        raise ArgumentError(f"{data}: too little audio; give a folder with some minutes of it")
    return rows


def split(rows: Rows) -> tuple[Rows, Rows]:
    """Pieces to train on and to hold out; of other recordings, unless there is one only."""
    cut = len(rows) - max(1, len(rows) // HELD_OUT)
    first = next(i for i, row in enumerate(rows) if row["path"] == rows[cut]["path"])
    cut = first or cut
    return rows[:cut], rows[cut:]


def tokenized(rows: Rows, folder: Path) -> Shards:
    """Shards of tokens, with the built-in model; a job that was stopped goes on.

    All codebooks are kept, so that another number of them can be tried with the same shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    settings = TokenizeSettings(device="cpu")
    tokenize(manifest, folder / "shards", format="safetensors", settings=settings)
    return open_shards(folder / "shards")


def unigram_bits(train: Shards, held_out: Shards, n_codebooks: int, size: int) -> np.ndarray:
    """Bits a held-out token costs if one knows how often each code came in training.

    Float64 (n_codebooks,). Codes that never came are given something too: as much as suits the
    held-out tokens best, in this baseline's favour.
    """
    counts, held = counts_of(train, n_codebooks, size), counts_of(held_out, n_codebooks, size)
    costs = []
    for extra in (0.01, 0.03, 0.1, 0.3, 1.0):
        share = (counts + extra) / (counts + extra).sum(axis=1, keepdims=True)
        costs.append(-(held * np.log2(share)).sum(axis=1) / held.sum(axis=1))
    return np.min(costs, axis=0)


def counts_of(shards: Shards, n_codebooks: int, size: int) -> np.ndarray:
    """How often each code comes, int64 (n_codebooks, size)."""
    counts = np.zeros((n_codebooks, size), np.int64)
    for row in shards.rows():
        for k in range(n_codebooks):
            counts[k] += np.bincount(row.codes[:, k].ravel(), minlength=size)
    return counts
