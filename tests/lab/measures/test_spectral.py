"""Distances against values that the published package computed, and their properties."""

import json
import math
from pathlib import Path

import pytest
import soundfile as sf
import torch
from auraloss.freq import STFTLoss
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.measures import scales, spectral, waveform
from audiocodec.lab.measures.signals import NoFigure
from tests.lab.measures.sounds import as_batch, hiss, syllables

GOLDEN = Path(__file__).parents[2] / "data" / "golden_training"
RATE = 44100


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate and reference."""
    estimate, reference = (
        torch.from_numpy(sf.read(GOLDEN / f"{name}.wav", dtype="float32")[0])[None, None]
        for name in ("estimate", "reference")
    )
    return estimate, reference


@pytest.fixture(scope="module")
def golden() -> dict[str, float]:
    """What descript-audio-codec 1.0.0 computes of the pair."""
    return json.loads((GOLDEN / "values.json").read_text())


def test_distances_equal_the_published_ones(pair, golden):
    """Mel loss, mel distance, STFT loss, waveform L1 and SI-SDR agree to 1e-4."""
    estimate, reference = pair
    found = {
        "mel_loss_training": spectral.mel_loss(estimate, reference, RATE),
        "mel_distance_evaluation": spectral.mel_distance(estimate, reference, RATE),
        "stft_loss_default": spectral.stft_loss(estimate, reference),
        "waveform_l1": waveform.waveform_l1(estimate, reference),
        "sisdr_loss_default": -waveform.si_sdr(estimate, reference),
    }
    for name, value in found.items():
        assert float(value) == pytest.approx(golden[name], rel=1e-4), name


def test_filters_have_no_empty_band():
    """Every band of the paper's scales hears something."""
    for window, n in zip(scales.PAPER_WINDOWS, scales.PAPER_MELS, strict=True):
        assert (spectral.mel_filterbank(RATE, window, n).sum(dim=1) > 0).all()


def test_complex_loss_hears_phase_and_is_relative(pair):
    """Nothing lost is 0, silence about 1, a sign flip 2, and the level does not matter."""
    _, reference = pair
    assert spectral.complex_loss(reference, reference, RATE) == 0
    silence = spectral.complex_loss(0 * reference, reference, RATE)
    assert 0.7 < silence <= 1
    flipped = spectral.complex_loss(-reference, reference, RATE)
    assert float(flipped) == pytest.approx(2 * float(silence), rel=1e-4)
    quiet = spectral.complex_loss(0 * reference, 0.1 * reference, RATE)
    assert float(quiet) == pytest.approx(float(silence), rel=0.02)


def test_si_sdr_ignores_scale_and_offset(pair):
    """A louder estimate with an offset is as good."""
    estimate, reference = pair
    again = waveform.si_sdr(3 * estimate + 0.1, reference)
    assert again == pytest.approx(waveform.si_sdr(estimate, reference), abs=1e-3)


def test_stft_distance_is_that_of_auraloss(pair):
    """Its natural logarithm weighed to be log10 of powers, without spectral convergence."""
    found = float(spectral.stft_loss(*pair))
    theirs = 0.0
    for window in scales.STFT_WINDOWS:
        settings = {"fft_size": window, "hop_size": window // 4, "win_length": window}
        weights = {"w_sc": 0, "w_log_mag": 2 / math.log(10), "w_lin_mag": 1}
        theirs += float(STFTLoss(**settings, **weights, eps=spectral.FLOOR**2)(*pair))
    assert found == pytest.approx(theirs, rel=1e-4)


DISTANCES = {
    "mel": lambda a, b: spectral.mel_distance(a, b, RATE),
    "mel_training": lambda a, b: spectral.mel_loss(a, b, RATE),
    "stft": spectral.stft_loss,
}


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_distances_grow_with_noise(distance):
    """Zero for the signal itself, more the more noise."""
    clean = syllables(22050, 44100)
    a, b, c = (as_batch(clean + gain * hiss(22050)) for gain in (0, 1, 4))
    assert distance(a, a) == 0
    assert 0 < distance(b, a) < distance(c, a)


@given(gain=st.floats(0.1, 10))
def test_distances_of_a_gain_can_be_computed(gain):
    """log10 g for each scale, twice as much where powers are compared, and what magnitudes lose."""
    loud = as_batch(100 * hiss(22050))  # every band is far above the floor
    found = {name: float(distance(gain * loud, loud)) for name, distance in DISTANCES.items()}
    logarithms = abs(math.log10(gain))
    spectra = {w: spectral.spectrogram(loud, w).abs() for w in scales.STFT_WINDOWS}
    mels = [
        spectral.mel_filterbank(RATE, w, n) @ spectra[w]
        for w, n in zip(scales.STFT_WINDOWS, scales.EVALUATION_MELS, strict=True)
    ]
    lost = [abs(1 - gain) * sum(float(m.mean()) for m in s) for s in (mels, spectra.values())]
    assert found["mel_training"] == pytest.approx(7 * logarithms, abs=0.01)
    assert found["mel"] == pytest.approx(4 * logarithms + lost[0], abs=0.01)
    assert found["stft"] == pytest.approx(4 * logarithms + lost[1], abs=0.01)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_clips_of_half_a_window_have_no_figure(distance):
    """There is nothing to reflect at their edges; one sample more is enough."""
    short, enough = as_batch(hiss(1024)), as_batch(hiss(1025))
    with pytest.raises(NoFigure, match="half a window of 2048"):
        distance(short, short)
    assert distance(enough, enough) == 0
