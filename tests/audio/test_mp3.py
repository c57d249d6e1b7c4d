"""MP3 to its true end: without a header that states the length, with one that lies, joined, cut."""

import io
import shutil
import subprocess
import warnings
from functools import cache

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocodec.audio import CutAudioWarning, open_audio
from audiocodec.audio.mp3_header import frame_bytes
from audiocodec.errors import AudioError

SECONDS = 3
DELAY = 1105  # of LAME and its decoders, which a header states


@cache
def mp3(seed=0, channels=2, rate=44100, vbr=True, seconds=SECONDS):
    """An MP3 file whose loudness, and so its bit rate, changes; with a Xing or Info header."""
    noise = np.random.default_rng(seed).normal(0, 0.2, (round(seconds * rate), channels))
    noise *= (np.arange(len(noise)) * 4 // len(noise) % 2 * 0.99 + 0.01)[:, None]
    file = io.BytesIO()
    how = {"bitrate_mode": "VARIABLE" if vbr else "CONSTANT", "compression_level": 0.5}
    sf.write(file, noise, rate, format="MP3", **how)
    return file.getvalue()


def frames(raw):
    """Where each frame begins, and where the last one ends."""
    found = [0]
    while n_bytes := frame_bytes(raw[found[-1] : found[-1] + 4]):
        found.append(found[-1] + n_bytes)
    return found


def without_header(raw):
    """As encoders write it that cannot go back."""
    return raw[frames(raw)[1] :]


def read_all(raw):
    with open_audio(io.BytesIO(raw)) as audio:
        samples = np.concatenate([np.zeros((0, audio.channels), np.float32), *audio.blocks()])
        assert len(samples) == audio.n_samples
    return samples


@pytest.mark.parametrize("vbr", [True, False])
@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 44100), (2, 48000), (1, 16000)])
def test_a_file_that_tells_the_truth_is_read_as_ever(channels, rate, vbr):
    """As libsndfile does, to the sample, without what the encoder added."""
    raw = mp3(0, channels, rate, vbr)
    with sf.SoundFile(io.BytesIO(raw)) as sound:
        expected = sound.read(dtype="float32", always_2d=True)
    assert np.array_equal(read_all(raw), expected)
    assert len(expected) == SECONDS * rate


@pytest.mark.parametrize("vbr", [True, False])
@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 44100), (1, 16000)])
def test_without_a_header_all_frames_are_read(channels, rate, vbr):
    """libsndfile estimates their number from the first one, and reads no further."""
    raw = mp3(0, channels, rate, vbr)
    bare, whole = read_all(without_header(raw)), read_all(raw)
    n_samples = 1152 if rate > 24000 else 576
    assert len(bare) == (len(frames(raw)) - 2) * n_samples
    assert np.allclose(bare[DELAY:][: len(whole)], whole, atol=1e-6)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="compares with ffmpeg")
@pytest.mark.parametrize("name", ["bare", "joined", "zeros"])
def test_it_is_what_ffmpeg_decodes(name):
    """The same length, and the same samples within rounding."""
    bare = without_header(mp3())
    raw = {"bare": bare, "joined": bare + bare, "zeros": bare + bytes(5000)}[name]
    command = ["ffmpeg", "-v", "quiet", "-f", "mp3", "-i", "-", "-f", "f32le", "-"]
    run = subprocess.run(command, input=raw, capture_output=True, check=True)
    expected = np.frombuffer(run.stdout, "<f4").reshape(-1, 2)
    samples = read_all(raw)
    assert samples.shape == expected.shape
    assert np.abs(samples - expected).max() < 1e-4


@pytest.mark.parametrize("vbr", [True, False])
def test_joined_files_are_read_on(vbr):
    """With their headers and tags, each without what the encoder added."""
    first, second = mp3(1, vbr=vbr), mp3(2, vbr=vbr)
    tag = b"ID3\4\0\0\0\0\2\0" + bytes(256)
    joined = tag + first + b"TAG" + bytes(125) + tag + second
    assert np.array_equal(read_all(joined), np.concatenate([read_all(first), read_all(second)]))


def test_a_file_without_a_header_behind_one_with_it():
    """The header's number of frames ends the first part."""
    first, second = mp3(1), without_header(mp3(2))
    expected = np.concatenate([read_all(first), read_all(second)])
    assert np.array_equal(read_all(first + second), expected)


def test_what_is_joined_and_cannot_be_read_on_is_told():
    """Another rate ends the sound, with what was used and what follows."""
    first = mp3()
    with pytest.warns(CutAudioWarning, match=r"only the first 3\.0 s are used; .* 32000 Hz"):
        samples = read_all(first + mp3(rate=32000))
    assert np.array_equal(samples, read_all(first))


@pytest.mark.parametrize("n_bytes", [15_000, 30_001])
def test_a_cut_file_whose_header_promises_more_is_told(n_bytes):
    """With both lengths; what is there is read."""
    raw = mp3()
    with pytest.warns(CutAudioWarning, match=r"promises 3\.\d s, there are \d\.\d s"):
        samples = read_all(raw[:n_bytes])
    whole = read_all(raw)
    assert 1000 < len(samples) < len(whole)
    assert np.array_equal(samples, whole[: len(samples)])


def test_a_file_that_ends_within_a_frame_is_told():
    """Also where no header promises anything."""
    raw = without_header(mp3())
    with pytest.warns(CutAudioWarning, match=r"cut off within a frame; there are 2\.\d s"):
        read_all(raw[: frames(raw)[100] + 50])
    read_all(raw[: frames(raw)[100]])


def test_a_header_that_promises_too_little_is_not_believed():
    """As one that was written before more was added."""
    raw = bytearray(mp3())
    at = raw.index(b"Xing") + 8
    n_frames = int.from_bytes(raw[at : at + 4], "big")
    raw[at : at + 4] = (n_frames // 3).to_bytes(4, "big")
    assert len(read_all(bytes(raw))) >= SECONDS * 44100


@pytest.mark.parametrize(
    "behind", [bytes(5000), b"x", b"TAG" + bytes(125), b"LYRICSBEGIN" + b"la " * 500]
)
@pytest.mark.parametrize("is_bare", [True, False])
def test_what_lies_behind_the_last_frame_does_no_harm(behind, is_bare, capfd):
    """It is neither an error nor told, by libmpg123 neither."""
    raw = mp3(vbr=False)
    raw = without_header(raw) if is_bare else raw
    assert np.array_equal(read_all(raw + behind), read_all(raw))
    assert capfd.readouterr() == ("", "")


def test_damaged_bytes_between_frames_are_told():
    """With the place; what is behind them is read."""
    raw = mp3(vbr=False)
    start, stop = frames(raw)[100], frames(raw)[103]
    with pytest.warns(CutAudioWarning, match=r"\d+ bytes are damaged and left out.* at 2\.6 s"):
        samples = read_all(raw[:start] + bytes(stop - start) + raw[stop:])
    assert len(samples) == pytest.approx(SECONDS * 44100, abs=4 * 1152)


@pytest.mark.parametrize(
    ("channels", "rate", "vbr"), [(1, 44100, True), (2, 48000, False), (1, 16000, False)]
)
def test_any_part_is_that_part_of_the_whole(channels, rate, vbr, capfd):
    """To the last bit, and libmpg123 says nothing."""
    raw = mp3(0, channels, rate, vbr)
    rng = np.random.default_rng(0)
    for file in (raw, without_header(raw), raw + raw):
        with open_audio(io.BytesIO(file)) as audio:
            whole = np.concatenate(list(audio.blocks()))
            for first in [0, 1, len(whole) - 1, len(whole), *rng.integers(0, len(whole), 12)]:
                part = list(audio.blocks(first, first + 2000))
                expected = whole[first : first + 2000]
                assert np.array_equal(np.concatenate(part) if part else whole[:0], expected)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=40, deadline=None)
@given(
    at=st.integers(0, 30_000),
    junk=st.binary(max_size=300),
    n_lost=st.integers(0, 5000),
    is_bare=st.booleans(),
)
def test_damage_anywhere_is_told_or_refused(at, junk, n_lost, is_bare):
    """Never a raw error, and never longer than the sound was."""
    raw = RAW[is_bare]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutAudioWarning)
        try:
            with open_audio(io.BytesIO(raw[:at] + junk + raw[at + n_lost :])) as audio:
                n_samples = sum(map(len, audio.blocks()))
        except AudioError:
            return
    assert audio.n_samples in (n_samples, None)  # None: FFmpeg reads what does not begin as MP3
    assert n_samples <= (SECONDS + 1) * 44100


RAW = [mp3(), without_header(mp3())]


def test_a_file_of_nothing_but_sync_words_is_refused():
    """Each of them could be the start of a frame."""
    with pytest.raises(AudioError, match="hardly a whole frame"):
        open_audio(io.BytesIO(mp3()[:3000] + b"\xff\xfb\x90\0" * 150_000))


def test_the_tags_of_both_kinds_are_read():
    """ID3v2 wins; ID3v1 is Latin-1, or what a program put there."""
    title = b"\3" + "Stück 初恋".encode()
    body = b"TIT2" + len(title).to_bytes(4, "big") + b"\0\0" + title
    v1 = b"TAG" + b"Another".ljust(30, b"\0") + "Jürgen Müller".encode("latin-1").ljust(30, b"\0")
    v1 += "宇多田ヒカル 初恋".encode("cp932").ljust(30, b"\0") + b"1999" + bytes(28) + b"\0\7\0"
    raw = b"ID3\4\0\0\0\0\0" + bytes([len(body)]) + body + mp3() + v1
    with open_audio(io.BytesIO(raw)) as audio:
        assert audio.tags == {
            "title": "Stück 初恋",
            "artist": "Jürgen Müller",
            "album": "宇多田ヒカル 初恋",
            "date": "1999",
            "tracknumber": "7",
        }


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=200), version=st.integers(2, 4), flags=st.integers(0, 255))
def test_any_id3_tag_gives_tags_or_none(body, version, flags):
    """Whatever its frames say of their sizes."""
    head = b"ID3" + bytes([version, 0, flags, 0, 0, len(body) >> 7, len(body) & 127])
    names = b"TIT2\0\0\0\5\0\0\1a", b"TT2\0\0\5"
    for start in (b"", *names):
        raw = head + (start + body)[: len(body)] + RAW[1][:3000]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CutAudioWarning)
            with open_audio(io.BytesIO(raw)) as audio:
                assert all(isinstance(text, str) for text in audio.tags.values())
