"""ViSQOL, PESQ and STOI: known scores, and no figure where there is none."""

import sys

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio.pesq import perceptual_evaluation_speech_quality
from torchmetrics.functional.audio.stoi import short_time_objective_intelligibility
from visqol import VisqolApi

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures import perceptual
from audiocodec.lab.measures.perceptual import estoi, pesq_wide_band, stoi, visqol, visqol_speech
from audiocodec.lab.measures.signals import NoFigure, at_rate
from tests.lab.measures.sounds import hiss, syllables

ALL = [visqol, visqol_speech, pesq_wide_band, stoi, estoi]


@pytest.mark.parametrize("metric", ALL)
def test_silence_has_no_figure(metric):
    """Whichever of the two is silent."""
    audio, silence = syllables(32000, 16000), np.zeros(32000, np.float32)
    with pytest.raises(NoFigure, match="silent reference"):
        metric(audio, silence, 16000)
    with pytest.raises(NoFigure, match="silent estimate"):
        metric(silence, audio, 16000)


@pytest.mark.parametrize("metric", ALL)
def test_other_lengths_are_a_mistake(metric):
    """A sample more is an error, not a figure."""
    with pytest.raises(ArgumentError, match="same length"):
        metric(hiss(32001), hiss(32000), 16000)


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize("n_samples", [1, 200, 1500])
def test_a_fraction_of_a_second_has_no_figure(metric, n_samples):
    """However short it is."""
    with pytest.raises(NoFigure, match=r"shorter than 1 s|BufferTooShort|too little speech"):
        metric(hiss(n_samples), hiss(n_samples), 16000)


def test_visqol_ranks_and_refuses_short_clips():
    """Highest for the signal itself; none for less than a second."""
    clean = syllables(48000, 48000)
    assert visqol(clean, clean, 48000) == pytest.approx(4.73, abs=0.01)
    assert 1 <= visqol(clean + hiss(48000), clean, 48000) < 4.5
    with pytest.raises(NoFigure, match="shorter than 1 s"):
        visqol(clean[:47999], clean[:47999], 48000)


def test_pesq_ranks_at_any_rate():
    """At other rates than 16 kHz it is given what was resampled."""
    clean = syllables(44100, 22050)
    assert pesq_wide_band(clean, clean, 22050) == pytest.approx(4.64, abs=0.01)
    assert pesq_wide_band(clean + hiss(44100), clean, 22050) < 4


def test_pesq_failures_say_which():
    """A clip under a quarter of a second is too short for it."""
    with pytest.raises(NoFigure, match="BufferTooShortError"):
        pesq_wide_band(hiss(1000), hiss(1000), 16000)


def test_estoi_needs_some_speech():
    """0.2 s is not enough; two seconds are."""
    clean = syllables(20000, 10000)
    assert estoi(clean, clean, 10000) == pytest.approx(1, abs=1e-3)
    with pytest.raises(NoFigure, match="too little speech"):
        estoi(clean[:2000], clean[:2000], 10000)


def speech_mode(lattice: bool, estimate: np.ndarray, reference: np.ndarray) -> float:
    """The package's own score of 16 kHz signals."""
    api = VisqolApi()
    api.create(mode="speech", use_lattice_model=lattice)
    return api.measure_from_arrays(reference, estimate, 16000).moslqo


def test_visqol_of_speech_has_the_mark_of_the_lattice_at_16_khz():
    """Not that of the polynomial, which is too high; at any rate of the clip."""
    clean, noisy = syllables(48000, 48000), syllables(48000, 48000) + 0.1 * hiss(48000)
    found = visqol_speech(noisy, clean, 48000)
    low = [at_rate(s, 48000, 16000) for s in (noisy, clean)]
    assert found == pytest.approx(speech_mode(True, *low), abs=1e-3)
    assert found < speech_mode(False, *low) - 0.3
    assert found < visqol_speech(clean, clean, 48000) < 4.8


@pytest.mark.parametrize(
    ("metric", "module", "package"),
    [
        (visqol, "visqol", "visqol"),
        (visqol_speech, "ai_edge_litert.interpreter", "ai_edge_litert"),
        (pesq_wide_band, "pesq", "pesq"),
        (stoi, "pystoi", "pystoi"),
    ],
)
def test_a_missing_package_is_named_with_the_extra(metric, module, package, monkeypatch):
    """Never replaced in silence by something that gives other scores."""
    perceptual._visqol_api.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ArgumentError, match=rf"needs {package}: pip install 'audiocodec\[eval\]'"):
        metric(hiss(32000), hiss(32000), 16000)


@pytest.mark.parametrize("noise", [0.1, 1, 5])
def test_pesq_and_stoi_are_those_of_torchmetrics(noise):
    """At 16 kHz, reference and estimate not swapped."""
    clean = syllables(32000, 16000)
    noisy = clean + noise * hiss(32000)
    y, x = torch.from_numpy(noisy), torch.from_numpy(clean)
    theirs = {
        pesq_wide_band: perceptual_evaluation_speech_quality(y, x, 16000, "wb"),
        stoi: short_time_objective_intelligibility(y, x, 16000),
        estoi: short_time_objective_intelligibility(y, x, 16000, extended=True),
    }
    for metric, value in theirs.items():
        assert metric(noisy, clean, 16000) == pytest.approx(float(value), abs=1e-4)


def test_stoi_ranks():
    """One for the signal itself, less the more noise."""
    clean = syllables(20000, 10000)
    marks = [stoi(clean + gain * hiss(20000), clean, 10000) for gain in (0, 1, 10)]
    assert marks[0] == pytest.approx(1, abs=1e-6)
    assert marks[0] > marks[1] > marks[2]
