"""Distances between waveforms. Shapes: audio (B, 1, T)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.lab.measures.signals import refuse_other_lengths, refuse_silence

SI_SDR_DB = (-80.0, 80.0)  # range that figures are kept in; identical signals would give infinity
MAX_LAG = 2048  # samples: the delays of MP3 (1105) and AAC (1024) too, where a decoder leaves them
TIE = 1e-9  # relative; correlations that differ by less are the same, rounded by the transform


def waveform_l1(estimate: Tensor, reference: Tensor) -> Tensor:
    """Mean absolute difference of the samples."""
    return F.l1_loss(estimate, reference)


def si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (arXiv 1811.02508), of all samples.

    The scale may be negative: a flipped signal is as good. Both signals lose their mean; NaN where
    both are silent, -80 dB where only the reference is. Raises ArgumentError for other lengths.
    """
    refuse_other_lengths(estimate, reference)
    x, y = (_centred(s) for s in (reference, estimate))
    signal = x * (x @ y) / (x @ x).clamp(min=1e-16)
    error = y - signal
    ratio = (signal @ signal) / (error @ error)
    return float(10 * torch.log10(ratio + 1e-8))


def capped_si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """SI-SDR kept within SI_SDR_DB, for means.

    Raises NoFigure where a signal is silent or constant, ArgumentError for other lengths.
    """
    refuse_silence(reference=_centred(reference), estimate=_centred(estimate))
    return min(SI_SDR_DB[1], max(SI_SDR_DB[0], si_sdr(estimate, reference)))


def aligned_si_sdr(
    estimate: Tensor, reference: Tensor, max_lag: int = MAX_LAG
) -> tuple[float, int]:
    """Capped SI-SDR of the parts that overlap once the lag is taken away, and the lag in samples.

    The lag, of one signal (1, 1, T), is positive where the estimate is late. Raises as
    capped_si_sdr does, of the overlap too.
    """
    refuse_other_lengths(estimate, reference)
    refuse_silence(reference=_centred(reference), estimate=_centred(estimate))
    lag = _best_lag(estimate, reference, max_lag)
    n_overlap = reference.shape[-1] - abs(lag)
    late, early = max(lag, 0), max(-lag, 0)
    y, x = estimate[..., late : late + n_overlap], reference[..., early : early + n_overlap]
    return capped_si_sdr(y, x), lag


def _best_lag(estimate: Tensor, reference: Tensor, max_lag: int) -> int:
    """Lag of the largest absolute correlation; of equals the nearest to 0, then the positive one.

    Absolute, because SI-SDR does not mind a flipped sign either. Correlations are not divided by
    the length of the overlap, so that a period of a periodic signal is no lag, and a chance
    likeness of short ends neither. At most half the samples.
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
    """All samples as float64 (n_samples,), less their mean."""
    return signal.flatten().double() - signal.double().mean()
