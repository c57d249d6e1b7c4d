"""Training material: folders and manifests, what is skipped and why, and the full-band mark."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.lab.train.sources import (
    SkippedFiles,
    TrainingRecording,
    is_full_band,
    scan,
    with_full_band,
    write_manifest,
)
from tests.lab.train.material import recording

RATE = 8000


def put(path: Path, seconds: float = 0.5, rate: int = RATE) -> Path:
    """A file of seeded noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate)), rate)
    return path


def facts(recordings: list[TrainingRecording]) -> list[tuple]:
    """What training knows of each."""
    return [(one.path, one.kind, one.group, one.seconds, one.full_band) for one in recordings]


def test_a_folder_is_searched_with_its_subfolders(tmp_path):
    """In a fixed order, through links but never in circles; other files are no audio."""
    for name in ("b.wav", "a/z.FLAC", "c/deep/x.ogg"):
        put(tmp_path / "set" / name)
    (tmp_path / "set" / "notes.txt").write_text("no audio")
    put(tmp_path / "elsewhere" / "linked.wav")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    found = scan([f"speech={tmp_path / 'set'}"])
    assert [one.path.name for one in found.recordings] == ["b.wav", "z.FLAC", "x.ogg", "linked.wav"]
    assert {(one.kind, one.group) for one in found.recordings} == {
        ("speech", str(tmp_path / "set"))
    }
    assert found.recordings[0].seconds == pytest.approx(0.5)
    assert not found.skipped


def test_unusable_files_are_listed_with_their_reason(tmp_path):
    """Damaged and empty files are skipped, and a warning counts them."""
    put(tmp_path / "good.wav")
    (tmp_path / "damaged.flac").write_bytes(b"fLaC, but no more")
    sf.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    with pytest.warns(SkippedFiles, match=r"2 of 3 files cannot be used, first .*damaged\.flac"):
        found = scan([f"speech={tmp_path}"])
    reasons = {one.path.name: one.reason for one in found.skipped}
    assert "cannot be read as audio" in reasons["damaged.flac"]
    assert "no audio" in reasons["empty.wav"]


def test_nothing_to_train_on_is_an_error(tmp_path):
    """A set without one usable recording stops at once and says why."""
    (tmp_path / "damaged.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"no recording to train on, first .*damaged\.wav"):
        scan([f"speech={tmp_path}"])


@pytest.mark.parametrize("name", ["set.csv", "set.jsonl"])
def test_a_manifest_says_class_group_length_and_band(tmp_path, name):
    """Lengths it gives are taken without opening files; others come from the file."""
    rows = [
        {"path": "sub/a.wav", "class": "music", "package": "p", "seconds": 12.5, "full_band": "no"},
        {"path": "sub/b.wav", "class": "speech", "seconds": "", "full_band": "yes"},
        {"path": "sub/gone.wav", "class": "speech", "seconds": 1},
    ]
    for row in rows[:2]:
        put(tmp_path / row["path"])
    manifest = tmp_path / name
    if name.endswith("csv"):
        columns = list(rows[0])
        lines = [",".join(str(row.get(column, "")) for column in columns) for row in rows]
        manifest.write_text("\n".join([",".join(columns), *lines]) + "\n")
    else:
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(SkippedFiles, match="no such file"):
        found = scan([str(manifest)])
    assert facts(found.recordings) == [
        (tmp_path / "sub/a.wav", "music", "p", 12.5, False),
        (tmp_path / "sub/b.wav", "speech", str(manifest), 0.5, True),
    ]
    with pytest.warns(SkippedFiles):
        found = scan([f"noise={manifest}"])
    assert {one.kind for one in found.recordings} == {"noise"}


def test_unusable_sources_are_refused(tmp_path):
    """No class, no path column, a wrong mark, no manifest, no file."""
    put(tmp_path / "a.wav")
    for text, error, words in (
        ("path\na.wav\n", ArgumentError, "has no class"),
        ("name,class\na.wav,x\n", AudioError, "row 1 has no path"),
        ("path,class,full_band\na.wav,x,perhaps\n", AudioError, "perhaps"),
        ("path,class,seconds\na.wav,x,long\n", AudioError, "long"),
    ):
        (tmp_path / "set.csv").write_text(text)
        with pytest.raises(error, match=words):
            scan([str(tmp_path / "set.csv")])
    with pytest.raises(ArgumentError, match="needs its class"):
        scan([str(tmp_path)])
    with pytest.raises(AudioError, match="no such file or folder"):
        scan([f"speech={tmp_path / 'gone'}"])
    (tmp_path / "set.jsonl").write_text("{")
    with pytest.raises(AudioError, match="cannot be read as a manifest"):
        scan([str(tmp_path / "set.jsonl")])


def test_full_band_is_measured_and_kept(tmp_path):
    """White noise reaches above 10 kHz; a low tone and a low rate do not."""
    put(tmp_path / "noise.wav", 1, 44100)
    put(tmp_path / "low_rate.wav", 1, 16000)
    sf.write(tmp_path / "tone.wav", np.sin(np.arange(44100) * 0.05), 44100, subtype="FLOAT")
    found = scan([f"x={tmp_path}"]).recordings
    marked = with_full_band(found)
    assert {one.path.stem: one.full_band for one in marked.recordings} == {
        "noise": True,
        "low_rate": False,
        "tone": False,
    }
    write_manifest(marked.recordings, tmp_path / "kept.csv")
    assert facts(scan([str(tmp_path / "kept.csv")]).recordings) == facts(marked.recordings)


def test_full_band_of_a_damaged_file(tmp_path):
    """Measuring skips what it cannot read."""
    lost = recording(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="gone"):
        is_full_band(lost)
    with pytest.warns(SkippedFiles, match=r"1 of 1 files cannot be used, first .*gone\.wav"):
        found = with_full_band([lost])
    assert not found.recordings
    assert "no such file" in found.skipped[0].reason
