"""Parts of recordings: equal to those of the whole, from files and from the cache."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.audio import open_audio, resampled
from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.lab.train.cache import Cache
from audiocodec.lab.train.parts import read_part
from audiocodec.lab.train.sources import scan
from tests.lab.train.material import recording

RATES = (8000, 22050, 44100, 44101, 48000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A stereo file of two seconds at each rate."""
    folder, rng = tmp_path_factory.mktemp("rates"), np.random.default_rng(0)
    for rate in RATES:
        sf.write(folder / f"{rate}.wav", 0.1 * rng.standard_normal((2 * rate, 2)), rate, "FLOAT")
    return folder


@lru_cache
def whole(path: Path, to_rate: int) -> np.ndarray:
    """The recording, mono, at another rate."""
    with open_audio(path) as source:
        mono = (block.mean(axis=1, keepdims=True) for block in source.blocks())
        return np.concatenate(list(resampled(mono, source.sample_rate, to_rate, 1)))[:, 0]


@given(
    rate=st.sampled_from(RATES),
    to_rate=st.sampled_from((16000, 24000, 44100)),
    place=st.floats(0, 1),
    n_samples=st.integers(1, 9000),
)
def test_a_part_is_that_part_of_the_whole(folder, rate, to_rate, place, n_samples):
    """Reading and resampling only a part gives the same samples; zeros follow the end."""
    expected = whole(folder / f"{rate}.wav", to_rate)
    start = int(place * len(expected))
    part = read_part(recording(folder / f"{rate}.wav"), start, n_samples, to_rate)
    expected = expected[start : start + n_samples]
    assert part.shape == (n_samples,)
    assert np.abs(part[: len(expected)] - expected).max(initial=0) < 1e-5
    assert not part[len(expected) :].any()


def test_flac_vorbis_and_mp3_are_read_by_seeking(tmp_path):
    """Any format that libsndfile reads, also from its middle."""
    audio = 0.1 * np.sin(np.arange(88200) * 0.05)
    for suffix in ("flac", "ogg", "mp3"):
        sf.write(tmp_path / f"a.{suffix}", audio, 44100)
        whole = sf.read(tmp_path / f"a.{suffix}")[0]
        for start in (0, 5000, 20000, 60000):
            part = read_part(recording(tmp_path / f"a.{suffix}"), start, 1000, 44100)
            assert np.abs(part - whole[start : start + 1000]).max() < 1e-5


def test_unreadable_parts_name_the_file(tmp_path):
    """Files that are gone, no audio, or not finite."""
    (tmp_path / "text.wav").write_text("no audio")
    sf.write(tmp_path / "nan.wav", np.full(100, np.nan), 8000, "FLOAT")
    for name, words in (("gone", "gone"), ("text.wav", "cannot be read"), ("nan.wav", "NaN")):
        with pytest.raises(AudioError, match=words):
            read_part(recording(tmp_path / name), 0, 50, 8000)


def test_cached_audio_is_within_a_step_of_the_file(folder, tmp_path):
    """Every rate, start, middle and past the end; and the cache is what is read."""
    cache = Cache(tmp_path, 44100)
    recordings = scan([f"x={folder}"]).recordings
    assert cache.build(recordings, budget_gib=1) == []
    entries = list(tmp_path.glob("*/*.pcm"))
    assert len(entries) == len(RATES)
    for one in recordings:
        for start in (0, 30000, 88000, 10**6):
            direct = read_part(one, start, 1000, 44100)
            assert np.abs(cache.read_part(one, start, 1000) - direct).max() < 2e-5
    for entry in entries:
        entry.unlink()
    assert cache.read_part(recordings[0], 0, 10).any(), "an emptied cache is passed by"


def test_a_quiet_recording_keeps_its_detail_and_a_loud_one_its_peaks(tmp_path):
    """Steps follow the peak of the recording."""
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    for name, gain in (("quiet", 1e-5), ("loud", 3.0), ("silent", 0.0)):
        sf.write(tmp_path / f"{name}.wav", gain * noise, 8000, "FLOAT")
    cache = Cache(tmp_path / "cache", 8000)
    cache.build(scan([f"x={tmp_path}"]).recordings, budget_gib=1)
    assert len(list((tmp_path / "cache").glob("*/*.pcm"))) == 3
    for name, gain in (("quiet", 1e-5), ("loud", 3.0), ("silent", 0.0)):
        cached = cache.read_part(recording(tmp_path / f"{name}.wav"), 0, 8000)
        assert np.abs(cached - gain * noise).max() <= gain * 1e-4


def test_the_cache_is_built_once_and_mends_itself(folder, tmp_path):
    """Whole entries stay, cut ones are made anew, and a changed recording is decoded again."""
    cache = Cache(tmp_path / "cache", 44100)
    sf.write(tmp_path / "a.wav", np.full(3000, 0.5), 44100)
    recordings = scan([f"x={tmp_path}"]).recordings
    cache.build(recordings, 1)
    (entry,) = (tmp_path / "cache").glob("*/*.pcm")
    before = entry.stat().st_mtime_ns
    cache.build(recordings, 1)
    assert entry.stat().st_mtime_ns == before
    entry.write_bytes(entry.read_bytes()[:-1])
    again = Cache(tmp_path / "cache", 44100)
    assert again.read_part(recording(tmp_path / "a.wav"), 0, 3000) == pytest.approx(0.5, abs=1e-4)
    again.build(recordings, 1)
    assert entry.stat().st_mtime_ns != before
    sf.write(tmp_path / "a.wav", np.full(4000, 0.25), 44100)
    changed = Cache(tmp_path / "cache", 44100)
    assert changed.read_part(recording(tmp_path / "a.wav"), 0, 4000) == pytest.approx(
        0.25, abs=1e-4
    )


def test_the_budget_limits_the_folder(folder, tmp_path):
    """What does not fit is read from its file."""
    recordings = scan([f"x={folder}"]).recordings
    budget_bytes = 400_000  # two recordings of 176 kB
    cache = Cache(tmp_path, 44100)
    cache.build(recordings, budget_bytes / 2**30)
    sizes = [entry.stat().st_size for entry in tmp_path.glob("*/*.pcm")]
    assert len(sizes) == 2
    assert sum(sizes) <= budget_bytes
    assert all(cache.read_part(one, 0, 100).any() for one in recordings)
    with pytest.raises(ArgumentError, match="0 GiB"):
        cache.build(recordings, 0)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_what_cannot_be_decoded_is_reported(tmp_path, n_workers):
    """By worker processes too; the others are cached, and nothing half-made stays."""
    (tmp_path / "bad.wav").write_text("no audio")
    sf.write(tmp_path / "good.wav", np.full(3000, 0.5), 8000)
    names = ("bad.wav", "good.wav", "gone.wav")
    recordings = [recording(tmp_path / name) for name in names]
    skipped = Cache(tmp_path / "cache", 8000).build(recordings, 1, n_workers)
    assert sorted(one.path.name for one in skipped) == ["bad.wav", "gone.wav"]
    assert len([file for file in (tmp_path / "cache").glob("*/*") if file.is_file()]) == 1


def test_a_folder_that_cannot_be_made(tmp_path):
    """Says which."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        Cache(tmp_path / "file" / "cache", 8000).build([], 1)
