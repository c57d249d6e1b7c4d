"""The documentation builds without warnings, and every example in it runs as it stands there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec.cli import COMMANDS
from audiocodec.cli.arguments import parse

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
NOT_RUN = "# not run: "  # and why: recordings, a cluster or hours that a test does not have
FETCHED = ("--model dac_44khz", "better.dac", "pip install")  # need a network


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the pages presuppose: a recording under several names, a folder of them."""
    clip = ROOT / "examples" / "audio" / "speech_pd_voice.flac"
    shutil.copy(clip, tmp_path / "speech.wav")
    shutil.copy(clip, tmp_path / "in.wav")
    (tmp_path / "RECORDINGS").mkdir()
    samples, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "RECORDINGS" / "short.wav", samples[: rate // 2], rate)
    soundfile.write(tmp_path / "RECORDINGS" / "other.flac", np.roll(samples[: rate // 3], 9), rate)
    return tmp_path


def run(arguments: list[str], folder: Path) -> str:
    """Run in a folder; what it printed."""
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shell(lines: list[str], folder: Path) -> str:
    """Run lines of a page with the command of this environment."""
    command = f"audiocodec() {{ '{sys.executable}' -m audiocodec \"$@\"; }}\nset -eo pipefail\n"
    return run(["bash", "-c", command + "\n".join(lines)], folder)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_commands_run(page, folder):
    """Line by line as on the page; of those that cannot run here, the flags are checked."""
    runs = []
    for block in blocks(page, "sh"):
        lines = block.splitlines()
        if lines[0].startswith(NOT_RUN):
            check_flags(lines[1:])
        else:
            runs += [line for line in lines if not any(word in line for word in FETCHED)]
    if page == "tokens":
        runs = ["audiocodec models", *runs]
    if runs:
        assert shell(runs, folder)


def check_flags(lines: list[str]) -> None:
    """Each line is a command that exists, with flags that it has."""
    for line in lines:
        words = shlex.split(line)
        words = words[words.index("audiocodec") + 1 :]
        assert words[0] in COMMANDS
        parse(documented(words[0]), words[0], words[1:])


def documented(name: str):
    """A command that does nothing, with the documentation and flags of the real one."""
    from importlib import import_module

    real = getattr(import_module(f"audiocodec.cli.{name}"), name)

    def command() -> int:
        return 0

    command.__doc__ = real.__doc__
    return command


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_runs(page, folder):
    """All blocks of a page, one after the other, in one process."""
    if page == "tokens":
        shell(["audiocodec tokenize speech.wav --out TOKENS"], folder)
    assert run([sys.executable, "-c", "\n".join(blocks(page, "python"))], folder) is not None


def test_every_page_is_in_the_table_of_contents():
    """And the table names no page that is missing."""
    contents = re.findall(r"```\{toctree\}.*?```", PAGES["index"], re.DOTALL)
    named = {line for block in contents for line in block.splitlines()[1:-1] if line.isidentifier()}
    assert named == set(PAGES) - {"index"}


def test_the_figure_is_drawn_by_the_code_beside_it(tmp_path):
    """road.svg is what road.py draws."""
    shutil.copy(ROOT / "docs" / "figures" / "road.py", tmp_path)
    run([sys.executable, "road.py"], tmp_path)
    drawn = (tmp_path / "road.svg").read_text(encoding="utf-8")
    assert drawn == (ROOT / "docs" / "figures" / "road.svg").read_text(encoding="utf-8")
