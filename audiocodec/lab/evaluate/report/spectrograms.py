"""Draws spectrograms: time to the right, frequency upwards, level as colour.

They have no axes, so that a page can draw positions and labels over them.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import open_audio
from audiocodec.files import output_file

WIDTH, HEIGHT = 480, 160  # pixels
WINDOW, HOP = 1024, 256  # samples
QUIETEST = 1e-6  # least power that gets the brightest colour, so that silence stays dark
RANGE_DB = 90.0  # range of the colours below the loudest point of the reference
N_COLOURS = 48  # few, so that files stay small


def read_mono(path: Path) -> tuple[NDArray[np.float64], int]:
    """Audio (n_samples,), its channels averaged, and the sample rate. Raises AudioError."""
    with open_audio(path) as source:
        blocks = [block.mean(axis=1, dtype=np.float64) for block in source.blocks()]
        return np.concatenate(blocks or [np.zeros(0)]), source.sample_rate


def power(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean power of audio (n_samples,): (HEIGHT, WIDTH), frequency by time, Nyquist on top.

    The STFT has a Hann window.
    """
    padded = np.pad(audio, (WINDOW // 2, WINDOW // 2 + WINDOW))
    every = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    frames = every[: len(audio) + 1 : HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    return _averaged(_averaged(spectrum, WIDTH).T, HEIGHT)[::-1]


def write_spectrogram(path: Path, of: NDArray[np.float64], loudest: float) -> None:
    """Write power (HEIGHT, WIDTH) as PNG; `loudest` is the power with the brightest colour.

    Raises OutputError if it cannot be written.
    """
    from PIL import Image

    level_db = 10 * np.log10(np.maximum(of, 1e-30) / max(loudest, QUIETEST))
    share = np.clip(1 + level_db / RANGE_DB, 0, 1)
    picture = Image.fromarray(np.rint(share * (N_COLOURS - 1)).astype(np.uint8))
    picture.putpalette(_palette())
    with output_file(path, overwrite=True) as file:
        picture.save(file, format="PNG", optimize=True)


@lru_cache(maxsize=1)
def _palette() -> bytes:
    """Matplotlib's magma, whose lightness grows evenly, also for colour-blind readers."""
    from matplotlib import colormaps

    colours = colormaps["magma"](np.linspace(0, 1, N_COLOURS))[:, :3]
    return np.rint(255 * colours).astype(np.uint8).tobytes()


def _averaged(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Rows (any, k) averaged to (n, k); repeated if there are fewer than n."""
    edges = np.linspace(0, len(x), n + 1)
    starts = np.minimum(edges[:-1].astype(int), len(x) - 1)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    return (sums[ends] - sums[starts]) / (ends - starts)[:, None]
