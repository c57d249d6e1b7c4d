"""The command itself."""

import subprocess
import sys

import pytest

from audiocodec.bench import __main__ as command
from audiocodec.bench import plot
from audiocodec.bench.results import Results


def run(*arguments):
    """In a process of its own."""
    words = [sys.executable, "-m", "audiocodec.bench", *map(str, arguments)]
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
    results = Results.from_json((out / "results.json").read_text())
    assert [row.operation for row in results.rows] == ["encode", "decode"]
    assert results.setting["threads"] == 1
    assert results.agreements[0].share == 1.0
    assert not results.missing
    assert (out / "results.md").read_text() == done.stdout
    assert (out / "speed.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--systems", "mp3"], "no system 'mp3'; there are published"),
        (["--model", "/no/such/folder"], "/no/such/folder"),
        (["--model", "tiny_44khz", "--device", "no_device"], "device 'no_device' cannot be used"),
    ],
)
def test_errors_are_one_line(arguments, said, capsys):
    """With what is wrong, and status 1."""
    assert command.main(arguments) == 1
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_matplotlib(tmp_path, monkeypatch, capsys):
    """Results are written, and that there is no plot is said."""

    def missing(_: Results) -> None:
        raise ImportError

    monkeypatch.setattr(plot, "picture", missing)
    command.write(Results(), "text", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md"]
    assert "matplotlib is missing" in capsys.readouterr().err
