"""What the figures of merit share: mono signals, resampling, and when there is no figure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import resampled
from audiocodec.errors import ArgumentError

Samples = NDArray[np.float32]  # (n_samples,)
SILENCE = 1e-4  # a signal whose peak is below it, -80 dB, counts as silent


class NoFigure(Exception):
    """A metric is not defined for these signals; the text says why."""


def at_rate(audio: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample (n_samples,)."""
    if from_rate == to_rate or not len(audio):
        return audio
    return np.concatenate(list(resampled([audio[:, None]], from_rate, to_rate, 1)))[:, 0]


def refuse_other_lengths(estimate: Any, reference: Any) -> None:
    """Raise ArgumentError unless both, arrays or tensors, have the same shape."""
    if estimate.shape != reference.shape:
        raise ArgumentError(
            f"an estimate shaped {tuple(estimate.shape)} cannot be compared with a reference "
            f"shaped {tuple(reference.shape)}: cut or fill it to the same length"
        )


def refuse_silence(**signals: Any) -> None:
    """Raise NoFigure where one of the signals is silent, empty or not finite; names it."""
    for name, signal in signals.items():
        peak = 0.0 if 0 in signal.shape else float(abs(signal).max())
        if not np.isfinite(peak):
            raise NoFigure(f"{name} that is not finite")
        if peak < SILENCE:
            raise NoFigure(f"silent {name}")


def finite(figure: float) -> float:
    """The figure itself. Raises NoFigure where it is not a number or infinite."""
    if not np.isfinite(figure):
        raise NoFigure("not a number")
    return figure
