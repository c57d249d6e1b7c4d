"""What `audiocodec info` says."""

import io
import json
import sys
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import audiocodec
from audiocodec import DacFile, Header
from audiocodec.cli import run
from audiocodec.engine import kernels
from audiocodec.errors import ArgumentError, CodecError

HEADER = Header(
    model="some model",
    fingerprint="0123456789abcdef" * 2,
    model_rate=44100,
    hop=512,
    sample_rate=22050,
    channels=2,
    n_samples=44100,
    n_codebooks=9,
    codebook_size=1024,
    gain=2.0,
    tags={"title": "Äther\x1b[31m\nsong"},
)


@pytest.fixture
def file(here):
    """Two seconds of codes."""
    codes = np.arange(2 * 9 * HEADER.n_frames).reshape(2, 9, -1) % 1024
    DacFile(HEADER, codes).save(here / "a b.dac")
    return here / "a b.dac"


def test_it_tells_what_a_file_holds(file, capsys):
    """One fact a line, nothing that steers a terminal."""
    assert run(["info", "a b.dac"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    n_bytes = file.stat().st_size
    assert captured.out.splitlines() == [
        f"file       a b.dac, {n_bytes} bytes",
        "format     audiocodec version 1",
        f"model      some model, fingerprint {HEADER.fingerprint}",
        "duration   2.000 s (44100 samples)",
        "sound      22050 Hz, 2 channel(s)",
        "codes      9 codebooks x 1024 entries, 173 frames",
        "level      changed by +6.02 dB before encoding; decoding takes it back",
        f"bit rate   {n_bytes * 8 / 2000:.2f} kbps, nominal 15.50",
        r"tags       title: Äther\x1b[31m\nsong",
        "integrity  intact",
    ]


def test_json_is_one_object(file, capsys):
    """With units in the names."""
    assert run(["info", "--json", "a b.dac"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "some model"
    assert facts["duration_s"] == 2.0
    assert facts["gain_db"] == pytest.approx(6.0206, abs=1e-4)
    assert facts["kbps"] == pytest.approx(file.stat().st_size * 8 / 2000)
    assert facts["nominal_kbps"] == pytest.approx(HEADER.nominal_kbps)
    assert facts["tags"] == dict(HEADER.tags)
    assert (facts["intact"], facts["problems"]) == (True, [])


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_damage_is_told_and_what_to_do(file, capsys, monkeypatch, flags):
    """The information comes all the same, from standard input too; the exit status is 1."""
    whole = file.read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(whole[:-2000])))
    assert run(["info", "-", *flags]) == 1
    captured = capsys.readouterr()
    if flags:
        facts = json.loads(captured.out)
        assert not facts["intact"]
        assert facts["problems"]
    else:
        assert "some model" in captured.out
        assert "missing" in captured.out.split("integrity")[1]
    assert len(captured.err.splitlines()) == 1
    assert "`audiocodec decode --recover`" in captured.err


def test_published_files_show_what_they_hold(data, capsys):
    """They state neither model nor gain, but the loudness."""
    path = str(data / "published" / "dac_44khz_small_short.dac")
    assert run(["info", path]) == 0
    assert "published tool" in capsys.readouterr().out
    assert run(["info", path, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["channels"], facts["n_codebooks"], facts["n_frames"]) == (2, 9, 87)
    assert (facts["model"], facts["nominal_kbps"], facts["intact"]) == (None, None, True)
    assert facts["loudness_lufs"] == pytest.approx(-14.7, abs=0.1)


@pytest.mark.parametrize("name", ["missing.dac", ".", "text.dac", "empty.dac"])
def test_what_is_no_dac_file_is_an_error(here, name):
    """That names the file."""
    (here / "text.dac").write_text("hello")
    (here / "empty.dac").touch()
    with pytest.raises(CodecError, match=name):
        run(["info", name])


def test_system_tells_what_runs_here(capsys):
    """Versions of what matters, the device, and whether the kernels were built."""
    assert run(["info", "--system"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["audiocodec"] == audiocodec.__version__
    assert lines["torch"] == version("torch")
    assert run(["info", "--system", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cpu kernels"].startswith("compiled" if kernels.is_built() else "none")
    assert facts["threads"].startswith(f"{torch.get_num_threads()} of ")


@pytest.mark.parametrize("operands", [[], ["a b.dac", "--system"]])
def test_a_file_or_the_system(operands):
    """Not both, not neither."""
    with pytest.raises(ArgumentError, match="either FILE or --system"):
        run(["info", *operands])
