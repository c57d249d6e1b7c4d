"""Defines the figures of an evaluation, and computes those of a decoded clip.

Distances are computed as in the published evaluation, at the clip's rate and at 22.05 kHz. The
names are columns of results.csv.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from audiocodec.lab.measures import perceptual, spectral, waveform
from audiocodec.lab.measures.signals import NoFigure, Samples, at_rate, finite, refuse_other_lengths

SPEECH = "speech"  # the class to which the figures for speech apply
LOW_RATE = 22050  # the second rate of the published evaluation


@dataclass(frozen=True)
class Metric:
    """A column of results.csv, and how tables and plots show it."""

    name: str
    title: str
    digits: int
    higher_is_better: bool
    speech_only: bool = False
    shown: bool = True  # in tables and plots; all are in the CSV


METRICS = (
    Metric("mel", "mel distance", 2, False),
    Metric("mel_training", "mel distance, 7 scales", 2, False),
    Metric("stft", "STFT distance", 2, False),
    Metric("mel_22k", "mel distance at 22.05 kHz", 2, False, shown=False),
    Metric("stft_22k", "STFT distance at 22.05 kHz", 2, False, shown=False),
    Metric("si_sdr", "SI-SDR, dB", 1, True),
    Metric("si_sdr_aligned", "SI-SDR aligned, dB", 1, True),
    Metric("lag", "lag, samples", 0, False, shown=False),
    Metric("waveform_l1", "waveform L1", 4, False, shown=False),
    Metric("visqol", "ViSQOL", 2, True),
    Metric("visqol_speech", "ViSQOL speech", 2, True, speech_only=True),
    Metric("pesq", "PESQ", 2, True, speech_only=True),
    Metric("stoi", "STOI", 3, True, speech_only=True),
    Metric("estoi", "ESTOI", 3, True, speech_only=True),
)


def figures_of(
    kind: str, reference: Samples, estimate: Samples, sample_rate: int
) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of a decoded clip by name, and the reasons why others could not be computed.

    reference, estimate: mono (n_samples,). Every name of METRICS is in one of the two results; the
    names for speech only if `kind`, in any letter case, is SPEECH. Spectral distances and L1 are
    defined for silence, the other figures are not. Raises ArgumentError for signals of different
    lengths, or if a package of the extra "eval" is missing.
    """
    refuse_other_lengths(estimate, reference)
    figures: dict[str, float] = {}
    failures: dict[str, str] = {}
    ways = _distances(reference, estimate, sample_rate) | _marks(reference, estimate, sample_rate)
    for metric in METRICS:
        if metric.speech_only and kind.lower() != SPEECH:
            continue
        try:
            figures[metric.name] = finite(float(ways[metric.name]()))
        except NoFigure as reason:
            failures[metric.name] = str(reason)
    return figures, failures


def _distances(
    reference: Samples, estimate: Samples, sample_rate: int
) -> dict[str, Callable[[], Tensor | float]]:
    """A function for each figure that compares spectrograms or waveforms."""
    y, x = _batch(estimate), _batch(reference)
    y_low, x_low = (_batch(at_rate(s, sample_rate, LOW_RATE)) for s in (estimate, reference))
    aligned = cache(partial(waveform.aligned_si_sdr, y, x))
    return {
        "mel": partial(spectral.mel_distance, y, x, sample_rate),
        "mel_training": partial(spectral.mel_loss, y, x, sample_rate),
        "stft": partial(spectral.stft_loss, y, x),
        "mel_22k": partial(spectral.mel_distance, y_low, x_low, LOW_RATE),
        "stft_22k": partial(spectral.stft_loss, y_low, x_low),
        "si_sdr": partial(waveform.capped_si_sdr, y, x),
        "si_sdr_aligned": lambda: aligned()[0],
        "lag": lambda: aligned()[1],
        "waveform_l1": partial(waveform.waveform_l1, y, x),
    }


def _marks(
    reference: Samples, estimate: Samples, sample_rate: int
) -> dict[str, Callable[[], float]]:
    """A function for each figure that predicts listeners' ratings."""
    measures = {
        "visqol": perceptual.visqol,
        "visqol_speech": perceptual.visqol_speech,
        "pesq": perceptual.pesq_wide_band,
        "stoi": perceptual.stoi,
        "estoi": perceptual.estoi,
    }
    return {
        name: partial(measure, estimate, reference, sample_rate)
        for name, measure in measures.items()
    }


def _batch(audio: Samples) -> Tensor:
    """A copy shaped (1, 1, n_samples)."""
    return torch.from_numpy(np.array(audio, np.float32))[None, None]
