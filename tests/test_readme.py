"""What the README and the examples show works as shown."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import audiocodec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(arguments, folder):
    """Run in an empty folder; the last line of a failure is the message."""
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_blocks_run_one_after_the_other(tmp_path):
    """As a reader would paste them, with a real recording under the name used there."""
    shutil.copy(ROOT / "examples/audio/speech_pd_voice.flac", tmp_path / "speech.wav")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    printed = run([sys.executable, "-c", "\n".join(blocks)], tmp_path)
    assert "(1, 9, 198)" in printed
    assert {path.name for path in tmp_path.iterdir()} >= {"speech.dac", "decoded.wav"}


def test_the_shell_block_runs(tmp_path):
    """Every line of the block, with the command that is installed."""
    shutil.copy(ROOT / "examples/audio/speech_pd_voice.flac", tmp_path / "speech.wav")
    shutil.copy(ROOT / "examples/audio/speech_pd_voice.flac", tmp_path / "in.wav")
    block = re.search(r"## Shell\n\n```sh\n(.*?)```", README, re.DOTALL)[1]
    command = f"audiocodec() {{ '{sys.executable}' -m audiocodec \"$@\"; }}\nset -eo pipefail\n"
    printed = run(["bash", "-c", command + block], tmp_path)
    assert "tiny_44khz" in printed
    assert "intact" in printed
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"speech.wav", "speech.dac", "decoded.flac", "in.wav", "out.wav"}


def test_it_is_read_in_minutes():
    """8 KB at most; what is longer belongs into docs/."""
    assert len(README.encode()) <= 8000
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_two_commands_are_two_fenced_lines():
    """Under their heading, one line each; continuous integration runs the second."""
    section = README.split("## Two commands\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert [block.count("\n") for block in blocks] == [1, 1]
    assert "examples/round_trip.py" in blocks[0]
    assert "pytest" in blocks[1]


def test_every_public_name_is_in_the_readme():
    """What can be imported is what is written about."""
    assert [name for name in audiocodec.__all__ if name not in README] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_run(example, tmp_path):
    """Each alone, in an empty folder."""
    assert run([sys.executable, example], tmp_path)


def test_a_round_trip_says_what_it_costs(tmp_path):
    """The main job: bit rate near the nominal one, the same length, a distance."""
    printed = run([sys.executable, ROOT / "examples/round_trip.py"], tmp_path)
    assert float(re.search(r", ([\d.]+) kbps \(nominal 15\.50", printed)[1]) < 15.5 * 1.05
    assert "same length True" in printed
    assert float(re.search(r"SI-SDR (-?[\d.]+) dB", printed)[1]) > 0


def test_importing_the_package_does_not_import_torch():
    """Nor does its container; a reader of headers starts at once."""
    code = "import sys, audiocodec; audiocodec.Header; sys.exit('torch' in sys.modules)"
    run([sys.executable, "-c", code], ROOT)
