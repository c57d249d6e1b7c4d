"""Recordings are opened: excerpts to the sample, members of tars, and nothing that would wait."""

import gzip
import os
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.audio.source import BLOCK_SAMPLES
from audiocodec.errors import AudioError
from audiocodec.recordings import open_recording, opening, recordings_in
from tests.recordings.samples import (
    RATE,
    is_sound,
    manifest,
    put,
    read,
    sound,
    sound_bytes,
    tar_of,
)

# Excerpts


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_excerpt_is_that_part_of_the_whole(tmp_path, suffix, channels):
    """Sought or read up to there: to the sample, in whole blocks, and up to the end."""
    samples = sound(3 * BLOCK_SAMPLES + 500, channels)
    put(tmp_path / f"a{suffix}", samples)
    (item,) = recordings_in(tmp_path)
    whole = read(item)
    for first, n in ((0, 70_000), (1, 1), (65_535, 140_000), (131_072, 65_536), (196_000, 10**6)):
        part = read(replace(item, start=first / RATE, duration=n / RATE))
        assert np.array_equal(part, whole[first : first + n])
    assert np.array_equal(read(replace(item, start=100_000 / RATE)), whole[100_000:])


def test_an_excerpt_behind_the_end(tmp_path):
    """It is told, not empty."""
    put(tmp_path / "a.wav", sound())
    (item,) = recordings_in(tmp_path)
    for start in (0.5, 1e9, 1e300):
        with pytest.raises(AudioError, match=r"ends before"):
            read(replace(item, start=start))


def test_an_excerpt_of_a_damaged_file(tmp_path):
    """A FLAC that is cut is refused where the cut is reached."""
    put(tmp_path / "a.flac", sound(300_000))
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    (item,) = recordings_in(tmp_path)
    assert len(read(replace(item, start=1.0, duration=2.0))) == 2 * RATE
    for start in (15.0, 30.0):
        with pytest.raises(AudioError, match=r"a\.flac"):
            read(replace(item, start=start))


def test_what_is_no_file(tmp_path):
    """Missing files, folders, and named pipes, which would wait for ever."""
    os.mkfifo(tmp_path / "pipe.wav")
    rows = [{"path": "pipe.wav"}, {"path": "no.wav"}, {"path": "."}, {"path": "\0"}]
    for item in recordings_in(manifest(tmp_path, ".jsonl", rows)):
        with pytest.raises(AudioError), open_recording(item):
            pass


# Tars

PARTS = [
    ("s/one.flac", sound_bytes(sound(seed=1), "FLAC")),
    ("s/one.json", b'{"text": "eins", "n": 1}'),
    ("s/two.json", b'{"text": "zwei", "codes": 2}'),
    ("s/two.wav", sound_bytes(sound(seed=2))),
    ("readme.txt", b"no sound"),
    ("../../three.wav", sound_bytes(sound(seed=3))),
]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_tars(tmp_path, suffix):
    """Sound files in their order, in whatever order they are opened; JSON beside comes along."""
    path = tar_of(tmp_path / f"x{suffix}", *PARTS)
    items = list(recordings_in(path))
    names = ["s/one.flac", "s/two.wav", "../../three.wav"]
    assert [item.member for item in items] == names
    assert [item.id for item in items] == [f"x{suffix}/{name}" for name in names]
    assert [dict(item.columns) for item in items] == [
        {"text": "eins", "n": 1},
        {"text": "zwei", "codes": 2},
        {},
    ]
    for i in (0, 1, 2, 1, 0):
        assert is_sound(items[i], sound(seed=i + 1))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_two_packed_tars_in_turn(tmp_path):
    """Only one is kept open."""
    items = [
        next(recordings_in(tar_of(tmp_path / f"{n}.tar.gz", *PARTS[2 * n : 2 * n + 4])))
        for n in range(2)
    ]
    for n in (0, 1, 0, 1):
        assert is_sound(items[n], sound(seed=n + 1))


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_tar_that_is_cut(tmp_path_factory, suffix, cut):
    """What is whole is listed, and an item says what is wrong with the rest."""
    path = tar_of(tmp_path_factory.mktemp("cut") / f"x{suffix}", *PARTS[:4])
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content.rstrip(b"\0")))])
    try:
        items = list(recordings_in(path))
    except AudioError:
        return
    for item in items:
        if item.member is None:
            with pytest.raises(AudioError, match="tar"):
                read(item)
            continue
        try:
            assert is_sound(item, sound(seed=1 + (item.member == "s/two.wav")))
        except AudioError:
            assert suffix != ".tar" or items[-1].problem


@pytest.mark.parametrize("sidecar", [b"{", b"[1]", b"[" * 100_000, b" " * (2**20 + 1), b"\xff"])
def test_json_that_cannot_be_used(tmp_path, sidecar):
    """The sound beside it is not taken without it."""
    path = tar_of(tmp_path / "x.tar", ("a.json", sidecar), ("a.wav", PARTS[3][1]), PARTS[0])
    bad, good = recordings_in(path)
    with pytest.raises(AudioError, match=r"a\.json"):
        read(bad)
    assert is_sound(good, sound(seed=1))


def test_a_packed_tar_that_is_damaged_after_it_was_listed(tmp_path):
    """One line, too."""
    path = tar_of(tmp_path / "x.tar.gz", *PARTS[:4])
    items = list(recordings_in(path))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(AudioError, match="damaged"):
        read(items[1])


def test_a_member_that_is_too_large(tmp_path, monkeypatch):
    """It is not unpacked."""
    monkeypatch.setattr(opening, "MAX_MEMBER_BYTES", 1000)
    (item,) = recordings_in(tar_of(tmp_path / "x.tar.gz", PARTS[0]))
    with pytest.raises(AudioError, match="at most 1000"):
        read(item)


def test_links_in_a_tar(tmp_path):
    """They lead nowhere."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("a.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(AudioError, match="no sound files"):
        list(recordings_in(tmp_path / "x.tar"))


def test_what_is_not_packed(tmp_path):
    """A .tar.gz of something else."""
    (tmp_path / "x.tar.gz").write_bytes(b"no tar")
    (tmp_path / "y.tar.gz").write_bytes(gzip.compress(b"no tar" * 1000))
    for name in "xy":
        (item,) = recordings_in(tmp_path / f"{name}.tar.gz")
        with pytest.raises(AudioError, match="as a tar"):
            read(item)


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_the_length_of_an_excerpt(tmp_path, suffix):
    """It ends with the recording, and may be read in parts as any sound."""
    put(tmp_path / f"a{suffix}", sound(RATE))
    (whole,) = recordings_in(tmp_path)
    for start, duration, n_samples in ((0.25, 0.5, 4000), (0.75, 9.0, 2000), (0.5, None, 4000)):
        with open_recording(replace(whole, start=start, duration=duration)) as audio:
            assert audio.length() == n_samples
            all_of_it = np.concatenate(list(audio.blocks()))
            assert len(all_of_it) == n_samples
            part = np.concatenate(list(audio.blocks(1000, 1500)))
            assert np.array_equal(part, all_of_it[1000:1500])
            assert not list(audio.blocks(n_samples))
