"""Turns a folder of audio into token shards for training and held-out shards.

Also computes the unigram cost of a held-out token, which a model must beat.
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

PIECE_SECONDS = 10.0  # length of a row, which gives one crop in each epoch
HELD_OUT = 8  # one of 8 pieces is held out

Rows = list[dict[str, str | float]]  # of a manifest


def pieces(data: Path, minutes: float, seed: int) -> Rows:
    """Manifest rows: recordings in random order, cut into pieces, until `minutes` are reached."""
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
    """Pieces to train on and pieces to hold out, of different recordings if there are several."""
    cut = len(rows) - max(1, len(rows) // HELD_OUT)
    first = next(i for i, row in enumerate(rows) if row["path"] == rows[cut]["path"])
    cut = first or cut
    return rows[:cut], rows[cut:]


def tokenized(rows: Rows, folder: Path) -> Shards:
    """Shards of tokens from the built-in model; a stopped job resumes.

    They hold all codebooks, so that any number of them can be tried with the same shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    settings = TokenizeSettings(device="cpu")
    tokenize(manifest, folder / "shards", format="safetensors", settings=settings)
    return open_shards(folder / "shards")


def unigram_bits(train: Shards, held_out: Shards, n_codebooks: int, size: int) -> np.ndarray:
    """Bits per held-out token for a model that knows only each code's frequency in training.

    Returns float64 (n_codebooks,). The smoothing, which gives unseen codes a probability, is the
    one that suits the held-out tokens best, in favour of this baseline.
    """
    counts, held = counts_of(train, n_codebooks, size), counts_of(held_out, n_codebooks, size)
    costs = []
    for extra in (0.01, 0.03, 0.1, 0.3, 1.0):
        share = (counts + extra) / (counts + extra).sum(axis=1, keepdims=True)
        costs.append(-(held * np.log2(share)).sum(axis=1) / held.sum(axis=1))
    return np.min(costs, axis=0)


def counts_of(shards: Shards, n_codebooks: int, size: int) -> np.ndarray:
    """How often each code occurs, int64 (n_codebooks, size)."""
    counts = np.zeros((n_codebooks, size), np.int64)
    for row in shards.rows():
        for k in range(n_codebooks):
            counts[k] += np.bincount(row.codes[:, k].ravel(), minlength=size)
    return counts
