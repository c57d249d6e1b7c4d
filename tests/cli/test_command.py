"""The command as a shell sees it: exit status, pipes, signals, processes, start-up."""

import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec import __version__
from audiocodec.cli import COMMANDS, run
from audiocodec.errors import CodecError

LONG = 44100 * 600  # samples: long enough to be interrupted


def finished(process: subprocess.Popen, timeout_s: float = 60) -> tuple[int, bytes, str]:
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, out, err.decode()


def wait_for_parts(process: subprocess.Popen, folder: Path, n_files: int) -> None:
    """Until so many files are half-written."""
    while len(list(folder.rglob("*.part"))) < n_files:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def test_quick_answers_need_no_torch(here, data):
    """Help, versions, lists and `info` come at once."""
    file = data / "published" / "dac_44khz_small_short.dac"
    code = f"""
import sys
from audiocodec.cli import COMMANDS, run
for arguments in (["--help"], ["--version"], ["models"], ["info", {str(file)!r}]):
    assert run(arguments) == 0
for command in COMMANDS:
    assert run([command, "--help"]) == 0
print([name for name in ("torch", "soundfile", "huggingface_hub") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert f"audiocodec {__version__}" in done.stdout


def test_every_command_has_help(capsys):
    """With dashes, and without the internals of argbind."""
    assert run(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(name in overview for name in COMMANDS)
    for name in COMMANDS:
        assert run([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"usage: audiocodec {name} ")
        assert "Generated arguments" not in text
        assert "args." not in text.replace("--args.load FILE", "" if name == "train" else "args.")
        flags = [word for word in text.split() if word.startswith("--")]
        assert not any("_" in flag for flag in flags)


@pytest.mark.parametrize("arguments", [[], ["compress"], ["--codebooks", "3"]])
def test_unknown_commands_are_refused(arguments):
    """With those that there are."""
    names = "encode, decode, info, tokenize, crop, concat, splice, truncate, compare, train"
    with pytest.raises(CodecError, match=f"{names}, evaluate, export, models"):
        run(arguments)


def test_errors_are_one_line_and_the_status_is_1(start):
    """A traceback comes with --debug only."""
    processes = [
        start("info", "missing.dac"),
        start("info", "missing.dac", "--debug"),
        start("info", "--bad"),
        start(),
    ]
    results = [finished(process) for process in processes]
    assert [status for status, _, _ in results] == [1, 1, 1, 1]
    assert not any(out for _, out, _ in results)
    plain, debug, *others = [err for _, _, err in results]
    assert plain == "audiocodec: missing.dac: cannot be read: No such file or directory\n"
    assert debug.startswith("Traceback")
    assert debug.endswith(plain)
    assert all(err.count("\n") == 1 for err in others)


def test_sound_goes_through_pipes(here, start, model, make_sound):
    """Bytes on standard output, nothing on standard error; an unbuffered output is filled too."""
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    with make_sound("a.wav", 100_000).open("rb") as sound:
        encoder = start("encode", "-", "--model", model, stdin=sound, env=unbuffered)
    decoder = start("decode", "-", "--model", model, stdin=encoder.stdout, env=unbuffered)
    status, out, err = finished(decoder)
    assert (status, err) == (0, "")
    assert encoder.wait() == 0
    assert encoder.stderr.read() == b""
    assert soundfile.info(io.BytesIO(out)).frames == 100_000


def test_a_closed_pipe_is_told_in_one_line(here, start, model, make_sound, small):
    """As with `audiocodec decode x.dac - | head -c 10`; a full device too."""
    make_sound("a.wav", 200_000)
    small.compress("a.wav", "a.dac")
    decoder = start("decode", "a.dac", "-", "--model", model)
    full = open("/dev/full", "wb")  # noqa: SIM115
    encoder = start("encode", "a.wav", "-", "--model", model, stdout=full)
    assert decoder.stdout.read(10).startswith(b"RIFF")
    decoder.stdout.close()
    full.close()
    for process in (decoder, encoder):
        err = process.stderr.read().decode()
        assert process.wait() == 1
        assert err.count("\n") == 1
        assert err.startswith("audiocodec: ")


def test_an_interrupted_file_is_gone(here, start, model, make_sound):
    """Neither the output nor a part of it is left, after Ctrl-C, `kill` or a closed terminal."""
    make_sound("a.wav", LONG)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # one by one: a late start is no early end
        process = start("encode", "a.wav", "b.dac", "--model", model)
        wait_for_parts(process, here, 1)
        process.send_signal(number)
        status, out, err = finished(process)
        assert (status, out) == (130, b"")
        assert err == "audiocodec: interrupted; nothing half-written is left\n"
    assert [path.name for path in here.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("module", ["argbind", "torch.version", "soundfile"])
def test_ctrl_c_is_told_in_one_line_whenever_it_comes(run_python, module):
    """While Python imports, and a second and third time when the command ends."""
    status, out, err = run_python(f"""
import atexit, os, signal, sys

class Impatient:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
sys.meta_path.insert(0, Impatient())
sys.argv = ["audiocodec", "encode", sys.executable]
from audiocodec.cli import main
main()
""")
    assert (status, out) == (130, "")
    assert err == ["audiocodec: interrupted; nothing half-written is left"]


def test_what_is_ignored_stays_ignored(run_python):
    """Under nohup, a closed terminal ends nothing."""
    code = """
import os, signal
from audiocodec.cli.interrupts import Interrupts
signal.signal(signal.SIGHUP, signal.SIG_IGN)
Interrupts().watch()
os.kill(os.getpid(), signal.SIGHUP)
try:
    os.kill(os.getpid(), signal.SIGTERM)
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run_python(code) == (0, "interrupted\n", [])


def test_a_closed_standard_stream_is_told(here, small):
    """Where it is needed; what would be said to one is said to nobody, and to no file."""
    small.compress(np.ones(3000), "a.dac", sample_rate=44100)
    for arguments, closed, status, words in (
        (["info", "-"], "<&-", 1, b"audiocodec: standard input is closed; name a file"),
        (["crop", "a.dac", "-"], ">&-", 1, b"audiocodec: standard output is closed; name a file"),
        (["info", "a.dac"], ">&-", 0, b""),
        (["crop", "a.dac", "b.dac"], "2>&-", 0, b""),
        (["info", "missing.dac"], "2>&-", 1, b""),
    ):
        command = [sys.executable, "-m", "audiocodec", *arguments]
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
        done = subprocess.run(shell, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (status, b"")
        assert done.stderr.startswith(words)
        assert done.stderr.count(b"\n") == bool(words)


def test_python_without_docstrings_is_enough(run_python):
    """As with -OO: help says less, and commands work."""
    code = """
from audiocodec.cli import COMMANDS, run
raise SystemExit(sum(run([command, "--help"]) for command in COMMANDS) + run(["models"]))
"""
    status, out, err = run_python(code, "-OO")
    assert (status, err) == (0, [])
    assert "usage: audiocodec crop INPUT TARGET [flags]" in out


def test_the_hub_library_is_quiet(run_python):
    """Without a network its retries and warnings are not shown; one line of ours is."""
    code = """
import sys, time
time.sleep = lambda seconds: None
sys.argv = ["audiocodec", "encode", sys.executable, "-", "--model", "some/model"]
from audiocodec.cli import main
main()
"""
    status, out, err = run_python(code, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME="hub")
    assert (status, out, len(err)) == (1, "", 1)
    assert "some/model: it is not in the cache and the hub cannot be reached" in err[0]


def test_several_at_a_time(here, start, model, make_sound):
    """A bad file is listed; Ctrl-C and a closed terminal reach and stop all processes."""
    make_sound("in/a.wav")
    make_sound("in/b.wav")
    (here / "in" / "bad.wav").write_text("no audio")
    make_sound("long/c.wav", LONG)
    make_sound("long/d.wav", LONG)
    jobs = ["--jobs", "2", "--model", model]
    status, out, err = finished(start("encode", "in", "out", *jobs))
    assert (status, out) == (1, b"")
    assert err.splitlines()[0].startswith("audiocodec: in/bad.wav: ")
    assert err.splitlines()[1:] == ["audiocodec: 1 of 3 files failed"]
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.dac", "b.dac"]

    for number in (signal.SIGINT, signal.SIGHUP):
        process = start("encode", "long", *jobs, start_new_session=True)
        wait_for_parts(process, here, 2)
        os.killpg(process.pid, number)
        status, _, err = finished(process)
        assert status == 130
        assert err == "audiocodec: interrupted; nothing half-written is left\n"
        assert sorted(path.name for path in (here / "long").iterdir()) == ["c.wav", "d.wav"]


def test_a_terminal_shows_how_far_it_is(here, start, model, make_sound):
    """Real-time factor and time left; and the bar leaves no trace."""
    make_sound("a.wav", 300_000)
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = start("encode", "a.wav", "--model", model, stderr=follower)
    assert process.wait(60) == 0
    shown = os.read(leader, 4096).decode().split("\r")
    os.close(leader)
    os.close(follower)
    assert any(line.startswith("a.wav: reading") for line in shown)
    assert any("%|" in line and "x real time, " in line and " left" in line for line in shown)
    assert not shown[-1].strip()
