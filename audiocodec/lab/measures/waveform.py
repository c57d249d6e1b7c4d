"""Distances between waveforms. Shapes: audio (B, 1, T)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.lab.measures.signals import refuse_other_lengths, refuse_silence

SI_SDR_DB = (-80.0, 80.0)  # range of capped figures; identical signals would give infinity
MAX_LAG = 2048  # samples; covers decoders' delays of MP3 (1105) and AAC (1024)
TIE = 1e-9  # relative; correlations that differ by less count as equal (rounding of the FFT)


def waveform_l1(estimate: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference of samples, (B, 1, T) each -> a scalar."""
    return F.l1_loss(estimate, reference)


def si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508), over all samples.

    The scale may be negative, so polarity does not matter. Means are removed first. NaN where both
    signals are silent, -80 dB where only the reference is. Raises ArgumentError for shapes that
    differ.
    """
    refuse_other_lengths(estimate, reference)
    x, y = (_centred(s) for s in (reference, estimate))
    signal = x * (x @ y) / (x @ x).clamp(min=1e-16)
    error = y - signal
    ratio = (signal @ signal) / (error @ error)
    return float(10 * torch.log10(ratio + 1e-8))


def capped_si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """SI-SDR in dB clipped to SI_SDR_DB, so that it can be averaged; (B, 1, T) each.

    Raises NoFigure where a signal is silent or constant, ArgumentError for shapes that differ.
    """
    refuse_silence(reference=_centred(reference), estimate=_centred(estimate))
    return min(SI_SDR_DB[1], max(SI_SDR_DB[0], si_sdr(estimate, reference)))


def aligned_si_sdr(
    estimate: Tensor, reference: Tensor, max_lag: int = MAX_LAG
) -> tuple[float, int]:
    """Capped SI-SDR of the overlap after alignment, and the lag in samples; (1, 1, T) each.

    The lag is positive where the estimate is late. Raises as capped_si_sdr does, also for the
    overlapping parts.
    """
    refuse_other_lengths(estimate, reference)
    refuse_silence(reference=_centred(reference), estimate=_centred(estimate))
    lag = _best_lag(estimate, reference, max_lag)
    n_overlap = reference.shape[-1] - abs(lag)
    late, early = max(lag, 0), max(-lag, 0)
    y, x = estimate[..., late : late + n_overlap], reference[..., early : early + n_overlap]
    return capped_si_sdr(y, x), lag


def _best_lag(estimate: Tensor, reference: Tensor, max_lag: int) -> int:
    """Lag of the largest absolute correlation; among equals that nearest to 0, then the positive.

    Absolute, because SI-SDR ignores polarity too. Correlations are not divided by the length of the
    overlap, which favours lag 0 over a period of a periodic signal and over chance similarity of
    short overlaps. At most half the samples.
    """
    x, y = (_centred(s) for s in (reference, estimate))
    max_lag = min(max_lag, len(x) // 2)
    size = 1 << (len(x) + max_lag).bit_length()  # room for the shift, so that nothing wraps around
    spectrum = torch.fft.rfft(x, size).conj() * torch.fft.rfft(y, size)
    correlation = torch.fft.irfft(spectrum, size).abs()
    lags = sorted(range(-max_lag, max_lag + 1), key=lambda lag: (abs(lag), -lag))
    likeness = correlation[lags]
    return lags[int((likeness >= (1 - TIE) * likeness.max()).nonzero()[0])]


def _centred(signal: Tensor) -> Tensor:
    """All samples as float64 (n_samples,), with their mean removed."""
    return signal.flatten().double() - signal.double().mean()
