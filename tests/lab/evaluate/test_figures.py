"""All figures of a decoded clip, and the reasons where there are none."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError
from audiocodec.lab.evaluate.figures import METRICS, figures_of
from audiocodec.lab.measures import perceptual, spectral
from audiocodec.lab.measures.signals import at_rate
from tests.lab.measures.sounds import as_batch, hiss, syllables

NAMES = {metric.name for metric in METRICS}
SPEECH_ONLY = {metric.name for metric in METRICS if metric.speech_only}
FOR_SILENCE = {"mel", "mel_training", "stft", "mel_22k", "stft_22k", "waveform_l1"}
GOLDEN = Path(__file__).parents[2] / "data" / "golden_training"


def test_speech_has_all_figures():
    """Every name once; those of listeners are high for a little noise."""
    clean = syllables(48000, 44100)
    figures, failures = figures_of("speech", clean, clean + 0.01 * hiss(48000), 44100)
    assert failures == {}
    assert set(figures) == NAMES
    assert all(type(figure) is float for figure in figures.values())
    assert figures["visqol"] > 4.5
    assert figures["stoi"] > 0.9
    assert figures["lag"] == 0


def test_other_sounds_have_none_of_speech():
    """Neither as a figure nor as a failure."""
    figures, failures = figures_of("music", hiss(48000), hiss(48000), 44100)
    assert failures == {}
    assert set(figures) == NAMES - SPEECH_ONLY


def test_figures_are_those_of_the_published_evaluation():
    """Golden values of descript-audio-codec 1.0.0."""
    reference, estimate = (
        sf.read(GOLDEN / f"{name}.wav", dtype="float32")[0] for name in ("reference", "estimate")
    )
    golden = json.loads((GOLDEN / "values.json").read_text())
    figures, _ = figures_of("music", reference, estimate, 44100)
    assert figures["mel"] == pytest.approx(golden["mel_distance_evaluation"], rel=1e-4)
    assert figures["mel_training"] == pytest.approx(golden["mel_loss_training"], rel=1e-4)
    assert figures["stft"] == pytest.approx(golden["stft_loss_default"], rel=1e-4)
    assert figures["waveform_l1"] == pytest.approx(golden["waveform_l1"], rel=1e-4)
    assert figures["si_sdr"] == pytest.approx(-golden["sisdr_loss_default"], rel=1e-4)


def test_distances_at_22_khz_are_of_resampled_signals():
    """What lies above 11 kHz no longer counts."""
    clean = syllables(44100, 44100)
    noisy = clean + hiss(44100)
    figures, _ = figures_of("music", clean, noisy, 44100)
    y, x = (as_batch(at_rate(s, 44100, 22050)) for s in (noisy, clean))
    assert figures["mel_22k"] == pytest.approx(float(spectral.mel_distance(y, x, 22050)))
    assert figures["stft_22k"] == pytest.approx(float(spectral.stft_loss(y, x)))
    assert figures["mel_22k"] != pytest.approx(figures["mel"], rel=0.01)


def test_a_delay_costs_si_sdr_but_not_when_aligned():
    """Eight samples late, as the published 16 kHz model is."""
    clean = hiss(16000)
    late = np.concatenate([np.zeros(8, np.float32), clean[:-8]])
    figures, _ = figures_of("environment", clean, late, 16000)
    assert figures["lag"] == 8
    assert figures["si_sdr"] < 0
    assert figures["si_sdr_aligned"] == 80


@pytest.mark.parametrize(
    ("gains", "reason"),
    [((0, 1), "silent reference"), ((1, 0), "silent estimate"), ((0, 0), "silent reference")],
)
def test_silence_keeps_only_distances(gains, reason):
    """The others would be without meaning, or the highest mark."""
    reference, estimate = (np.float32(gain) * syllables(44100, 44100) for gain in gains)
    figures, failures = figures_of("speech", reference, estimate, 44100)
    assert set(figures) == FOR_SILENCE
    assert failures == dict.fromkeys(NAMES - FOR_SILENCE, reason)


def test_the_terminal_is_not_told_of_native_code(capfd):
    """Nothing on standard error while the models of a new process are made; afterwards it works."""
    perceptual._visqol_api.cache_clear()
    clean = syllables(48000, 44100)
    figures_of("speech", clean, clean + 0.01 * hiss(48000), 44100)
    assert capfd.readouterr().err == ""
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


@given(n_samples=st.integers(0, 3000), rate=st.sampled_from([16000, 44100]))
def test_short_clips_never_crash(n_samples, rate):
    """Whatever is not defined for them says why; nothing is lost."""
    clean = syllables(n_samples, rate) + hiss(n_samples)
    figures, failures = figures_of("speech", clean, clean + hiss(n_samples, 1), rate)
    assert figures.keys() | failures.keys() == NAMES
    assert not figures.keys() & failures.keys()
    assert all(failures.values())
    assert {"visqol", "visqol_speech", "stoi", "estoi"} <= failures.keys()
    assert ("mel" in figures) == (n_samples > 1024)


def test_a_broken_decoder_has_no_figures():
    """One sample that is not a number spoils all of them, and nothing else."""
    clean = syllables(44100, 44100)
    broken = clean.copy()
    broken[1000] = np.nan
    figures, failures = figures_of("speech", clean, broken, 44100)
    assert figures == {}
    assert failures.keys() == NAMES


def test_other_lengths_are_a_mistake():
    """Of the caller, who must cut or fill what was decoded."""
    with pytest.raises(ArgumentError, match="same length"):
        figures_of("music", hiss(3000), hiss(3001), 44100)
