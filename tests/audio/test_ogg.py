"""Ogg to its true end: joined streams, lost and damaged pages, cut files, streams side by side."""

import io
import warnings
from functools import cache

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocodec.audio import CutAudioWarning, open_audio
from audiocodec.audio.ogg_pages import sound_streams
from audiocodec.errors import AudioError

CODECS = {"VORBIS": 44100, "OPUS": 48000}
SECONDS = 5


@cache
def ogg(codec, seed=0, channels=2, seconds=SECONDS, rate=None):
    """An Ogg file of coloured noise."""
    rate = rate or CODECS[codec]
    noise = np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate), channels))
    file = io.BytesIO()
    sf.write(file, np.cumsum(noise, 0) % 0.8 - 0.4, rate, format="OGG", subtype=codec)
    return file.getvalue()


def pages(raw):
    """Where each page begins and ends, and its granule position."""
    at, found = 0, []
    while at < len(raw):
        n = raw[at + 26]
        stop = at + 27 + n + sum(raw[at + 27 : at + 27 + n])
        found.append((at, stop, int.from_bytes(raw[at + 6 : at + 14], "little", signed=True)))
        at = stop
    return found


def read_all(raw):
    with open_audio(io.BytesIO(raw)) as audio:
        samples = np.concatenate([np.zeros((0, audio.channels), np.float32), *audio.blocks()])
        assert len(samples) == audio.n_samples
    return samples


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("n_files", [2, 3])
def test_joined_files_are_read_on(codec, n_files):
    """`cat a.ogg b.ogg` is a valid Ogg file, and all of its parts are sound."""
    parts = [ogg(codec, seed, seconds=seed + 1) for seed in range(n_files)]
    expected = np.concatenate([read_all(part) for part in parts])
    assert np.array_equal(read_all(b"".join(parts)), expected)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_joined_and_cannot_be_read_on_is_told(codec):
    """Another number of channels ends the sound, with what was used and what follows."""
    first = ogg(codec)
    with pytest.warns(CutAudioWarning, match=r"only the first 5\.0 s are used; .* 1 channel"):
        samples = read_all(first + ogg(codec, channels=1))
    assert np.array_equal(samples, read_all(first))


def test_a_joined_stream_of_another_kind_is_told():
    """Speex, say, behind Vorbis."""
    first, other = ogg("VORBIS"), bytearray(ogg("OPUS"))
    (start, stop, _), *_ = pages(other)
    other[start : start + 64] = other[start : start + 64].replace(b"OpusHead", b"Speex   ")
    other[start:stop] = with_checksum(bytes(other[start:stop]))
    with pytest.warns(CutAudioWarning, match="what follows is neither Vorbis nor Opus"):
        assert np.array_equal(read_all(first + bytes(other)), read_all(first))


def with_checksum(page):
    """A page with its checksum made right, bit by bit."""
    page, crc = bytearray(page), 0
    page[22:26] = bytes(4)
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 * (crc >> 31)) & 0xFFFFFFFF
    page[22:26] = crc.to_bytes(4, "little")
    return bytes(page)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "damaged"])
def test_a_bad_page_is_silent_and_what_follows_stays_in_place(codec, is_lost):
    """With the seconds and the place in a warning."""
    raw = ogg(codec)
    whole, rate, found = read_all(raw), CODECS[codec], pages(raw)
    number = len(found) // 2
    start, stop, _ = found[number]
    bad = b"" if is_lost else raw[start : start + 200] + b"\1" + raw[start + 201 : stop]
    with pytest.warns(CutAudioWarning, match=r"\d\.\d\d s are damaged or missing at \d\.\d s;"):
        samples = read_all(raw[:start] + bad + raw[stop:])
    assert len(samples) == len(whole)
    error = np.abs(samples - whole).max(axis=1)
    silent = ~samples.any(axis=1)
    gap = np.flatnonzero(silent)
    first, last = gap[0], gap[-1]
    assert not error[:first].any()
    assert silent[first:last].all()
    assert error[last + rate // 10 :].max() < 0.1  # Opus needs a little to find its way
    assert error[last + rate :].max() < 1e-3
    lost = (found[number][2] - found[number - 1][2]) / rate
    assert abs((last - first) / rate - lost) < 0.1


@pytest.mark.parametrize("codec", CODECS)
def test_pages_bad_in_several_places_are_counted(codec):
    """All that is lost is silent."""
    raw = ogg(codec)
    found = pages(raw)
    bad = bytearray(raw)
    for start, _, _ in (found[3], found[-3]):
        bad[start + 100] ^= 1
    with pytest.warns(CutAudioWarning, match=r"in 2 places, the first at \d"):
        assert len(read_all(bytes(bad))) == len(read_all(raw))


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_short_is_told(codec):
    """Its last page, which says that it is the last, is not there."""
    raw = ogg(codec)
    start, stop, _ = pages(raw)[-2]
    for cut in (raw[:stop], raw[: start + 100]):
        with pytest.warns(CutAudioWarning, match=r"cut off: .* \d\.\d s are"):
            samples = read_all(cut)
        assert np.array_equal(samples, read_all(raw)[: len(samples)])


@pytest.mark.parametrize("codec", CODECS)
def test_a_page_that_is_there_twice_is_heard_once(codec):
    raw = ogg(codec)
    start, stop, _ = pages(raw)[-3]
    assert np.array_equal(read_all(raw[:stop] + raw[start:]), read_all(raw))


def test_the_start_of_a_stream_that_is_not_there_is_told():
    """It is not filled: a broadcast may be recorded from any moment on."""
    raw = ogg("VORBIS")
    found = pages(raw)
    n_header = sum(granule == 0 for _, _, granule in found)
    lost = found[n_header][:2]
    with pytest.warns(CutAudioWarning, match=r"the first \d\.\d\d s of its stream are missing"):
        samples = read_all(raw[: lost[0]] + raw[lost[1] :])
    assert np.array_equal(samples, read_all(raw)[-len(samples) :])


@pytest.mark.parametrize("behind", [b"x", b"TAG" + bytes(125), b"OggS", bytes(5000)])
@pytest.mark.parametrize("codec", CODECS)
def test_what_lies_behind_the_last_page_does_no_harm(codec, behind):
    """Nor is it told: all the sound is there."""
    raw = ogg(codec)
    assert np.array_equal(read_all(raw + behind), read_all(raw))


def test_a_stream_beside_another_is_read():
    """As the sound of a video is, whose pages lie between those of the pictures."""
    sound, other = ogg("VORBIS"), ogg("OPUS")
    (first, *rest), (other_first, *other_rest) = (
        [raw[start:stop] for start, stop, _ in pages(raw)] for raw in (sound, other)
    )
    other_first = with_checksum(other_first.replace(b"OpusHead", b"Pictures"))
    mixed = [page for pair in zip(rest, other_rest, strict=False) for page in pair]
    mixed += rest[len(other_rest) :]
    assert np.array_equal(read_all(b"".join([other_first, first, *mixed])), read_all(sound))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_any_part_is_that_part_of_the_whole(codec, channels):
    """In the last page too, in which libsndfile seeks wrongly, and in joined and damaged files."""
    raw = ogg(codec, channels=channels)
    start, stop, _ = pages(raw)[4]
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutAudioWarning)
        for file in (raw, raw + raw, raw[:start] + raw[stop:]):
            with open_audio(io.BytesIO(file)) as audio:
                whole = np.concatenate(list(audio.blocks()))
                for first in [0, 1, len(whole) - 1, len(whole), *rng.integers(0, len(whole), 6)]:
                    part = list(audio.blocks(first, first + 1000))
                    expected = whole[first : first + 1000]
                    assert np.array_equal(np.concatenate(part) if part else whole[:0], expected)


@settings(max_examples=30, deadline=None)
@given(
    at=st.integers(0, 20_000),
    junk=st.binary(max_size=300),
    n_lost=st.integers(0, 5000),
    codec=st.sampled_from(list(CODECS)),
)
def test_damage_anywhere_is_told_or_refused(at, junk, n_lost, codec):
    """Never a raw error, never endless, never much longer than the sound was."""
    raw = RAW[codec]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutAudioWarning)
        try:
            samples = read_all(raw[:at] + junk + raw[at + n_lost :])
        except AudioError:
            return
    assert len(samples) <= 2 * CODECS[codec] * SECONDS


RAW = {codec: ogg(codec) for codec in CODECS}


def test_a_position_that_lies_makes_no_hours_of_silence():
    """The granule position has 64 bits, and any of them may be set."""
    raw = bytearray(ogg("VORBIS"))
    found = pages(raw)
    start, stop, _ = found[-1]
    raw[start + 6 : start + 14] = (2**62).to_bytes(8, "little")
    raw[start:stop] = with_checksum(bytes(raw[start:stop]))
    del raw[found[5][0] : found[5][1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CutAudioWarning)
        try:
            with open_audio(io.BytesIO(raw)) as audio:
                n_samples = sum(len(block) for block in audio.blocks())
        except AudioError:
            return
    assert n_samples <= 2 * SECONDS * CODECS["VORBIS"]


def test_thousands_of_pieces_are_refused():
    """Each costs the time to open a decoder."""
    with pytest.raises(AudioError, match="in more than 1000 pieces"):
        open_audio(io.BytesIO(ogg("OPUS", seconds=0.01) * 1001))


def test_pages_without_end_are_not_looked_for():
    """Bytes that look like the start of a page, again and again."""
    with pytest.raises(AudioError, match="hardly a whole page"):
        open_audio(io.BytesIO((b"OggS" + b"\0" * 22 + b"\xff" + b"\xff" * 255) * 5000))


def test_another_file_has_no_streams():
    """An empty one, too."""
    assert sound_streams(io.BytesIO(b""), "x") == sound_streams(io.BytesIO(b"RIFF"), "x") == []
