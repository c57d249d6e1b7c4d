"""Differentiable distances between spectrograms: mel, STFT, complex spectrogram.

All take an estimate and a reference, audio (B, 1, T) each, return a scalar, and raise NoFigure for
T <= half of the longest window. Spectrograms use a periodic Hann window, a hop of a quarter window
and reflected edges, unnormalised, as the paper's training code and the published evaluation do.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.lab.measures.scales import (
    EVALUATION_MELS,
    PAPER_MELS,
    PAPER_WINDOWS,
    STFT_WINDOWS,
)
from audiocodec.lab.measures.signals import NoFigure

FLOOR = 1e-5  # smallest magnitude in logarithms
LEVEL_FLOOR = 0.1  # in multiples of the mean level, so that nearly empty bands do not dominate


def spectrogram(audio: Tensor, window: int) -> Tensor:
    """Audio (B, 1, T) -> complex (B, window / 2 + 1, frames).

    Raises NoFigure for T <= window / 2, which is too short to pad by reflection.
    """
    if audio.shape[-1] <= window // 2:
        raise NoFigure(f"no longer than half a window of {window} samples")
    hann = _hann(window, audio.device, audio.dtype)
    return torch.stft(audio[:, 0], window, window // 4, window=hann, return_complex=True)


def mel_filterbank(sample_rate: int, window: int, n_mels: int) -> Tensor:
    """Triangles of equal area from 0 Hz to Nyquist on Slaney's mel scale, (n_mels, bins).

    Equal to librosa.filters.mel with its defaults (Slaney, Auditory Toolbox, 1998).
    """
    edges = _mel_to_hz(torch.linspace(0, _hz_to_mel(sample_rate / 2), n_mels + 2).double())
    bins = torch.linspace(0, sample_rate / 2, window // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return (torch.minimum(rise, fall).clamp(min=0) * area[:, None]).float()


def mel_loss(
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int,
    windows: tuple[int, ...] = PAPER_WINDOWS,
    n_mels: tuple[int, ...] = PAPER_MELS,
) -> Tensor:
    """L1 between log10 mel magnitudes, summed over window sizes (paper, section 3.4); a scalar.

    estimate, reference: (B, 1, T). windows in samples, n_mels: mel bands of each.
    """
    loss = estimate.new_zeros(())
    for window, n in zip(windows, n_mels, strict=True):
        mel = _filters(sample_rate, window, n, estimate.device)
        a, b = (mel @ spectrogram(x, window).abs() for x in (estimate, reference))
        loss = loss + F.l1_loss(_log10(a), _log10(b))
    return loss


def mel_distance(
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int,
    windows: tuple[int, ...] = STFT_WINDOWS,
    n_mels: tuple[int, ...] = EVALUATION_MELS,
) -> Tensor:
    """The published evaluation's mel distance; (B, 1, T) each -> a scalar.

    L1 between log10 powers plus L1 between magnitudes, summed over two window sizes.
    """
    distance = estimate.new_zeros(())
    for window, n in zip(windows, n_mels, strict=True):
        mel = _filters(sample_rate, window, n, estimate.device)
        a, b = (mel @ spectrogram(x, window).abs() for x in (estimate, reference))
        distance = distance + log_and_magnitude_l1(a, b)
    return distance


def stft_loss(
    estimate: Tensor, reference: Tensor, windows: tuple[int, ...] = STFT_WINDOWS
) -> Tensor:
    """L1 between log10 powers plus L1 between magnitudes, summed over window sizes.

    (B, 1, T) each -> a scalar. It is the published evaluation's STFT distance too.
    """
    loss = estimate.new_zeros(())
    for window in windows:
        a, b = (spectrogram(x, window).abs() for x in (estimate, reference))
        loss = loss + log_and_magnitude_l1(a, b)
    return loss


def log_and_magnitude_l1(estimate: Tensor, reference: Tensor) -> Tensor:
    """Mean L1 between log10 powers plus mean L1 between magnitudes; same shapes -> a scalar."""
    return 2 * F.l1_loss(_log10(estimate), _log10(reference)) + F.l1_loss(estimate, reference)


def complex_loss(
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int,
    windows: tuple[int, ...] = (256, 1024, 2048),
    exponent: float = 0.5,
) -> Tensor:
    """Relative error of the complex spectrogram, phase included; a silent estimate scores 1.

    (B, 1, T) each -> a scalar, the mean over window sizes. Magnitudes of the error and of the
    reference are pooled in mel bands, and the error of a band and frame is divided by the
    reference's magnitude there to the power `exponent`. At 0 all errors weigh alike, so that loud
    low bands dominate; at 1 all bands and frames weigh alike. Values between let errors hide under
    the signal, as the weighting filters of speech coders do.
    """
    loss = estimate.new_zeros(())
    for window in windows:
        mel = _filters(sample_rate, window, 20 + window // 32, estimate.device)
        target = spectrogram(reference, window)
        error = mel @ (spectrogram(estimate, window) - target).abs()
        level = mel @ target.abs()
        level = level + LEVEL_FLOOR * level.mean(dim=(1, 2), keepdim=True) + FLOOR
        weighted = (error * level**-exponent).sum(dim=(1, 2))
        loss = loss + (weighted / (level ** (1 - exponent)).sum(dim=(1, 2))).mean()
    return loss / len(windows)


def _log10(magnitudes: Tensor) -> Tensor:
    return magnitudes.clamp(min=FLOOR).log10()


@lru_cache(maxsize=64)
def _hann(window: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.hann_window(window, device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _filters(sample_rate: int, window: int, n_mels: int, device: torch.device) -> Tensor:
    return mel_filterbank(sample_rate, window, n_mels).to(device)


# Slaney's scale: linear up to 1 kHz (15 mel), then logarithmic, 27 mel per factor of 6.4.
def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
