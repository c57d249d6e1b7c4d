"""What the tests of the command share: a small model on disk, short sounds, the command itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import audiocodec

COMMAND = [sys.executable, "-m", "audiocodec"]
PACKAGE = Path(audiocodec.__file__).parents[1]


@pytest.fixture(scope="session")
def model(small, tmp_path_factory) -> str:
    """A folder with the small model."""
    folder = tmp_path_factory.mktemp("model")
    small.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, from which the command is found even if it is not installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the model is too small for threads
    return tmp_path


@pytest.fixture
def run_python(here):
    """Run a few lines in a Python of their own; gives exit status, output, and error lines."""

    def ran(code: str, *options: str, **variables: str) -> tuple[int, str, list[str]]:
        done = subprocess.run(
            [sys.executable, *options, "-c", code],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=_take_interrupts,
        )
        return done.returncode, done.stdout, done.stderr.splitlines()

    return ran


@pytest.fixture(scope="session")
def make_sound():
    """Write seeded noise to a sound file; its folder is made."""

    def make(path: str | Path, n_samples: int = 3000) -> Path:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(path.name)).standard_normal(n_samples)
        soundfile.write(path, 0.1 * noise, 44100)
        return path

    return make


@pytest.fixture
def start(here):
    """Start the command in the empty folder, in a process of its own."""
    running = []

    def started(*arguments: str, **settings) -> subprocess.Popen:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [*COMMAND, *arguments], **{**pipes, **settings}, preexec_fn=_take_interrupts
        )
        running.append(process)
        return process

    yield started
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def _take_interrupts() -> None:
    """As from a terminal: where the tests run in the background, these may be ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
