"""Figures of merit of a decoded signal; not differentiated. Shapes: audio (B, 1, T).

Distances and SI-SDR are computed here; ViSQOL, PESQ and ESTOI by packages of the extra "train",
on mono arrays (T,). Those give no figure for some signals: they raise NoFigure, whose text says
why, so that a failure is counted and never averaged. May import: numpy, torch, audio, errors,
train.losses, train.settings.
"""

import importlib
import warnings
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiocodec.audio import resampled
from audiocodec.errors import ArgumentError
from audiocodec.train.losses import log_and_magnitude_l1, mel_filterbank, mel_loss, spectrogram
from audiocodec.train.settings import STFT_WINDOWS

Samples = NDArray[np.float32]  # (n_samples,)
SILENCE = 1e-4  # a signal whose peak is below it, -80 dB, counts as silent
SI_SDR_DB = (-80.0, 80.0)  # range that figures are kept in; identical signals would give infinity
VISQOL_RATE, VISQOL_SECONDS = 48000, 1.0  # it never resamples, and fails on shorter clips
PESQ_RATE = 16000  # wide band is defined at this rate only


class NoFigure(Exception):
    """A metric is not defined for these signals; the text says why."""


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


def mel_training_distance(estimate: Tensor, reference: Tensor, sample_rate: int) -> float:
    """The paper's training loss as a figure: log10 magnitudes, seven windows (section 3.4)."""
    return float(mel_loss(estimate, reference, sample_rate))


def stft_distance(
    estimate: Tensor, reference: Tensor, windows: tuple[int, ...] = STFT_WINDOWS
) -> float:
    """The published evaluation's STFT distance: as the mel distance, on the bins themselves."""
    distance = 0.0
    for window in windows:
        a, b = (spectrogram(x, window).abs() for x in (estimate, reference))
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


def capped_si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """SI-SDR kept within SI_SDR_DB, for means. Raises NoFigure where a signal is silent."""
    _refuse_silence(estimate=estimate, reference=reference)
    return min(SI_SDR_DB[1], max(SI_SDR_DB[0], si_sdr(estimate, reference)))


def visqol(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """ViSQOL, audio mode with its support vector model: 1 to 4.73, higher is better.

    Both are resampled to the 48 kHz that it expects. Raises NoFigure for clips under a second,
    silence (a silent reference would score the highest mark) and where ViSQOL itself gives up.
    """
    if len(reference) < VISQOL_SECONDS * sample_rate:
        raise NoFigure(f"shorter than {VISQOL_SECONDS:g} s")
    _refuse_silence(estimate=estimate, reference=reference)
    x, y = (at_rate(s, sample_rate, VISQOL_RATE) for s in (reference, estimate))
    try:
        mark = float(_visqol_api().measure_from_arrays(x, y, VISQOL_RATE).moslqo)
    except (ValueError, RuntimeError) as error:
        raise NoFigure(f"ViSQOL: {error}") from error
    return _finite(mark)


def pesq_wide_band(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """PESQ of speech, wide band at 16 kHz (ITU-T P.862.2): 1.04 to 4.64, higher is better.

    Raises NoFigure for clips under a quarter of a second and where it finds no speech.
    """
    pesq = _extra("pesq")
    _refuse_silence(estimate=estimate, reference=reference)
    x, y = (at_rate(s, sample_rate, PESQ_RATE) for s in (reference, estimate))
    try:
        return _finite(float(pesq.pesq(PESQ_RATE, x, y, "wb")))
    except pesq.PesqError as error:
        raise NoFigure(type(error).__name__) from error


def estoi(estimate: Samples, reference: Samples, sample_rate: int) -> float:
    """Extended short-time objective intelligibility of speech, up to 1 (pystoi; IEEE TASLP 2016).

    Raises NoFigure where less than 30 frames of speech, 0.4 s, are within 40 dB of the loudest.
    """
    pystoi = _extra("pystoi")
    _refuse_silence(estimate=estimate, reference=reference)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return _finite(float(pystoi.stoi(reference, estimate, sample_rate, extended=True)))
        except RuntimeWarning as warning:  # it would give 1e-5
            raise NoFigure("too little speech") from warning


def at_rate(audio: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample (n_samples,)."""
    if from_rate == to_rate:
        return audio
    return np.concatenate(list(resampled([audio[:, None]], from_rate, to_rate, 1)))[:, 0]


def _refuse_silence(**signals: Any) -> None:
    for name, signal in signals.items():
        if float(abs(signal).max()) < SILENCE:
            raise NoFigure(f"silent {name}")


def _finite(figure: float) -> float:
    if not np.isfinite(figure):
        raise NoFigure("not a number")
    return figure


@lru_cache(maxsize=1)
def _visqol_api() -> Any:
    api = _extra("visqol").VisqolApi()
    api.create(mode="audio")
    return api


def _extra(name: str) -> ModuleType:
    """A package of the extra, imported only where it is used."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArgumentError(
            f"the evaluation needs {name}: pip install 'audiocodec[train]'"
        ) from error
