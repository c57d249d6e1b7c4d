"""Which clips are found, and the reference made of each."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.audio import LoudnessMeter
from audiocodec.errors import AudioError
from audiocodec.lab.evaluate.clips import Clip, find_clips, make_reference, read_clip
from audiocodec.recordings import Recording

RATE = 44100


def tone(seconds: float, rate: int = RATE, hz: float = 440.0) -> np.ndarray:
    """A sine at -20 dB, (n_samples,)."""
    time_s = np.arange(round(seconds * rate)) / rate
    return (0.1 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def clip_of(path: Path) -> Clip:
    """A file to measure on."""
    return Clip(path.name, Recording(path.name, str(path), path, kind="music"))


def referenced(path, tmp_path, seconds: float = 10.0, rate: int = RATE) -> tuple[np.ndarray, int]:
    """Samples and rate of the reference of a file."""
    folder = tmp_path / "references"
    folder.mkdir(exist_ok=True)
    return read_clip(make_reference(clip_of(path), folder, rate, seconds).path)


def test_folders_are_classes(tmp_path):
    """The first folder below the one that is given; files beside them take its name."""
    for name in ("speech/a.wav", "music/deep/er/b.flac", "c.ogg", "notes.txt"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [(clip.name, clip.kind) for clip in find_clips(tmp_path / "set")]
    assert found == [("c.ogg", "set"), ("b.flac", "music"), ("a.wav", "speech")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "file,class\na.wav,speech\nsub/a.wav,music\n"),
        ("m.csv", "path,class,more\na.wav,speech,1\nsub/a.wav,music,2\n"),
        (
            "m.jsonl",
            '{"path": "a.wav", "class": "speech"}\n{"file": "sub/a.wav", "class": "music"}\n',
        ),
    ],
)
def test_manifests_name_classes(tmp_path, name, text):
    """CSV and JSONL; paths are relative to the manifest, and equal names are told apart."""
    (tmp_path / name).write_text(text)
    clips = find_clips(tmp_path / name)
    assert [clip.kind for clip in clips] == ["speech", "music"]
    assert [clip.name for clip in clips] == ["a.wav", "a (2).wav"]
    assert clips[1].recording.path == tmp_path / "sub" / "a.wav"
    assert [clip.kind for clip in find_clips(tmp_path / name, every=2)] == ["speech"]


def test_a_file_is_a_clip(tmp_path):
    """Its class is the name of its folder."""
    (tmp_path / "a.wav").touch()
    [clip] = find_clips(tmp_path / "a.wav")
    assert (clip.name, clip.kind) == ("a.wav", tmp_path.name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", ""),
        ("m.csv", "name,class\na,b\n"),
        ("m.csv", "path\na.wav\n"),
        ("m.jsonl", "[1]"),
        ("m.jsonl", "{"),
        ("m.txt", "a.wav"),
        ("m.csv", None),
    ],
)
def test_what_names_no_clips_is_named(tmp_path, name, text):
    """Empty, without the columns, no JSON, another kind of file, missing."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(AudioError, match=name):
        find_clips(tmp_path / name)


def test_references_are_as_in_the_published_test_set(tmp_path):
    """Mono, resampled, -16 LUFS; an excerpt from the middle of what is longer."""
    sweep = np.concatenate([tone(4, 48000, 200), tone(2, 48000, 1000), tone(4, 48000, 200)])
    sf.write(tmp_path / "a.wav", np.stack([sweep, 0 * sweep], axis=1), 48000)
    audio, rate = referenced(tmp_path / "a.wav", tmp_path, seconds=1.5)
    assert (rate, len(audio)) == (RATE, 1.5 * RATE)
    meter = LoudnessMeter(RATE, 1)
    meter.push(audio[:, None])
    assert meter.integrated() == pytest.approx(-16, abs=0.1)
    spectrum = np.abs(np.fft.rfft(audio[1000:-1000]))
    assert np.argmax(spectrum) * RATE / (len(audio) - 2000) == pytest.approx(1000, abs=1)


def test_peaks_stay_within_full_scale(tmp_path):
    """A click that is soft on the whole is not made so loud that it clips."""
    click = np.zeros(RATE, np.float32)
    click[100] = 0.5
    sf.write(tmp_path / "a.wav", click, RATE)
    audio, _ = referenced(tmp_path / "a.wav", tmp_path)
    assert np.abs(audio).max() == pytest.approx(1, abs=1e-4)


def test_the_same_samples_have_the_same_digest(tmp_path):
    """Whatever the file is called; others have another one."""
    folder = tmp_path / "references"
    folder.mkdir()
    for name, seconds in (("a.wav", 1), ("b.flac", 1), ("c.wav", 1.1)):
        sf.write(tmp_path / name, (32768 * tone(seconds)).astype(np.int16), RATE)
    digests = [
        make_reference(clip_of(tmp_path / name), folder, RATE, 10).digest
        for name in ("a.wav", "b.flac", "c.wav")
    ]
    assert digests[0] == digests[1] != digests[2]


def test_what_cannot_be_compared_is_no_reference(tmp_path):
    """Silence, a moment, an empty file, no audio, no file: each is named with the reason."""
    sf.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    sf.write(tmp_path / "short.wav", tone(0.49), RATE)
    sf.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    (tmp_path / "text.wav").write_text("no audio")
    for name, why in {
        "silence.wav": "silent",
        "short.wav": "shorter than 0.5 s",
        "empty.wav": "shorter",
        "text.wav": "cannot be read",
        "missing.wav": "there is no such file",
    }.items():
        with pytest.raises(AudioError, match=rf"{name}: .*{why}"):
            referenced(tmp_path / name, tmp_path)
