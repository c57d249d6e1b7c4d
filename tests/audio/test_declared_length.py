"""A sound file that is cut is used as far as it goes, with one word about what is missing."""

import io
import struct
import warnings

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.audio import CutAudioWarning, open_audio
from audiocodec.audio.declared_length import declared_share

RATE = 8000
SECONDS = 10
HEADERS = {"WAV": (44, "<I", 40), "AIFF": (54, ">I", 42)}  # bytes, then the size of the sound


def sound_file(format="WAV", n_samples=SECONDS * RATE, subtype="PCM_16"):
    """The bytes of a file of noise."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, n_samples)
    sf.write(file, noise, RATE, format=format, subtype=subtype)
    return file.getvalue()


def cut_in_half(raw):
    """Without the second half of its bytes."""
    return raw[: len(raw) // 2 + 60]


def read_all(source):
    with open_audio(source) as audio:
        return np.concatenate([np.empty((0, audio.channels), np.float32), *audio.blocks()])


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AIFF", "FLOAT"),
    ],
)
def test_a_cut_file_is_told_once_and_read(tmp_path, format, subtype):
    """Name, promised and real length; two readings of what is there follow without a word."""
    whole = sound_file(format, subtype=subtype)
    (tmp_path / "a.snd").write_bytes(cut_in_half(whole))
    message = r"a\.snd: its header promises (10|9\.9|10\.0)[.\d]* s, there are (5|4\.9)[.\d]* s$"
    with pytest.warns(CutAudioWarning, match=message) as caught:
        audio = open_audio(tmp_path / "a.snd")
    assert len(caught) == 1
    with audio:
        first, second = (np.concatenate(list(audio.blocks())) for _ in range(2))
    n_there = len(first)
    assert 4.9 * RATE < n_there < 5.1 * RATE
    assert np.array_equal(first, second)
    if subtype != "IMA_ADPCM":  # whose last block is cut as well
        assert np.array_equal(first, read_all(io.BytesIO(whole))[:n_there])


def test_the_words(tmp_path):
    """Seconds, to a tenth of one, or finer where less is missing."""
    raw = sound_file()
    for missing_s, words in [(5, "10.0 s, there are 5.0 s"), (0.05, "10.00 s, there are 9.95 s")]:
        (tmp_path / "a.wav").write_bytes(raw[: len(raw) - int(2 * RATE * missing_s)])
        with pytest.warns(CutAudioWarning) as caught:
            read_all(tmp_path / "a.wav")
        assert str(caught[0].message) == f"{tmp_path / 'a.wav'}: its header promises {words}"


@pytest.mark.parametrize("format", ["WAV", "RF64", "AIFF", "FLAC", "OGG", "CAF", "AU", "W64"])
def test_a_whole_file_is_not_told_of(format):
    """With a chunk behind the sound, too."""
    raw = sound_file(format, subtype=None)
    assert declared_share(io.BytesIO(raw)) == 1
    assert declared_share(io.BytesIO(raw + b"LIST\4\0\0\0INFO")) == 1
    read_all(io.BytesIO(raw))


@pytest.mark.parametrize(
    ("format", "size"),
    [
        ("WAV", 0),
        ("WAV", 2**32 - 1),
        ("WAV", 2**32 - 1 - 44),
        ("WAV", 2**32 - 32),
        ("WAV", 0x7FFFF000),
        ("WAV", 0x7FFFFF00),
        ("WAV", 2**31 - 1),
        ("WAV", 2**31),
        ("AIFF", 0),
        ("AIFF", 0x7F000008),
        ("AIFF", 2**32 - 1),
    ],
)
def test_a_size_written_ahead_of_the_sound_promises_nothing(format, size):
    """A program that writes to a pipe cannot know it."""
    raw = bytearray(sound_file(format))
    _, form, at = HEADERS[format]
    struct.pack_into(form, raw, at, size)
    assert declared_share(io.BytesIO(raw)) == 1
    n_samples = 0 if (format, size) == ("WAV", 0) else SECONDS * RATE  # libsndfile believes it
    assert len(read_all(io.BytesIO(raw))) == n_samples


@pytest.mark.parametrize("size", [0, 2**63, 2**64 - 1])
def test_a_long_size_written_ahead_promises_nothing(size):
    """RF64 keeps it in another chunk."""
    raw = bytearray(sound_file("RF64"))
    struct.pack_into("<Q", raw, 28, size)
    assert declared_share(io.BytesIO(raw)) == 1


def test_a_header_that_is_counted_as_sound_is_no_loss():
    """Some programs write the size of the file, 44 bytes too many."""
    raw = bytearray(sound_file())
    struct.pack_into("<I", raw, 40, len(raw))
    assert len(read_all(io.BytesIO(raw))) == SECONDS * RATE


def test_chunks_ahead_of_the_sound_are_passed():
    """Of an odd length, too."""
    raw = sound_file()
    raw = raw[:36] + b"JUNK\3\0\0\0abc\0" + raw[36:]
    assert declared_share(io.BytesIO(raw)) == 1
    assert declared_share(io.BytesIO(raw[: 56 + 40_000])) == pytest.approx(4)


@given(n_bytes=st.integers(0, 200), junk=st.binary(max_size=40), at=st.integers(0, 100))
@pytest.mark.parametrize("format", ["WAV", "RF64", "AIFF"])
def test_any_header_gives_a_number(format, n_bytes, junk, at):
    """Cut and altered anywhere."""
    raw = bytearray(sound_file(format, 200))
    raw[at : at + len(junk)] = junk
    assert 1 <= declared_share(io.BytesIO(raw[:n_bytes])) < 2**62


def test_chunks_without_end_are_not_followed():
    """A file of nothing but empty chunks."""
    file = io.BytesIO(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 100_000)
    assert declared_share(file) == 1


def test_a_pipe_is_told_of_too(tmp_path):
    """By what it is called."""

    class Pipe:
        name = "somewhere"

        def __init__(self, raw):
            self.read = io.BytesIO(raw).read

    with pytest.warns(CutAudioWarning, match=r"^somewhere: .* 10\.0 s, there are 5\.0 s"):
        read_all(Pipe(cut_in_half(sound_file())))


def test_a_warning_that_is_an_error_leaves_nothing_open(tmp_path):
    """Under `-W error` the file is closed again; an open one would be told of."""
    (tmp_path / "a.wav").write_bytes(cut_in_half(sound_file()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CutAudioWarning):
            open_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("format", "at", "size"),
    [
        ("RF64", 28, bytes(8)),
        ("RF64", 28, b"\xff" * 8),
        ("CAF", None, b"\xff" * 8),
    ],
)
def test_a_size_left_open_is_that_of_what_is_there(format, at, size):
    """As in RF64 and CAF files that ffmpeg writes to a pipe."""
    raw = bytearray(sound_file(format))
    at = raw.index(b"data") + 4 if at is None else at
    whole = read_all(io.BytesIO(raw))
    raw[at : at + 8] = size
    assert np.array_equal(read_all(io.BytesIO(raw))[: len(whole)], whole)
    assert len(read_all(io.BytesIO(raw))) < len(whole) + 100  # CAF: what pads it counts as sound
