"""The same job on a Ray cluster of two workers, one of which is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from audiocodec.errors import ArgumentError
from audiocodec.tokens import tokenize
from audiocodec.tokens.tokenizing import TokenizeSettings


def actors_of(pid):
    """Processes of actors that hold the model, among what a process has started."""
    shown = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, check=True, text=True
    )
    parents, names = {}, {}
    for line in shown.stdout.splitlines():
        one, parent, name = line.split(maxsplit=2)
        parents[int(one)], names[int(one)] = int(parent), name
    found = []
    for one, name in names.items():
        above = one
        while above not in (0, pid):
            above = parents.get(above, 0)
        if above == pid and name.startswith("ray::") and "_Actor" in name:
            found.append(one)
    return found


@pytest.mark.slow
def test_an_actor_is_killed(tmp_path, model, long_corpus, corpus, contents):
    """Ray starts another one, and the files are those of one process, to the byte."""
    inputs = [long_corpus, *corpus]
    settings = TokenizeSettings(device="cpu", shard_rows=1)
    tokenize(inputs, tmp_path / "wanted", model=model, settings=settings)
    out = tmp_path / "out"
    arguments = ["--model", model, "--out", out, "--shard-rows", 1, "--engine", "ray"]
    process = subprocess.Popen(
        [sys.executable, "-m", "audiocodec", "tokenize", *inputs]
        + [str(argument) for argument in (*arguments, "--workers", 2)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    while not list(out.glob("tokens-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    actors = actors_of(process.pid)
    assert len(actors) == 2
    os.kill(actors[0], signal.SIGKILL)
    assert len(list(out.glob("tokens-*"))) < 10
    said, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert f"{out}: 24 rows in 24 shards" in said
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("audiocodec: 5 items could not be used; ")
    assert contents(out) == contents(tmp_path / "wanted")


def test_ray_that_is_not_there_is_told(tmp_path, model, corpus, monkeypatch):
    """With the extra to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    settings = TokenizeSettings(engine="ray")
    with pytest.raises(ArgumentError, match=r"pip install 'audiocodec\[ray\]'"):
        tokenize(corpus, tmp_path / "out", model=model, settings=settings)
