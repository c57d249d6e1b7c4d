"""Figures of merit of a decoded signal; not differentiated. Shapes: audio (B, 1, T).

May import: torch, train.losses.
"""

import torch
from torch import Tensor

from audiocodec.train.losses import log_and_magnitude_l1, mel_filterbank, spectrogram


def mel_distance(
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int,
    windows: tuple[int, ...] = (2048, 512),
    n_mels: tuple[int, ...] = (150, 80),
) -> float:
    """The published evaluation's mel distance: log10 powers and magnitudes, two window sizes."""
    distance = 0.0
    for window, n in zip(windows, n_mels, strict=True):
        mel = mel_filterbank(sample_rate, window, n).to(estimate.device)
        a, b = (mel @ spectrogram(x, window).abs() for x in (estimate, reference))
        distance += float(log_and_magnitude_l1(a, b))
    return distance


def si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508), of all samples.

    Both signals lose their mean; NaN where both are silent, -80 dB where only the reference is.
    """
    x, y = (s.flatten().double() - s.double().mean() for s in (reference, estimate))
    signal = x * (x @ y) / (x @ x).clamp(min=1e-16)
    error = y - signal
    ratio = (signal @ signal) / (error @ error)
    return float(10 * torch.log10(ratio + 1e-8))
