"""`audiocodec tokenize`: flags, the summary, the bar and the exit status."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from audiocodec.cli import run
from audiocodec.errors import ArgumentError, CodecError
from audiocodec.tokens import open_shards


def test_a_corpus_becomes_shards(here, model, make_sound, capsys):
    """Bad files are counted and do not fail the command."""
    for name in ("in/a.wav", "in/b.wav", "c.wav"):
        make_sound(name)
    (here / "in" / "bad.wav").write_text("no audio")
    arguments = ["in", "c.wav", "--out", "out", "--model", model, "--workers", "1"]
    assert run(["tokenize", *arguments, "--codebooks", "2", "--format", "safetensors"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"out: 3 rows in 1 shard, 0\.000 hours of audio at [\d.]+ kbit/s, 1 error, [\d.]+ s\n",
        out,
    )
    assert err == "audiocodec: 1 item could not be used; out/errors.jsonl says why\n"
    shards = open_shards(here / "out")
    assert [row.id for row in shards.rows()] == ["a.wav", "b.wav", "c.wav"]
    assert shards.row(0).n_codebooks == 2
    with pytest.raises(CodecError, match="was begun with format safetensors, not parquet"):
        run(["tokenize", *arguments, "--codebooks", "2"])


def test_no_rows_at_all_is_a_failure(here, model):
    """Whoever waits for shards should know."""
    (here / "bad.wav").write_text("no audio")
    assert run(["tokenize", "bad.wav", "--out", "out", "--model", model]) == 1


def test_wrong_flags_are_refused(here, make_sound):
    """Before a model is loaded."""
    make_sound("a.wav")
    with pytest.raises(ArgumentError, match="give --out"):
        run(["tokenize", "a.wav"])
    with pytest.raises(ArgumentError, match="INPUTS is missing"):
        run(["tokenize", "--out", "out"])
    with pytest.raises(ArgumentError, match="engine 'dask' is none of local, ray"):
        run(["tokenize", "a.wav", "--out", "out", "--engine", "dask"])


def test_a_terminal_shows_how_far_it_is(here, start, model, make_sound):
    """Hours of audio, their speed and the time left; the bar leaves no trace."""
    for i in range(4):
        make_sound(f"in/{i}.wav", 200_000)
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    process = start(
        "tokenize", "in", "--out", "out", "--model", model, "--workers", "1", stderr=follower
    )
    assert process.wait(60) == 0
    shown = os.read(leader, 8192).decode().split("\r")
    os.close(leader)
    os.close(follower)
    bars = [line for line in shown if "%|" in line]
    assert any("/4 files, 0.00 h of audio, " in line and " h/min, " in line for line in bars)
    assert not shown[-1].strip()


def test_another_track_of_a_video(here, model, capsys):
    """Is a setting of the job, with which a restart must agree."""
    sound = ["-f", "lavfi", "-i", "sine=440:d=1:r=44100", "-f", "lavfi", "-i", "sine=880:d=0.5"]
    command = ["ffmpeg", "-v", "error", *sound, "-map", "0:a", "-map", "1:a", "-c:a", "flac"]
    subprocess.run([*command, "a.mkv"], check=True)
    (here / "list.csv").write_text("path\na.mkv\n")
    flags = ["--model", model, "--workers", "1"]
    for out, *track in (("one",), ("two", "--track", "2")):
        assert run(["tokenize", "list.csv", "--out", out, *flags, *track]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert [int(open_shards(here / out).lengths[0]) for out in ("one", "two")] == [87, 44]
    with pytest.raises(CodecError, match="was begun with track 2, not None"):
        run(["tokenize", "list.csv", "--out", "two", *flags])
