"""Shared by the metrics: resampling, and checks that signals can be compared."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import resampled
from audiocodec.errors import ArgumentError

Samples = NDArray[np.float32]  # (n_samples,)
SILENCE = 1e-4  # a signal with a lower peak than this, -80 dB, counts as silent


class NoFigure(Exception):
    """A metric is not defined for these signals; the message gives the reason."""


def at_rate(audio: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample float32 (n_samples,) at from_rate to (n,) at to_rate."""
    if from_rate == to_rate or not len(audio):
        return audio
    return np.concatenate(list(resampled([audio[:, None]], from_rate, to_rate, 1)))[:, 0]


def refuse_other_lengths(estimate: Any, reference: Any) -> None:
    """Raise ArgumentError unless both arrays or tensors, of any shape, have the same shape."""
    if estimate.shape != reference.shape:
        raise ArgumentError(
            f"an estimate shaped {tuple(estimate.shape)} cannot be compared with a reference "
            f"shaped {tuple(reference.shape)}: cut or pad it to the same length"
        )


def refuse_silence(**signals: Any) -> None:
    """Raise NoFigure that names the first signal, of any shape, that is silent or not finite."""
    for name, signal in signals.items():
        peak = 0.0 if 0 in signal.shape else float(abs(signal).max())
        if not np.isfinite(peak):
            raise NoFigure(f"{name} that is not finite")
        if peak < SILENCE:
            raise NoFigure(f"silent {name}")


def finite(figure: float) -> float:
    """Return the figure. Raises NoFigure where it is NaN or infinite."""
    if not np.isfinite(figure):
        raise NoFigure("not a number")
    return figure
