"""The evaluation: clips in, figures by clip and system, tables and a CSV out."""

import csv
import os
import shutil

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.train import scoring
from audiocodec.train.codebooks import CodebookUsage
from audiocodec.train.evaluate_model import main, numbers
from audiocodec.train.reporting import class_table, interval, report, write_csv
from audiocodec.train.scoring import (
    Score,
    Scorer,
    Systems,
    figures,
    read_clips,
    read_mono,
    through_codec,
)
from audiocodec.weights.store import save_model


def chirps(n_samples: int, rate: int) -> np.ndarray:
    """A sweep that swells and fades, as syllables do."""
    time_s = np.arange(n_samples) / rate
    sweep = np.sin(2 * np.pi * (200 * time_s + 300 * time_s**2)) * np.sin(9 * time_s) ** 2
    return (0.2 * sweep).astype(np.float32)


def score(system: str, kind: str = "music", kbps: float = 4.0, n: int = 9, **values) -> Score:
    """A score of made-up figures; text in place of a figure is why it failed."""
    found = {name: value for name, value in values.items() if not isinstance(value, str)}
    failures = {name: value for name, value in values.items() if isinstance(value, str)}
    return Score("clip.wav", kind, system, n, kbps, found, failures)


@pytest.fixture
def copying_opus(tmp_path, monkeypatch):
    """Stand-ins for opusenc and opusdec, which copy their input, found before any real ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in scoring.OPUS_TOOLS:
        tool = folder / name
        tool.write_text('#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\ncp "$1" "$2"\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.fixture
def clips(tmp_path):
    """A manifest of two clips: speech, and half a second of music."""
    sf.write(tmp_path / "a.wav", chirps(44100, 44100), 44100)
    sf.write(tmp_path / "b.wav", chirps(22050, 44100), 44100)
    (tmp_path / "m.csv").write_text("file,class\na.wav,speech\nb.wav,music\n")
    return tmp_path / "m.csv"


@pytest.fixture
def small_folder(small, tmp_path):
    """The small model, saved."""
    save_model(small.model, tmp_path / "model", "small")
    return tmp_path / "model"


def test_clips_are_mixed_and_resampled(tmp_path):
    """Stereo at 48 kHz becomes mono at the model's rate."""
    audio = chirps(48000, 48000)
    sf.write(tmp_path / "a.wav", np.stack([audio, 0 * audio], axis=1), 48000)
    mono = read_mono(tmp_path / "a.wav", 16000)
    assert mono.shape == (16000,)
    assert np.abs(mono[1000:-1000] - 0.5 * chirps(16000, 16000)[1000:-1000]).max() < 0.01


def test_every_nth_row_is_taken(tmp_path):
    """Of manifests with the column file, or path."""
    (tmp_path / "m.csv").write_text("path,class\n" + "a.wav,music\n" * 3)
    assert [clip.kind for clip in read_clips(tmp_path / "m.csv", every=2)] == ["music"] * 2


@pytest.mark.parametrize("text", ["", "file,class\n", "name,class\na,music\n"])
def test_a_manifest_that_is_none_is_named(tmp_path, text):
    """Also a missing one."""
    (tmp_path / "m.csv").write_text(text)
    for path in (tmp_path / "m.csv", tmp_path / "missing.csv"):
        with pytest.raises(AudioError, match=path.name):
            read_clips(path)


def test_a_clip_that_is_no_audio_is_named(tmp_path):
    """One line, which file."""
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"a\.wav: cannot be read"):
        read_mono(tmp_path / "a.wav", 44100)


def test_models_return_as_many_samples_at_each_bit_rate(small):
    """Also when the length is no multiple of the hop; all codes come back."""
    decoded, codes = through_codec(small, chirps(20001, 44100), (1, 3))
    assert [result.audio.shape for result in decoded] == [(20001,)] * 2
    assert decoded[1].kbps == pytest.approx(2.58, abs=0.01)
    assert not np.array_equal(decoded[0].audio, decoded[1].audio)
    assert codes.shape == (1, 9, 40)


def test_what_is_lossless_scores_best():
    """All figures; those of speech for speech only."""
    clean = chirps(44100, 44100)
    same, failures = figures("speech", clean, clean, 44100)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(44100, np.float32)
    worse, _ = figures("speech", clean, noisy, 44100)
    assert not failures
    assert all(worse[name] > same[name] == 0 for name in ("mel", "mel_training", "stft"))
    assert all(worse[name] < same[name] for name in ("si_sdr", "visqol", "estoi", "pesq"))
    assert not {"estoi", "pesq"} & figures("music", clean, noisy, 44100)[0].keys()


def test_what_has_no_figure_says_why():
    """Silence is not averaged as if it were good or bad."""
    found, failures = figures("music", np.zeros(44100, np.float32), chirps(44100, 44100), 44100)
    assert failures == {"si_sdr": "silent reference", "visqol": "silent reference"}
    assert "mel" in found


def test_a_clip_goes_through_every_system(clips, small_folder, copying_opus):
    """The model at each count, then the untrained one where it is asked for, then Opus."""
    scorer = Scorer(Systems(str(small_folder), (1, 9), (8,), untrained=True))
    report_of_b = scorer(read_clips(clips)[1])
    name = scorer.codec.name
    assert [s.system for s in report_of_b.scores] == [
        f"{name}, 1 of 9 codebooks",
        f"{name}, 9 of 9 codebooks",
        "untrained, all codebooks",
        "Opus, 8 kbps asked",
    ]
    assert report_of_b.scores[0].failures["visqol"] == "shorter than 1 s"
    assert report_of_b.usage.counts.shape == (9, 1024)
    assert report_of_b.usage.counts.sum(dim=1).tolist() == [44] * 9  # frames


@pytest.mark.parametrize(("codebooks", "opus"), [((10,), ()), ((0,), ()), ((1,), (5,))])
def test_what_no_system_can_do_is_refused(small_folder, codebooks, opus):
    """More codebooks than the model has, none, and rates that Opus lacks."""
    with pytest.raises(ArgumentError, match=r"codebooks; the model has 9|5 kbps"):
        Scorer(Systems(str(small_folder), codebooks, opus))


def test_missing_opus_is_said(small_folder, monkeypatch):
    """With the way out."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ArgumentError, match="install opus-tools"):
        Scorer(Systems(str(small_folder), (1,), (8,)))


def test_the_bit_rate_of_opus_is_that_of_the_file(copying_opus):
    """Here 16 bits a sample and a header; as many samples come back."""
    decoded = scoring.through_opus(chirps(44100, 44100), 44100, 16)
    assert decoded.audio.shape == (44100,)
    assert decoded.kbps == pytest.approx(16 * 44.1, rel=1e-3)


def test_the_table_has_a_line_for_each_system():
    """Means of a class; a figure that no clip has is a dash; Opus of the nearest rate is named."""
    scores = [
        score("a", mel=1.0, si_sdr=3.0, visqol="shorter than 1 s"),
        score("a", mel=1.0, si_sdr=3.0, visqol="shorter than 1 s"),
        score("Opus, 6", kbps=6.1, n=0, mel=2.0),
        score("Opus, 12", kbps=12.1, n=0, mel=1.5),
    ]
    lines = list(class_table("music", scores))
    assert lines[0].startswith("### music")
    assert lines[4].startswith("| a | 4.00 | 1.00 (1.00 to 1.00) | - | - | 3.0 (3.0 to 3.0) | - |")
    assert lines[4].endswith("| Opus, 6 |")
    assert lines[5].startswith("| Opus, 6 | 6.10 | 2.00 | ")
    assert lines[-1] == "- ViSQOL left out for 2 clips: shorter than 1 s (a)"


def test_the_report_has_a_table_for_each_class_and_the_codebooks():
    """Classes in the order of the clips; speech has more columns."""
    scores = [score("a", "speech", mel=1.0), score("a", "music", mel=1.0)]
    usage = CodebookUsage(2, 16)
    usage.counts += 1
    text = "\n".join(report(scores, usage))
    assert text.index("### speech") < text.index("### music") < text.index("### Codebook use, 16")
    assert text.count("PESQ") == 1
    assert "| entropy, of 4 bits | 4.00 | 4.00 | 100.0 % |" in text


def test_intervals_shrink_with_clips():
    """They hold the mean, are the same each time, and narrow as the root of the number."""
    values = np.random.default_rng(0).standard_normal(400)
    few, many = interval(values[:25]), interval(values)
    assert many == interval(values)
    assert many[0] < values.mean() < many[1]
    assert many[1] - many[0] == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert few[1] - few[0] > 2 * (many[1] - many[0])


def test_the_csv_keeps_what_failed_apart(tmp_path):
    """An empty cell, and the reason in the last column."""
    write_csv(tmp_path / "r.csv", [score("a", "speech", mel=1.0, pesq="NoUtterancesError")])
    with (tmp_path / "r.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["clip"], row["class"], row["codebooks"]) == ("clip.wav", "speech", "9")
    assert (row["mel"], row["pesq"]) == ("1.0000", "")
    assert row["failures"] == "pesq: NoUtterancesError"


def test_the_command_prints_and_writes(clips, small_folder, tmp_path, capsys):
    """The tables on stdout and in the folder, a row for each clip and system in the CSV."""
    flags = ["--manifest", str(clips), "--model", str(small_folder), "--codebooks", "1 9"]
    assert main([*flags, "--opus", "", "--jobs", "1", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "### speech: 1 clips" in printed
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 1 + 2 * 2


def test_the_command_says_what_is_wrong(capsys):
    """In one line, and exits with 1."""
    assert main([]) == 1
    assert "--manifest" in capsys.readouterr().err


def test_lists_of_numbers_are_checked():
    """Spaces between them."""
    assert numbers("1 3 9") == (1, 3, 9)
    with pytest.raises(ArgumentError, match="1,3"):
        numbers("1,3")
