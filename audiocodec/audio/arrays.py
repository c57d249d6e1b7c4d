"""Samples in memory as an AudioSource."""

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiocodec.audio.source import (
    BLOCK_SAMPLES,
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    AudioSource,
    Samples,
)
from audiocodec.errors import ArgumentError


def open_array(array: ArrayLike, sample_rate: int | None) -> AudioSource:
    """Open samples in memory: (n_samples,) or (n_samples, channels).

    Floats have full scale 1.0; uint8, int16 and int32 are scaled as in a WAV file.
    Raises ArgumentError for anything else, or a sample rate that cannot be used.
    """
    name = "<array>"
    if array is None or isinstance(array, bytes | bytearray):
        raise ArgumentError(
            f"a source of type {type(array).__name__}; give a path, a binary file object "
            "(io.BytesIO holds bytes) or samples"
        )
    rate = checked_rate(name, sample_rate)
    try:
        if hasattr(array, "detach"):  # a tensor, which may have a gradient or lie on a GPU
            array = array.detach().cpu()
        samples = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ArgumentError(f"{name}: neither a file nor an array of samples: {reason}") from error
    _check_array(name, samples)
    n_samples, channels = samples.shape if samples.ndim == 2 else (len(samples), 1)
    if not 1 <= channels <= MAX_CHANNELS:
        hint = "; transpose it" if 1 <= n_samples <= MAX_CHANNELS else ""
        raise ArgumentError(
            f"{name}: shape {samples.shape} has {channels} channels; 1 to {MAX_CHANNELS} can "
            f"be used: (n_samples, channels){hint}"
        )
    samples = samples.reshape(n_samples, channels)
    return AudioSource(name, rate, channels, n_samples, {}, lambda start: cut(samples[start:]))


def _check_array(name: str, samples: NDArray[Any]) -> None:
    dtype = samples.dtype.newbyteorder("=")
    if dtype.kind != "f" and dtype not in (np.uint8, np.int16, np.int32):
        raise ArgumentError(
            f"{name}: samples of type {samples.dtype}; use floats, or uint8, int16 or int32"
        )
    if samples.ndim not in (1, 2):
        raise ArgumentError(
            f"{name}: shape {samples.shape}; samples are (n_samples,) or (n_samples, channels)"
        )


def cut(samples: NDArray[Any]) -> Iterator[Samples]:
    """Copy samples, (n_samples,) or (n_samples, channels), to float32 blocks of BLOCK_SAMPLES."""
    for start in range(0, len(samples), BLOCK_SAMPLES):
        yield _as_float(samples[start : start + BLOCK_SAMPLES])


def _as_float(samples: NDArray[Any]) -> Samples:
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinity, which is reported with its position
            return np.array(samples, np.float32, order="C")
    middle = 128 if samples.dtype == np.uint8 else 0
    full_scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return ((samples.astype(np.float64) - middle) / full_scale).astype(np.float32, order="C")


def checked_rate(name: str, sample_rate: Any) -> int:
    """Return the rate as an int. Raises ArgumentError, which begins with `name`."""
    if sample_rate is None:
        raise ArgumentError(f"{name}: give the sample rate of the array too")
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        rate = 0
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ArgumentError(
            f"{name}: sample rate {sample_rate!r}; "
            f"use a whole number from {MIN_RATE} to {MAX_RATE} Hz"
        )
    return rate
