"""Which recordings an input names: with their classes and groups, and a word for what is left."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audiocodec.audio import formats
from audiocodec.errors import AudioError
from audiocodec.recordings import Recording, UnusedFilesWarning, recordings_in
from tests.recordings.samples import is_sound, put, sound, sound_bytes, tar_of


def classes(path) -> dict[str, str]:
    """Class by id."""
    return {one.id: one.kind for one in recordings_in(path)}


def test_folders_within_a_folder_are_classes(tmp_path):
    """What lies beside them has the name of the folder, as a file alone has that of its own."""
    for name in ("set/speech/deep/a.wav", "set/music/b.wav", "set/c.wav"):
        put(tmp_path / name, sound(9))
    assert classes(tmp_path / "set") == {
        "c.wav": "set",
        "music/b.wav": "music",
        "speech/deep/a.wav": "speech",
    }
    assert classes(tmp_path / "set/c.wav") == {"c.wav": "set"}


def test_folders_within_a_tar_are_classes(tmp_path):
    """Unless the JSON beside the sound says otherwise, which may name a group too."""
    wav = sound_bytes(sound(9))
    sidecar = json.dumps({"class": "noise", "group": "g"}).encode()
    parts = [("./speech/a.wav", wav), ("b.wav", wav), ("x/c.wav", wav), ("x/c.json", sidecar)]
    first, second, third = recordings_in(tar_of(tmp_path / "set.tar", *parts))
    assert [one.kind for one in (first, second, third)] == ["speech", "set", "noise"]
    assert (third.group, third.columns) == ("g", {"class": "noise", "group": "g"})
    assert third.place == f"{tmp_path}/set.tar/x/c.wav"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_manifests_name_classes_and_groups(tmp_path, suffix):
    """The group may be called package; path may be called file; what is missing is empty."""
    put(tmp_path / "a.wav", sound())
    path = tmp_path / f"m{suffix}"
    rows = [
        {"file": "a.wav", "class": "speech", "package": "p", "group": None},
        {"file": "a.wav", "class": None, "package": "p", "group": "g"},
    ]
    if suffix == ".csv":
        path.write_text("file,class,package,group\na.wav,speech,p,\na.wav,,p,g\n")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    first, second = recordings_in(path)
    assert [(one.kind, one.group) for one in (first, second)] == [("speech", "p"), ("", "g")]
    assert is_sound(first, sound())


def test_empty_cells_too_many_say_nothing(tmp_path):
    """A comma at the end of a line is no fault; a value without a column is one."""
    (tmp_path / "m.csv").write_text("path,text\na.wav,one,\nb.wav,two,three\n")
    good, bad = recordings_in(tmp_path / "m.csv")
    assert good.problem is None
    assert dict(good.columns) == {"text": "one"}
    assert "more cells than there are columns" in bad.problem


def test_members_of_a_tar_are_used_as_files_of_a_folder_are(tmp_path, monkeypatch):
    """Hidden ones, and those that need PyAV where there is none, are told."""
    wav = sound_bytes(sound(9))
    names = ("./a.wav", ".h/b.wav", "c/.d.wav", "._a.wav", "e.m4a", "f.txt", "../g.wav")
    path = tar_of(tmp_path / "x.tar", *((name, wav) for name in names))
    monkeypatch.setattr(formats, "has_ffmpeg", lambda: False)
    told = r"x\.tar: not used: 3 sound or video files \(hidden: \.h/b\.wav, c/\.d\.wav; needs .*m4a"
    with pytest.warns(UnusedFilesWarning, match=told):
        assert [one.member for one in recordings_in(path)] == ["./a.wav", "../g.wav"]


def test_a_file_that_looks_like_sound_is_taken_by_its_name(tmp_path):
    """Opening says whether it can be read; other names are refused at once."""
    (tmp_path / "a.m4a").touch()
    (tmp_path / "a.txt").touch()
    os.mkfifo(tmp_path / "p.wav")
    assert [one.id for one in recordings_in(tmp_path / "a.m4a")] == ["a.m4a"]
    (pipe,) = recordings_in(tmp_path / "p.wav")
    with pytest.raises(AudioError, match=r"p\.wav: not an ordinary file"):
        is_sound(pipe, sound())
    with pytest.raises(AudioError, match=r"a\.txt: neither a folder, a sound file, a manifest"):
        list(recordings_in(tmp_path / "a.txt"))


def test_recordings_can_be_kept_in_sets(tmp_path):
    """What a manifest says of one does not hinder it."""
    one = Recording("a", "a", tmp_path, columns={"list": [1]})
    assert len({one, Recording("a", "a", tmp_path, columns={"list": [1]})}) == 1
