"""Loudness: the published tool's values, the standard's, and the gain made of them."""

import json
import math
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.audio import LoudnessMeter, normalizing_gain, open_audio
from audiocodec.audio.loudness import gated_loudness, high_pass, high_shelf
from audiocodec.errors import ArgumentError

GOLDEN = Path(__file__).parents[1] / "data" / "golden_training"


def sine(sample_rate, level_db, seconds=2.0, hz=1000.0):
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)[:, None].astype(np.float32)


def loudness(x, sample_rate=48000):
    meter = LoudnessMeter(sample_rate, x.shape[1])
    meter.push(x)
    return meter.integrated()


@pytest.mark.parametrize("name", ["reference", "estimate"])
def test_agrees_with_the_published_tool(name):
    """Values that descript-audiotools 0.7.2 measured."""
    expected = json.loads((GOLDEN / "values.json").read_text())[f"loudness_lufs_{name}"]
    with open_audio(GOLDEN / f"{name}.wav") as audio:
        meter = LoudnessMeter(audio.sample_rate, audio.channels)
        for block in audio.blocks():
            meter.push(block)
    assert meter.integrated() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("sample_rate", [16000, 24000, 44100, 44101, 48000, 96000, 192000])
def test_a_sine_in_two_channels_has_its_level(sample_rate):
    """EBU Tech 3341, case 1: 1 kHz at -23 dBFS in both channels is -23 LUFS."""
    x = np.repeat(sine(sample_rate, -23.0), 2, axis=1)
    assert loudness(x, sample_rate) == pytest.approx(-23.0, abs=0.1)


def test_the_relative_gate_leaves_pauses_out():
    """EBU Tech 3341, case 3: -36, -23 and -36 dBFS is -23 LUFS."""
    parts = [sine(48000, -36.0, 3), sine(48000, -23.0, 20), sine(48000, -36.0, 3)]
    x = np.repeat(np.concatenate(parts), 2, axis=1)
    assert loudness(x) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(
    ("hz", "gain_db"), [(40, -5.586), (100, -1.171), (1000, 0.656), (4000, 3.925), (10000, 3.999)]
)
def test_the_weighting_is_that_of_the_formulas(hz, gain_db):
    """The response of both filters at 48 kHz, as scipy.signal.freqz computes it from them."""
    power_db = -20.0 - 10 * math.log10(2)
    assert loudness(sine(48000, -20.0, 20, hz)) == pytest.approx(
        power_db - 0.691 + gain_db, abs=0.01
    )


@pytest.mark.parametrize(
    ("channels", "weights"),
    [
        (3, [1, 1, 1]),
        (4, [1, 1, 1.41, 1.41]),
        (5, [1, 1, 1, 1.41, 1.41]),
        (6, [1, 1, 1, 0, 1.41, 1.41]),
        (7, [1, 1, 1, 0, 1, 1.41, 1.41]),
        (8, [1, 1, 1, 0, 1, 1, 1.41, 1.41]),
    ],
)
def test_channels_have_the_weights_of_the_standard(channels, weights):
    """In WAV order: surround counts 1.5 dB more, the LFE not at all."""
    mono = loudness(sine(48000, -23.0, 1))
    for channel, weight in enumerate(weights):
        x = np.zeros((48000, channels), np.float32)
        x[:, channel] = sine(48000, -23.0, 1)[:, 0]
        expected = mono + 10 * math.log10(weight) if weight else -70.0
        assert loudness(x) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("speakers", "weights"),
    [
        (("FL", "FR", "LFE"), [1, 1, 0]),
        (("FL", "FR", "FC", "BC"), [1, 1, 1, 1]),
        (("FL", "FR", "FC", "LFE", "SL", "SR"), [1, 1, 1, 0, 1.41, 1.41]),
    ],
)
def test_the_speakers_decide_where_they_are_known(speakers, weights):
    """Of 2.1 the third channel is not the centre but the LFE."""
    x = np.zeros((48000, len(speakers)), np.float32)
    for channel, weight in enumerate(weights):
        x[:] = 0
        x[:, channel] = sine(48000, -23.0, 1)[:, 0]
        meter = LoudnessMeter(48000, len(speakers), speakers)
        meter.push(x)
        mono = loudness(sine(48000, -23.0, 1))
        expected = mono + 10 * math.log10(weight) if weight else -70.0
        assert meter.integrated() == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(
    sample_rate=st.sampled_from([8000, 44100, 44101]),
    n_samples=st.integers(1, 40_000),
    cuts=st.lists(st.integers(0, 40_000), max_size=8),
)
def test_the_result_does_not_depend_on_how_it_was_pushed(sample_rate, n_samples, cuts):
    """Any cutting, any length; and asking in between changes nothing."""
    x = np.random.default_rng(n_samples).uniform(-0.1, 0.1, (n_samples, 2)).astype(np.float32)
    meter = LoudnessMeter(sample_rate, 2)
    for part in np.split(x, sorted(min(cut, n_samples) for cut in cuts)):
        meter.push(part)
        meter.integrated()
    assert meter.integrated() == pytest.approx(loudness(x, sample_rate), abs=1e-9)
    assert meter.peak == np.abs(x).max()


def test_equals_the_filters_sample_by_sample():
    """The recursion as the standard draws it, of three channels; ends within a run and a slot."""
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (6789, 3)).astype(np.float32)
    y = x.astype(np.float64)
    for b, a in (c / c[1, 0] for c in (high_shelf(8000), high_pass(8000))):
        state = np.zeros((2, 3))
        for n, sample in enumerate(y.copy()):
            y[n] = b[0] * sample + state[0]
            state = np.array([state[1], np.zeros(3)]) + np.outer(b[1:], sample)
            state -= np.outer(a[1:], y[n])
    energies = np.add.reduceat((y**2).sum(axis=1), np.arange(0, len(y), 800))
    assert loudness(x, 8000) == pytest.approx(gated_loudness(energies, 8000), abs=1e-9)


def test_rumble_does_not_depend_on_how_it_was_pushed():
    """Where the high pass leaves a thousandth, the digits that stay are right: 2 Hz at 192 kHz."""
    x = np.outer(sine(192000, -6.0, 1.0, 2.0), np.linspace(0.1, 1.0, 8)).astype(np.float32)
    meter = LoudnessMeter(192000, 8)
    for part in np.array_split(x, 77):
        meter.push(part)
    assert meter.integrated() == pytest.approx(loudness(x, 192000), abs=1e-9)


@pytest.mark.parametrize("n_samples", [0, 1, 100, 48000])
def test_silence_is_at_the_floor(n_samples):
    """Not minus infinity."""
    assert loudness(np.zeros((n_samples, 2), np.float32)) == -70.0


def test_short_sounds_are_measured_with_silence_after_them():
    """As the published tool does: padded to 0.5 s, two blocks of 400 ms."""
    x = sine(48000, -20.0, 0.2)
    padded = np.concatenate([x, np.zeros((24000 - len(x), 1), np.float32)])
    assert loudness(x) == pytest.approx(loudness(padded), abs=1e-9)
    assert loudness(np.full((1, 1), 1e-4, np.float32)) == -70.0


def test_memory_is_ten_numbers_a_second():
    """An hour of audio is 36000 numbers."""
    meter = LoudnessMeter(8000, 1)
    for _ in range(30):
        meter.push(sine(8000, -20.0, 1.0))
    assert len(meter._energies) == 300
    assert len(meter._pending) < 128


@pytest.mark.parametrize("channels", [0, 9])
def test_other_channel_counts_are_refused(channels):
    """There are weights for 1 to 8."""
    with pytest.raises(ArgumentError, match=f"{channels} channels"):
        LoudnessMeter(48000, channels)


def test_blocks_of_another_shape_are_refused():
    """A mono block in a stereo meter."""
    with pytest.raises(ArgumentError, match=r"\(5, 1\)"):
        LoudnessMeter(48000, 2).push(np.zeros((5, 1), np.float32))


@pytest.mark.parametrize(
    ("lufs", "peak", "expected"),
    [
        (-16.0, 0.5, 1.0),
        (-36.0, 0.05, 10.0),
        (-36.0, 0.5, 2.0),  # limited by the peak
        (-6.0, 1.0, 10**-0.5),
        (-10.0, 8.0, 0.125),  # limited by the peak, downwards
        (-70.0, 0.0, 1.0),  # silence
        (-math.inf, 0.0, 1.0),
        (-math.inf, 1e-6, 10**2.7),
    ],
)
def test_the_gain_leads_to_the_target_or_to_full_scale(lufs, peak, expected):
    """One gain for all channels, -16 LUFS unless the peak forbids it."""
    assert normalizing_gain(lufs, peak) == pytest.approx(expected)


@given(st.floats(-200, 200), st.floats(0, 3e38))
def test_the_gain_is_a_number_above_zero(lufs, peak):
    """Never 0, never infinite, and never beyond full scale."""
    gain = normalizing_gain(lufs, peak)
    assert 0 < gain < math.inf
    assert peak * gain <= 1.0
