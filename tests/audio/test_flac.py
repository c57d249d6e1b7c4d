"""FLAC: streams that follow each other are one sound, and tags behind them are none."""

import io
import struct

import numpy as np
import pytest
import soundfile as sf

from audiocodec.audio import open_audio
from audiocodec.audio.source import CutAudioWarning
from audiocodec.errors import AudioError

RATE = 44100
ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
ID3V2 = b"ID3\x04\0\0\0\0\1\0" + bytes(128)


def ape_tag(has_header):
    size = struct.pack("<4sIII", b"2000", 32 + 50, 1, 0)
    header = b"APETAGEX" + size[:12] + b"\0\0\0\xa0" + bytes(8)
    footer = b"APETAGEX" + size[:12] + (b"\0\0\0\x80" if has_header else bytes(4)) + bytes(8)
    return (header if has_header else b"") + bytes(50) + footer


def noise(n_samples, channels=2):
    rng = np.random.default_rng(n_samples)
    return np.round(rng.uniform(-0.5, 0.5, (n_samples, channels)) * 2**15) / 2**15


def flac(samples, rate=RATE, has_length=True):
    file = io.BytesIO()
    sf.write(file, samples, rate, format="FLAC")
    data = bytearray(file.getvalue())
    if not has_length:  # as ffmpeg leaves it when it writes to a pipe
        data[21] &= 0xF0
        data[22:26] = bytes(4)
    return bytes(data)


def read_all(data, start=0):
    with open_audio(io.BytesIO(data)) as audio:
        blocks = list(audio.blocks(start))
        assert audio.n_samples in (None, start + sum(map(len, blocks)))
        return np.concatenate(blocks)


@pytest.mark.parametrize(
    ("between", "has_length"),
    [(b"", True), (ID3V1, True), (ID3V1 + ID3V2, True), (b"", False), (ape_tag(True), False)],
)
def test_joined_files_are_one_sound(between, has_length):
    """`cat a.flac b.flac c.flac` loses nothing, from any sample on."""
    sounds = [noise(70_000), noise(100), noise(30_000)]
    data = between.join(flac(sound, has_length=has_length) for sound in sounds) + ID3V1
    expected = np.concatenate(sounds)
    for start in (0, 69_999, 70_050, 90_000):
        assert np.array_equal(read_all(data, start), expected[start:])


@pytest.mark.parametrize("other", [flac(noise(500), 48000), flac(noise(500, 1))])
def test_what_cannot_be_joined_is_told(other):
    """Another rate or number of channels ends the sound with a warning."""
    sound = noise(50_000)
    with pytest.warns(CutAudioWarning, match=r"only the first 1\.1 s are used; what follows has"):
        assert np.array_equal(read_all(flac(sound) + other), sound)


def test_a_damaged_head_that_follows_is_told():
    """What is there before it is used."""
    sound = noise(50_000)
    with pytest.warns(CutAudioWarning, match=r"only the first 1\.1 s are used; what follows c"):
        assert np.array_equal(read_all(flac(sound) + flac(sound)[:30]), sound)


@pytest.mark.parametrize("cut", ["first", "second"])
def test_a_cut_part_is_damaged(cut):
    """Each part is to hold as many samples as it promises."""
    whole = flac(noise(50_000))
    data = whole[:100_000] + whole if cut == "first" else whole + whole[:100_000]
    with pytest.raises(AudioError, match="cannot be read to its end"):
        read_all(data)


def test_a_picture_of_a_flac_is_not_sound():
    """Metadata is not searched."""
    data, inner = flac(noise(1000)), flac(noise(500))
    block = b"\x02" + len(inner + b"test").to_bytes(3, "big") + b"test" + inner
    assert len(read_all(data[:42] + block + data[42:])) == 1000


@pytest.mark.parametrize("tags", [ID3V1, ape_tag(True), ape_tag(False), ape_tag(True) + ID3V1])
def test_tags_behind_a_flac_without_length_are_no_sound(tags):
    """Only its last frame tells where it ends."""
    sound = noise(50_000)
    assert np.array_equal(read_all(flac(sound, has_length=False) + tags), sound)


def test_what_is_no_frame_behind_a_stream_without_length_is_damage():
    """It may have been sound: an error, not a shorter sound."""
    data = flac(noise(50_000), has_length=False)
    with pytest.raises(AudioError, match="cannot be read to its end"):
        read_all(data + ID3V2 + data)


def test_a_file_of_very_many_streams_is_read_in_bounded_time(monkeypatch):
    """The rest is left out, and told."""
    monkeypatch.setattr("audiocodec.audio.flac.MAX_STREAMS", 10)
    sound = noise(2000)
    with pytest.warns(CutAudioWarning, match=r"only the first 0\.5 s are used"):
        assert len(read_all(flac(sound) * 15)) == 10 * len(sound)
