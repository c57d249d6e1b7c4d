"""What a folder holds: the same files for every command, and a word for what was not used."""

import os
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.audio import formats
from audiocodec.errors import AudioError
from audiocodec.recordings import UnusedFilesWarning, files_in, folders, sound_files


def touched(folder: Path, *names: str) -> None:
    """Empty files, whose folders are made."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder: Path, suffixes=(".wav",), similar=()) -> tuple[list[str], str]:
    """Names within the folder, and what was told of others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = [str(path.relative_to(folder)) for path in files_in(folder, suffixes, similar)]
    assert all(one.category is UnusedFilesWarning for one in caught)
    return names, "\n".join(str(one.message).removeprefix(f"{folder}: ") for one in caught)


def test_files_come_in_a_fixed_order(tmp_path):
    """Those of a folder first, then its subfolders, by name; suffixes in any case."""
    touched(tmp_path, "b/2.wav", "b/1.WAV", "c.wav", "a/deep/x.wav", "a.wav/y.wav", "notes.txt")
    names = ["c.wav", "a/deep/x.wav", "a.wav/y.wav", "b/1.WAV", "b/2.wav"]
    assert found(tmp_path) == (names, "")


def test_links_are_followed_and_no_folder_is_walked_twice(tmp_path):
    """Circles end, and what is linked from elsewhere is found."""
    touched(tmp_path, "set/a.wav", "elsewhere/b.wav", "c.wav")
    (tmp_path / "set/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/link2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/circle").symlink_to(tmp_path / "set")
    (tmp_path / "set/file.wav").symlink_to(tmp_path / "c.wav")
    assert found(tmp_path / "set") == (["a.wav", "file.wav", "link/b.wav"], "")


def test_what_is_no_ordinary_file_is_told(tmp_path):
    """A named pipe would wait for ever; a link may lead nowhere, or to itself."""
    touched(tmp_path, "a.wav")
    os.mkfifo(tmp_path / "p.wav")
    os.mkfifo(tmp_path / "p.txt")
    (tmp_path / "lost.wav").symlink_to(tmp_path / "gone.wav")
    (tmp_path / "self.wav").symlink_to(tmp_path / "self.wav")
    (tmp_path / "null.wav").symlink_to("/dev/null")
    names, told = found(tmp_path)
    assert names == ["a.wav"]
    assert told == (
        "not used: 4 .wav files (a link that leads nowhere: lost.wav, "
        "self.wav; not an ordinary file: null.wav, p.wav)"
    )


def test_hidden_files_are_told(tmp_path):
    """By their own name or that of a folder; what programs keep for themselves is not."""
    touched(tmp_path, "a.wav", ".b.wav", ".old/c.wav", ".old/deep/d.wav", "x/.e.wav", ".txt")
    touched(tmp_path, "._a.wav", "__MACOSX/._a.wav", "__MACOSX/b.wav", ".git/c.wav", ".old/x.txt")
    names, told = found(tmp_path)
    assert names == ["a.wav"]
    assert told == ("not used: 4 .wav files (hidden: .b.wav, x/.e.wav, .old/c.wav and 1 more)")


def test_a_hidden_folder_with_a_visible_name_is_used(tmp_path):
    """As one that a program keeps and links to."""
    touched(tmp_path, ".v2/a.wav")
    (tmp_path / "current").symlink_to(".v2")
    assert found(tmp_path) == (["current/a.wav"], "")
    assert found(tmp_path / ".v2") == (["a.wav"], "")


def test_folders_that_cannot_be_read(tmp_path, monkeypatch):
    """Below, they are told; the one that was named is an error."""
    touched(tmp_path, "a.wav", "locked/b.wav")
    scandir = os.scandir

    def refusing(path):  # root may read everything, so permissions would not do
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", refusing)
    told = "not searched: folders that cannot be read: locked"
    assert found(tmp_path) == (["a.wav"], told)
    with pytest.raises(AudioError, match="locked: cannot be read: Permission denied"):
        list(sound_files(tmp_path / "locked"))


def test_a_folder_that_is_gone(tmp_path):
    """Is an error that names it."""
    with pytest.raises(AudioError, match="gone: cannot be read: No such file"):
        list(sound_files(tmp_path / "gone"))


def test_without_pyav_what_it_would_read_is_told(tmp_path, monkeypatch):
    """With the way to read it; with PyAV it is used."""
    touched(tmp_path, "a.wav", "b.m4a", "c.webm", "d.mp2", "e.txt", "f.jpg")
    monkeypatch.setattr(formats, "has_ffmpeg", lambda: False)
    told = r"not used: 2 sound or video files \(needs PyAV, .*: b.m4a, c.webm\)"
    with pytest.warns(UnusedFilesWarning, match=told):
        assert [path.name for path in sound_files(tmp_path)] == ["a.wav", "d.mp2"]
    monkeypatch.setattr(formats, "has_ffmpeg", lambda: True)
    assert [path.name for path in sound_files(tmp_path)] == ["a.wav", "b.m4a", "c.webm", "d.mp2"]


NAMES = st.sampled_from(["a.wav", "b.m4a", ".c.wav", "x/d.wav", "x/.y/e.wav", ".z/f.m4a", "g.txt"])


@given(st.sets(NAMES))
def test_every_file_that_looks_like_input_is_used_or_told(tmp_path_factory, names):
    """None is lost without a word."""
    folder = tmp_path_factory.mktemp("any")
    touched(folder, *names)
    used, told = found(folder, (".wav",), (".m4a",))
    looks = {name for name in names if name.endswith(("wav", "m4a"))}
    n_told = int(told.split()[2]) if told else 0
    assert set(used) <= looks
    assert n_told == len(looks) - len(used)
