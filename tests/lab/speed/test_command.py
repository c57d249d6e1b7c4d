"""The command itself."""

import subprocess
import sys

import pytest
import soundfile

from audiocodec.lab.speed import __main__ as command
from audiocodec.lab.speed import plot
from audiocodec.lab.speed.results import BenchmarkResults
from tests.conftest import noise


def run(*arguments):
    """In a process of its own."""
    words = [sys.executable, "-m", "audiocodec.lab.speed", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True)


def test_toy_size(toy_folder, tmp_path):
    """Prints tables, writes results and a picture."""
    out = tmp_path / "new" / "out"
    done = run(
        *("--model", toy_folder, "--systems", "published", "--lengths", "0.02", "--rounds", "1"),
        *("--threads", "1", "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert "published forward pass" in done.stdout
    results = BenchmarkResults.from_json((out / "results.json").read_text())
    assert [row.operation for row in results.rows] == ["encode", "decode"]
    assert results.setting["threads"] == 1
    assert results.agreements[0].share == 1.0
    assert not results.missing
    assert (out / "results.md").read_text() == done.stdout
    assert (out / "speed.svg").read_text().startswith("<?xml")


def test_fast_beside_float32(toy_folder, tmp_path):
    """Codes and decoded audio of the files named; a file that is none is said, and no more."""
    clips, out = tmp_path / "clips", tmp_path / "out"
    clips.mkdir()
    soundfile.write(clips / "stereo.wav", noise(3000, 2)[:, 0].numpy().T, 22050)
    (clips / "broken.flac").write_bytes(b"no audio")
    done = run(
        *("--model", toy_folder, "--systems", "ours", "--lengths", "0.02", "--rounds", "1"),
        *("--threads", "1", "--precision", "fast", "--audio", clips, "--out", out),
    )
    assert done.returncode == 0, done.stderr
    results = BenchmarkResults.from_json((out / "results.json").read_text())
    (found,) = results.fidelities
    assert (found.seeded, found.audio) == (False, str(clips))
    assert (found.n_clips, found.n_available, found.n_frames) == (1, 2, 24)
    if results.setting["bfloat16"]:
        assert 0.5 < found.codes_equal <= 1
        assert 20 < found.snr_worst_db == found.snr_median_db < 90
    else:
        assert found.codes_equal == found.first_equal == 1
        assert found.snr_worst_db is found.snr_median_db is None
    assert "broken.flac: cannot be read as audio" in done.stdout
    assert f"| {clips} | 1 of 2 | 24 |" in done.stdout
    assert "of codes equal those of float32 on the CPU" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--systems", "mp3"], "no system 'mp3'; there are published"),
        (["--model", "/no/such/folder"], "/no/such/folder"),
        (["--audio", "/no/such/clips"], "/no/such/clips: there is no such file or folder"),
        (["--model", "tiny_44khz", "--device", "no_device"], "device 'no_device' cannot be used"),
    ],
)
def test_errors_are_one_line(arguments, said, capsys):
    """With what is wrong, and status 1."""
    assert command.main(arguments) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_matplotlib(tmp_path, monkeypatch, capsys):
    """Results are written, and that there is no plot is said."""

    def missing(_: BenchmarkResults) -> None:
        raise ImportError

    monkeypatch.setattr(plot, "picture", missing)
    command.write(BenchmarkResults(), "text", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md"]
    assert "matplotlib is missing" in capsys.readouterr().err
