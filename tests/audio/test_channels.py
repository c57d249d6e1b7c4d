"""Channel orders: each container's own, and the way back."""

import numpy as np
import pytest

from audiocodec.audio.channels import VORBIS_ORDER, WAVE_ORDER, vorbis_from_wave, wave_from_vorbis


@pytest.mark.parametrize("channels", range(1, 9))
def test_there_and_back(channels):
    """Both orders name the same speakers, and reordering twice changes nothing."""
    samples = np.arange(2 * channels, dtype=np.float32).reshape(2, channels)
    assert sorted(WAVE_ORDER[channels]) == sorted(VORBIS_ORDER[channels])
    assert np.array_equal(wave_from_vorbis(vorbis_from_wave(samples)), samples)


def test_five_point_one():
    """FL FR FC LFE BL BR of a WAVE file are FL FC FR BL BR LFE in Ogg."""
    samples = np.arange(6, dtype=np.float32)[None]
    assert vorbis_from_wave(samples).tolist() == [[0, 2, 1, 4, 5, 3]]


def test_other_counts_are_left_alone():
    """There is no order to have."""
    samples = np.zeros((1, 12), np.float32)
    assert wave_from_vorbis(samples) is samples
