"""Figures of merit: known values, and no figure where there is none."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.train.metrics import (
    NoFigure,
    at_rate,
    capped_si_sdr,
    estoi,
    mel_distance,
    mel_training_distance,
    pesq_wide_band,
    stft_distance,
    visqol,
)


def syllables(n_samples: int, rate: int) -> np.ndarray:
    """Harmonics that swell and fade four times a second, as speech does."""
    time_s = np.arange(n_samples) / rate
    pitch = 2 * np.pi * (120 * time_s + 15 * np.sin(3 * time_s))
    voice = sum(np.sin(n * pitch) / n for n in range(1, 20))
    return (0.1 * voice * np.clip(np.sin(25 * time_s), 0, 1)).astype(np.float32)


def hiss(n_samples: int) -> np.ndarray:
    """Seeded noise at -40 dB."""
    return 0.01 * np.random.default_rng(0).standard_normal(n_samples, np.float32)


def as_batch(audio: np.ndarray) -> torch.Tensor:
    """(1, 1, n_samples)"""
    return torch.from_numpy(audio)[None, None]


@pytest.mark.parametrize(
    "distance",
    [
        lambda a, b: mel_distance(a, b, 44100),
        lambda a, b: mel_training_distance(a, b, 44100),
        stft_distance,
    ],
    ids=["mel", "mel_training", "stft"],
)
def test_distances_grow_with_noise(distance):
    """Zero for the signal itself, more the more noise."""
    clean = syllables(22050, 44100)
    a, b, c = (as_batch(clean + gain * hiss(22050)) for gain in (0, 1, 4))
    assert distance(a, a) == 0
    assert 0 < distance(b, a) < distance(c, a)


def test_the_two_mel_distances_differ():
    """A gain of 10 is 1 in log10, over 7 scales; powers count twice, over 2, with magnitudes."""
    loud, soft = as_batch(100 * hiss(44100)), as_batch(10 * hiss(44100))  # far above the floor
    assert mel_training_distance(soft, loud, 44100) == pytest.approx(7, abs=0.05)
    assert mel_distance(soft, loud, 44100) - 4 > 0.1


def test_si_sdr_is_kept_in_range():
    """Identical signals give the upper end, unrelated ones stay above the lower end."""
    audio = as_batch(syllables(8000, 16000))
    assert capped_si_sdr(audio, audio) == 80
    assert -80 <= capped_si_sdr(as_batch(hiss(8000)), audio) < -10


@pytest.mark.parametrize("metric", [visqol, pesq_wide_band, estoi])
def test_silence_has_no_figure(metric):
    """Whichever of the two is silent."""
    audio, silence = syllables(32000, 16000), np.zeros(32000, np.float32)
    with pytest.raises(NoFigure, match="silent reference"):
        metric(audio, silence, 16000)
    with pytest.raises(NoFigure, match="silent estimate"):
        metric(silence, audio, 16000)


def test_silence_has_no_si_sdr():
    """Nothing was there to be distorted."""
    with pytest.raises(NoFigure, match="silent reference"):
        capped_si_sdr(as_batch(hiss(100)), torch.zeros(1, 1, 100))


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


@given(n_samples=st.integers(1, 3000))
def test_resampling_keeps_the_duration(n_samples):
    """Rounded up to a whole sample."""
    assert len(at_rate(hiss(n_samples), 16000, 48000)) == 3 * n_samples
