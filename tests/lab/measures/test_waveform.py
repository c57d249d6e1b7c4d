"""SI-SDR and alignment: of signals whose figure can be computed, and as other packages have it."""

import math

import numpy as np
import pytest
import torch
from auraloss.time import SISDRLoss
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.signals import NoFigure
from audiocodec.lab.measures.waveform import MAX_LAG, aligned_si_sdr, capped_si_sdr, si_sdr
from tests.lab.measures.sounds import as_batch, hiss, syllables, tone

N = 100_000
SPEECH = syllables(N, 44100)
decibels = st.floats(-30, 50)


def shifted(lag: int, n_samples: int = 8000) -> tuple[torch.Tensor, torch.Tensor]:
    """A part of a noise and the part `lag` samples earlier: estimate that is late, reference."""
    long = hiss(n_samples + 2 * MAX_LAG)
    estimate = long[MAX_LAG - lag :][:n_samples]
    return as_batch(estimate), as_batch(long[MAX_LAG:][:n_samples])


@given(snr_db=st.floats(0, 50), seed=st.integers(0, 1000))
def test_si_sdr_is_the_ratio_of_noise_that_was_added(snr_db, seed):
    """White noise hardly resembles the signal, so that none of it counts as signal."""
    noise = hiss(N, seed)
    noise *= SPEECH.std() / noise.std() * 10 ** (-snr_db / 20)
    assert si_sdr(as_batch(SPEECH + noise), as_batch(SPEECH)) == pytest.approx(snr_db, abs=0.1)


@given(snr_db=decibels)
def test_si_sdr_is_exact_for_orthogonal_noise(snr_db):
    """Another whole number of periods shares nothing with the signal."""
    noise = 10 ** (-snr_db / 20) * tone(N, 40)
    found = si_sdr(as_batch(tone(N, 100) + noise), as_batch(tone(N, 100)))
    assert found == pytest.approx(snr_db, abs=1e-3)


def test_si_sdr_of_a_sinusoid_in_noise():
    """Amplitude 0.5 has a power of 1/8, the noise one of 1e-4: 30.97 dB."""
    found = si_sdr(as_batch(tone(N, 100) + hiss(N)), as_batch(tone(N, 100)))
    assert found == pytest.approx(10 * math.log10(1250), abs=0.1)


@given(snr_db=decibels, gain=st.sampled_from([-2.0, -0.3, 0.5, 1.0]), offset=st.floats(-0.1, 0.1))
def test_si_sdr_is_that_of_auraloss_and_torchmetrics(snr_db, gain, offset):
    """For any level, offset and polarity."""
    noise = 10 ** (-snr_db / 20) * hiss(8000)
    reference = as_batch(SPEECH[:8000]).double()
    estimate = (gain * (reference + as_batch(noise)) + offset).double()
    found = si_sdr(estimate, reference)
    theirs = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)
    assert found == pytest.approx(float(theirs), abs=0.01)
    assert found == pytest.approx(-float(SISDRLoss()(estimate, reference)), abs=0.01)


def test_si_sdr_is_kept_in_range():
    """Identical signals give the upper end, unrelated ones stay above the lower end."""
    audio = as_batch(SPEECH[:8000])
    assert capped_si_sdr(audio, audio) == 80
    assert aligned_si_sdr(audio, audio) == (80, 0)
    assert -80 <= capped_si_sdr(as_batch(hiss(8000)), audio) < -10


@pytest.mark.parametrize("figure", [capped_si_sdr, aligned_si_sdr])
def test_silence_has_no_si_sdr(figure):
    """Nothing was there to be distorted, or nothing is left; an offset alone is no sound."""
    sound, silence = as_batch(hiss(100)), torch.zeros(1, 1, 100)
    for nothing in (silence, silence + 0.5):
        with pytest.raises(NoFigure, match="silent reference"):
            figure(sound, nothing)
        with pytest.raises(NoFigure, match="silent estimate"):
            figure(nothing, sound)


@pytest.mark.parametrize("figure", [si_sdr, capped_si_sdr, aligned_si_sdr])
def test_other_lengths_are_a_mistake(figure):
    """A sample more is an error, not a figure."""
    with pytest.raises(ArgumentError, match="same length"):
        figure(as_batch(hiss(101)), as_batch(hiss(100)))


@given(lag=st.integers(-MAX_LAG, MAX_LAG), sign=st.sampled_from([-1, 1]))
def test_the_lag_is_found_in_both_directions(lag, sign):
    """To the sample, whatever the polarity; what is left is the noise added, 40 dB down."""
    estimate, reference = shifted(lag)
    noisy = sign * (estimate + 0.01 * as_batch(hiss(8000, seed=1)))
    figure, found = aligned_si_sdr(noisy, reference)
    assert found == lag
    assert figure == pytest.approx(40, abs=0.5)


@given(lag=st.integers(-40, 40), n_samples=st.integers(82, 200))
def test_short_clips_are_aligned_too(lag, n_samples):
    """A click that moves within the clip, by up to half its length."""
    click = as_batch(np.eye(n_samples, dtype=np.float32)[n_samples // 2])
    assert aligned_si_sdr(click.roll(lag, -1), click) == (80, lag)


def test_lags_beyond_the_range_are_not_found():
    """An echo a second later is not a delay of the codec."""
    estimate, reference = shifted(300)
    figure, lag = aligned_si_sdr(estimate, reference, max_lag=200)
    assert abs(lag) <= 200
    assert figure < 0


@given(period=st.floats(8, 1000), phase=st.floats(0, 6.3))
def test_a_period_of_a_periodic_signal_is_no_lag(period, phase):
    """A tone fits itself again after each period: the nearest fit is taken."""
    sound = tone(16000, period, phase)
    assert aligned_si_sdr(as_batch(sound + 0.1 * hiss(16000)), as_batch(sound))[1] == 0


def test_of_equal_lags_the_nearest_counts_then_the_positive():
    """Each of several clicks fits the one of the reference."""
    reference, estimate = np.zeros((2, 100), np.float32)
    reference[50], estimate[[45, 55]] = 1, 1
    assert aligned_si_sdr(as_batch(estimate), as_batch(reference))[1] == 5
    estimate[47] = 1
    assert aligned_si_sdr(as_batch(estimate), as_batch(reference))[1] == -3
