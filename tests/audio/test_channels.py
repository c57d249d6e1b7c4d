"""Channel orders: each container's own, and the way back."""

import io
import struct

import numpy as np
import pytest
import soundfile as sf

from audiocodec.audio import open_audio
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


def tones(channels, rate):
    """A louder tone in each channel than in the one before, low enough for an LFE."""
    time = np.arange(rate)[:, None] / rate
    return np.sin(2 * np.pi * 60 * time) * (0.05 + 0.05 * np.arange(channels))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_comes_in_the_order_of_wave_files(subtype, channels):
    """Written in Vorbis's order, as soundfile takes it, it is read in that of WAVE files."""
    file, samples = io.BytesIO(), tones(channels, 48000)
    ogg = vorbis_from_wave(samples)
    sf.write(file, ogg, 48000, format="OGG", subtype=subtype)
    with open_audio(file) as audio:
        read = np.concatenate(list(audio.blocks()))
    inner = slice(4800, 43200)
    levels = np.sqrt(np.mean(read[inner] ** 2, axis=0))
    assert np.allclose(levels, np.sqrt(np.mean(samples[inner] ** 2, axis=0)), rtol=0.2)
    assert np.array_equal(np.argsort(levels), np.arange(channels))


def extensible_wav(mask, channels):
    """A WAVE file that says which speaker each channel feeds."""
    file = io.BytesIO()
    sf.write(file, tones(channels, 8000), 8000, format="WAVEX")
    raw = bytearray(file.getvalue())
    struct.pack_into("<I", raw, 40, mask)
    return io.BytesIO(raw)


@pytest.mark.parametrize(
    ("mask", "speakers"),
    [
        (0x3, ("FL", "FR")),
        (0xB, ("FL", "FR", "LFE")),
        (0x107, ("FL", "FR", "FC", "BC")),
        (0x3F, ("FL", "FR", "FC", "LFE", "BL", "BR")),
        (0x60F, ("FL", "FR", "FC", "LFE", "SL", "SR")),
        (0, ()),
    ],
)
def test_a_wave_file_says_which_speakers_it_feeds(mask, speakers):
    """The LFE of 2.1 is its third channel, which is the centre of 3.0."""
    with open_audio(extensible_wav(mask, len(speakers) or 3)) as audio:
        assert audio.speakers == speakers
