"""The example that trains the embedded model: its table, conversion, fetching from packages.

Packages are small trees made here and `apt-get` is a stand-in: no network, nothing installed.
"""

import csv
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audiocodec import Codec
from audiocodec.weights.store import save_model

EXAMPLE = Path(__file__).parents[1] / "examples" / "train_embedded"
sys.path.insert(0, str(EXAMPLE))

import convert  # noqa: E402
import fetch  # noqa: E402
import midi  # noqa: E402
import packages  # noqa: E402
import train_embedded as run  # noqa: E402
from sources_table import sources_table  # noqa: E402

RATE = 44100


def tone(seconds: float, hz: float = 440, rate: int = RATE, gain: float = 0.3) -> np.ndarray:
    """A sine, mono."""
    return (gain * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def job(path: Path, out: Path, **row: str) -> convert.Job:
    """A conversion of one file."""
    known = {"path": "x.flac", "class": "speech", "package": "p", "source": path.name}
    return convert.Job((path,), out / "x.flac", known | row)


@pytest.fixture
def tree(tmp_path):
    """An unpacked gcin-voice: two recordings, a copy of one, a link, another voice, a text."""
    folder = tmp_path / "tree"
    for name, hz in (("ba", 300), ("bo", 400), ("copy", 300)):
        (folder / "ogg" / name).mkdir(parents=True)
        sf.write(folder / "ogg" / name / "5.ogg", tone(0.5, hz), RATE)
        sf.write(folder / "ogg" / name / "3.ogg", tone(0.5, hz), RATE)
    (folder / "ogg" / "copy" / "5.ogg").write_bytes((folder / "ogg" / "ba" / "5.ogg").read_bytes())
    (folder / "linked").mkdir()
    (folder / "linked" / "5.ogg").symlink_to(folder / "ogg" / "bo" / "5.ogg")
    (folder / "README").write_text("no audio")
    return folder


def test_the_table_names_licence_authors_and_classes():
    """For every package, and no package is held out."""
    for name, package in packages.PACKAGES.items():
        assert package.licence
        assert package.authors
        assert "see copyright" not in package.authors
        assert {kind for _, kind in package.rules} <= {"speech", "music", "environment", None}
        assert name not in packages.HELD_OUT_PACKAGES


@pytest.mark.parametrize(
    ("package", "path", "kind"),
    [
        ("tuxpaint-stamps-default", "usr/animals/dog_desc_fr.ogg", "speech"),
        ("tuxpaint-stamps-default", "usr/animals/dog_pt_BR.ogg", "speech"),
        ("tuxpaint-stamps-default", "usr/animals/dog.ogg", "environment"),
        ("festvox-ru", "usr/share/wav/ru_0033.wav", "speech"),
        ("festvox-ru", "usr/share/wav/ru_0034.wav", None),
        ("unknown-horizons", "usr/content/audio/voice/de/0.ogg", "speech"),
        ("unknown-horizons", "usr/content/other/0.ogg", None),
        ("fretsonfire-songs-muldjord", "usr/songs/a/guitar.ogg", None),
        ("ufoai-sound", "usr/0snd.d/sound/radiomessage.ogg", None),
    ],
)
def test_the_path_decides_the_class(package, path, kind):
    """The first rule that matches; what must not be trained on has none."""
    assert packages.PACKAGES[package].class_of(path) == kind


def test_packages_are_chosen():
    """All, some, or the permissive ones; held-out and unknown ones are refused with the reason."""
    assert packages.chosen() == list(packages.PACKAGES)
    assert packages.chosen(["gcin-voice", "klettres-data"], True) == ["gcin-voice"]
    with pytest.raises(ValueError, match="held out"):
        packages.chosen(["hedgewars-data"])
    with pytest.raises(ValueError, match="no package"):
        packages.chosen(["emacs"])


def test_a_recording_is_resampled_and_described(tmp_path):
    """To FLAC at 44.1 kHz, in as many channels, the known columns kept."""
    stereo = np.stack([tone(0.5, rate=16000)] * 2, axis=1)
    sf.write(tmp_path / "a.wav", stereo, 16000)
    row = convert.convert(job(tmp_path / "a.wav", tmp_path, licence="CC0"))
    audio, rate = sf.read(tmp_path / "x.flac")
    assert (rate, audio.shape) == (RATE, (22050, 2))
    assert row["licence"] == "CC0"
    assert (row["seconds"], row["rate"], row["channels"]) == ("0.500", "44100", "2")
    assert (row["source_rate"], row["full_band"]) == ("16000", "no")


def test_full_band_is_told_by_what_is_above_10_khz(tmp_path):
    """A high tone is enough."""
    sf.write(tmp_path / "a.wav", tone(0.5) + tone(0.5, hz=14000, gain=0.01), RATE)
    assert convert.convert(job(tmp_path / "a.wav", tmp_path))["full_band"] == "yes"


@given(gain=st.floats(0.01, 20))
def test_full_scale_is_kept_by_scaling(gain, tmp_path_factory):
    """What exceeds it is scaled as a whole, the rest is left as it is."""
    target = tmp_path_factory.mktemp("flac") / "x.flac"
    audio = tone(0.1, gain=gain)[:, None]
    convert.write_flac(target, audio, RATE)
    written, _ = sf.read(target, always_2d=True)
    assert np.abs(written).max() <= 1 - 2**-15
    scale = min(1, convert.FULL_SCALE / np.abs(audio).max())
    assert np.abs(written - scale * audio).max() < 1e-4


@pytest.mark.parametrize(
    "audio", [tone(0.2), 0 * tone(1), np.stack([tone(1)] * 4, axis=1)], ids=["short", "silent", "4"]
)
def test_what_is_of_no_use_is_left_out(tmp_path, audio):
    """Too short, silent, or more than stereo."""
    sf.write(tmp_path / "a.wav", audio, RATE)
    assert convert.convert(job(tmp_path / "a.wav", tmp_path)) is None
    assert not (tmp_path / "x.flac").exists()


def test_what_cannot_be_read_is_named(tmp_path, capsys):
    """And does not stop the others."""
    (tmp_path / "a.ogg").write_text("no audio")
    assert convert.convert(job(tmp_path / "a.ogg", tmp_path)) is None
    assert "a.ogg" in capsys.readouterr().err


def test_stems_are_added(tmp_path):
    """The sum is the song, as long as the longest; of different rates it is none."""
    for name, seconds, rate in (("a", 0.5, RATE), ("b", 1, RATE), ("c", 1, 22050)):
        sf.write(tmp_path / f"{name}.wav", tone(seconds, rate=rate), rate, subtype="FLOAT")
    a, b, c = (tmp_path / f"{name}.wav" for name in "abc")
    row = {"source": "a.wav"}
    assert convert.convert(convert.Job((a, b), tmp_path / "x.flac", row))["seconds"] == "1.000"
    audio, _ = sf.read(tmp_path / "x.flac")
    assert np.abs(audio[:22050] - 2 * tone(0.5)).max() < 1e-3
    assert convert.convert(convert.Job((a, c), tmp_path / "y.flac", row)) is None


@given(ticks=st.integers(0, 2**28 - 1))
def test_midi_numbers_read_back(ticks):
    """Seven bits a byte, the last one without the high bit."""
    digits = midi._delta(ticks)
    value = 0
    for digit in digits:
        value = value << 7 | digit & 127
    assert value == ticks
    assert [digit >> 7 for digit in digits] == [1] * (len(digits) - 1) + [0]


def test_random_pieces_are_midi():
    """Five tracks whose lengths fill the file; a seed always gives the same piece."""
    piece = midi.random_piece(3)
    assert piece == midi.random_piece(3) != midi.random_piece(4)
    kind, length, form, n_tracks, ticks = struct.unpack(">4sIHHH", piece[:14])
    assert (kind, length, form, n_tracks, ticks) == (b"MThd", 6, 1, 5, 480)
    start = 14
    for _ in range(n_tracks):
        name, size = struct.unpack(">4sI", piece[start : start + 8])
        assert name == b"MTrk"
        start += 8 + size
        assert piece[start - 4 : start] == b"\0\xff\x2f\0"
    assert start == len(piece)


def test_each_recording_of_a_package_is_taken_once(tree, tmp_path):
    """No links, no copies, nothing that the rules leave out; licence and authors are known."""
    jobs = list(fetch.recordings("gcin-voice", tree, tmp_path, set()))
    assert [j.row["source"] for j in jobs] == ["ogg/ba/5.ogg", "ogg/bo/5.ogg"]
    assert jobs[0].target.parent == tmp_path / "speech" / "gcin-voice"
    assert jobs[0].row["licence"] == "CC-BY-3.0"
    assert "Chu Lo" in jobs[0].row["author"]
    again = {j.row["md5"] for j in jobs}
    assert not list(fetch.recordings("gcin-voice", tree, tmp_path, again))


def test_fetching_downloads_unpacks_and_goes_on(tree, tmp_path, monkeypatch):
    """Once: the second run converts nothing, but brings licence and authors up to date."""
    called = []

    def stand_in(command, check, cwd=None):
        called.append(command[0])
        if command[0] == "apt-get":
            (cwd / f"{command[2]}_1.deb").write_bytes(b"")
        else:
            subprocess.check_call(["cp", "-a", f"{tree}/.", command[-1]])

    monkeypatch.setattr(fetch.subprocess, "run", stand_in)
    out = tmp_path / "out"
    rows = fetch.fetch(out, ["gcin-voice"], pieces=0, workers=1)
    assert called == ["apt-get", "dpkg-deb"]
    assert all((out / path).exists() for path in rows)
    assert list(fetch.summary(rows)) == ["speech: 2 files, 0.0 min, full band 0.0 min"]
    for row in rows.values():
        row["author"] = "see copyright"
    fetch.write_manifest(out / "manifest.csv", rows)
    before = {path: (out / path).stat().st_mtime_ns for path in rows}
    fetch.fetch(out, ["gcin-voice"], pieces=0, workers=1)
    assert called == ["apt-get", "dpkg-deb"]
    assert before == {path: (out / path).stat().st_mtime_ns for path in rows}
    with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
        assert {row["author"] for row in csv.DictReader(file)} == {
            packages.PACKAGES["gcin-voice"].authors
        }


def test_pieces_are_rendered_through_the_sound_font(tmp_path, monkeypatch):
    """As many as asked for, under the sound font's licence; none without its package."""
    font = tmp_path / "x" / packages.SOUND_FONT
    font.mkdir(parents=True)
    (font / "font.sf3").write_bytes(b"")
    font.with_name(f"{font.name}.done").touch()
    monkeypatch.setattr(midi, "render", lambda font, score, wav: sf.write(wav, tone(1), RATE))
    jobs = list(fetch.music_jobs([packages.SOUND_FONT], 2, tmp_path, tmp_path))
    assert [j.row["source"] for j in jobs] == ["random_000.mid", "random_001.mid"]
    assert {(j.row["class"], j.row["licence"]) for j in jobs} == {("music", "MIT")}
    assert jobs[0].sources[0].exists()
    assert not list(fetch.music_jobs([], 2, tmp_path, tmp_path))


def test_missing_programs_are_named(monkeypatch, capsys, tmp_path):
    """In one line, before anything is fetched; only those that the packages need."""
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    assert fetch.missing_tools(["gcin-voice"], 0) == ["apt-get", "dpkg-deb"]
    monkeypatch.setattr(sys, "argv", ["fetch.py", "--out", str(tmp_path / "out")])
    assert fetch.main() == 1
    assert "apt-get, dpkg-deb, ffmpeg, fluidsynth" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_sources_table_sums_minutes_by_package():
    """Classes, licences and authors are joined."""
    common = {"package": "p", "licence": "CC0", "author": "A. Person"}
    rows = [
        common | {"class": "speech", "seconds": "90"},
        common | {"class": "music", "seconds": "30"},
        common | {"class": "music", "seconds": "60", "package": "b"},
    ]
    lines = list(sources_table(rows))
    assert lines[0] == "3 minutes, 3 recordings."
    assert lines[4] == "| b | music | 1.0 | CC0 | A. Person |"
    assert lines[5] == "| p | music, speech | 2.0 | CC0 | A. Person |"


def test_the_steps_hand_on_their_folders(tmp_path):
    """Fetching writes what training reads, training what evaluating reads; flags reach them."""
    own, rest = run.split(["DIR", "--permissive-only", "--", "--steps", "10"])
    assert own == ["DIR", "--permissive-only"]
    fetching, training, evaluating = run.commands(tmp_path, run.HERE / "held_out.csv", [], rest)
    assert str(tmp_path / "data") in fetching
    assert str(tmp_path / "data" / "manifest.csv") in training
    assert training[-2:] == ["--steps", "10"]
    assert str(tmp_path / run.NAME / "model") in evaluating


def test_the_held_out_clips_are_there():
    """Named relative to the list."""
    with (EXAMPLE / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {"speech", "music", "environment"}
    assert all((EXAMPLE / row["file"]).exists() for row in rows)


def test_the_export_carries_figures_and_sources(small, tmp_path):
    """A model that loads, and a card that says how good it is and what it was trained on."""
    save_model(small.model, tmp_path / run.NAME / "model", run.NAME)
    row = dict.fromkeys(fetch.COLUMNS, "") | {"path": "a", "package": "p", "seconds": "60"}
    (tmp_path / "data").mkdir()
    fetch.write_manifest(tmp_path / "data" / "manifest.csv", {"a": row})
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "summary.md").write_text("### speech: 1 clips\n")
    folder = run.export(tmp_path)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.index("### speech: 1 clips") < card.index("| p | ")
    assert Codec.from_pretrained(folder).name == run.NAME
