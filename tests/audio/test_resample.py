"""Resampling: exact length, no lag, and any part equals that part of the whole."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.audio import Resampler, input_range, resampled, resampled_length
from audiocodec.errors import ArgumentError

PAIRS = [
    (44100, 48000),
    (48000, 44100),
    (44100, 16000),
    (16000, 44100),
    (44100, 24000),
    (44100, 44101),
    (44101, 44100),
    (8000, 44100),
    (44100, 8000),
    (96000, 44100),
    (44100, 192000),
    (192000, 16000),
    (44100, 44100),
]
few = settings(deadline=None, max_examples=15, derandomize=True)


def noise(n_samples, channels=1):
    rng = np.random.default_rng(n_samples)
    return rng.uniform(-1, 1, (n_samples, channels)).astype(np.float32)


def convert(x, from_rate, to_rate, n_out=None):
    parts = list(resampled([x], from_rate, to_rate, x.shape[1], n_out))
    return np.concatenate([np.empty((0, x.shape[1]), np.float32), *parts])


@few
@given(
    pair=st.sampled_from(PAIRS),
    n_samples=st.integers(0, 100_000),
    cuts=st.lists(st.integers(0, 100_000), max_size=6),
)
def test_the_result_does_not_depend_on_how_it_was_pushed(pair, n_samples, cuts):
    """Any cutting gives the same bits, and the length is exact."""
    x = noise(n_samples, 2)
    resampler = Resampler(*pair, channels=2)
    parts = np.split(x, sorted(min(cut, n_samples) for cut in cuts))
    pushed = np.concatenate([*map(resampler.push, parts), resampler.flush()])
    assert np.array_equal(pushed, convert(x, *pair))
    assert len(pushed) == resampled_length(n_samples, *pair)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_sine_stays_in_place(pair):
    """No lag and no change of level: the same sine, sampled at the other rate."""
    from_rate, to_rate = pair
    w = 2 * np.pi * min(pair) / 10

    def sine(rate):
        return np.sin(w * np.arange(2 * rate) / rate)[:, None].astype(np.float32)

    inside = slice(to_rate // 4, -to_rate // 4)
    y = convert(sine(from_rate), *pair)
    assert np.abs(y - sine(to_rate))[inside].max() < 1e-5


@few
@given(pair=st.sampled_from(PAIRS), start=st.floats(0, 1), length=st.floats(0, 1))
def test_a_part_equals_that_part_of_the_whole(pair, start, length):
    """The range that input_range gives is enough, anywhere, the very ends included."""
    x = noise(3 * pair[0] + 17)
    whole = convert(x, *pair)
    first = int(start * len(whole))
    n_samples = int(length * (len(whole) - first))
    in_start, in_stop, skip = input_range(first, n_samples, *pair)
    part = convert(x[in_start:in_stop], *pair, n_out=skip + n_samples)[skip:]
    assert part.shape == (n_samples, 1)
    assert np.allclose(part, whole[first : first + n_samples], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pair", [(768_000, 1000), (1000, 768_000)])
def test_extreme_ratios(pair):
    """A part equals the whole, and memory stays with the segment."""
    x = noise(2 * pair[0])
    whole = convert(x, *pair)
    first, n_samples = len(whole) // 2, len(whole) // 100
    in_start, in_stop, skip = input_range(first, n_samples, *pair)
    part = convert(x[in_start:in_stop], *pair, n_out=skip + n_samples)[skip:]
    assert np.allclose(part, whole[first : first + n_samples], rtol=0, atol=1e-5)


def test_no_drift_after_a_long_time():
    """soxr alone has moved by 0.001 samples after ten minutes of 44100:44101."""
    resampler, second = Resampler(44100, 44101, 1), np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 15000 * second)[:, None].astype(np.float32)
    parts = [resampler.push(tone) for _ in range(400)]
    expected = np.sin(2 * np.pi * 15000 * np.arange(44101) / 44101)[:, None]
    assert np.abs(parts[-1] - expected).max() < 1e-4


@pytest.mark.parametrize("pair", PAIRS)
def test_there_and_back_has_the_length_that_was_asked_for(pair):
    """The decoder knows the original length; it need never pad."""
    for n_samples in (1, 2, 1000, 44100):
        x = noise(n_samples)
        back = convert(convert(x, *pair), pair[1], pair[0], n_out=n_samples)
        assert back.shape == x.shape
    assert len(convert(noise(5), *pair, n_out=20_000)) == 20_000


def test_equal_rates_change_nothing():
    """Not a bit."""
    assert np.array_equal(convert(noise(50_000), 48000, 48000), noise(50_000))


def test_channels_do_not_mix():
    """Each channel is converted alone."""
    x = noise(30_000, 8)
    alone = [convert(x[:, [channel]], 44100, 48000) for channel in range(8)]
    assert np.allclose(convert(x, 44100, 48000), np.concatenate(alone, axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("n_samples", "from_rate", "to_rate", "expected"),
    [(0, 44100, 48000, 0), (1, 44100, 48000, 2), (147, 44100, 48000, 160), (3, 48000, 16000, 1)],
)
def test_lengths_are_rounded_up(n_samples, from_rate, to_rate, expected):
    """In whole numbers, so that hours are exact too."""
    assert resampled_length(n_samples, from_rate, to_rate) == expected
    assert resampled_length(10**15 * 44100, 44100, 48000) == 10**15 * 48000


def test_memory_does_not_grow():
    """Between pushes only a segment and its surroundings are kept."""
    resampler = Resampler(44100, 48000, 1)
    for _ in range(50):
        resampler.push(noise(10_000))
        assert sum(map(len, resampler._pieces)) < 30_000


def test_wrong_arguments_are_refused():
    """Rates that are none, and blocks of another shape."""
    with pytest.raises(ArgumentError, match="0 and 44100"):
        Resampler(0, 44100, 1)
    with pytest.raises(ArgumentError, match=r"\(5, 1\).*2"):
        Resampler(44100, 48000, 2).push(noise(5))
