"""Files in the making: two writers of one name, and what a killed writer leaves."""

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from audiocodec import parts
from audiocodec.errors import OutputError, OutputExists
from audiocodec.files import output_file

WRITER = """
import sys
from pathlib import Path
from audiocodec.files import output_file
from audiocodec.parts import part_folder
with output_file(sys.argv[1]) as file, part_folder(Path(sys.argv[1] + ".d")) as folder:
    file.write(b"half")
    (folder / "a").write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing the file `a` and the folder `a.d`."""
    root = Path(parts.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path / "a"],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.communicate()


def write(path, content: bytes) -> None:
    with output_file(path) as file:
        file.write(content)


def test_of_two_writers_of_a_new_name_one_wins(tmp_path):
    """However close together; the other is told, and nothing else is left."""
    outcomes: list[bytes | None] = []

    def compete(path: Path, content: bytes, start: threading.Barrier) -> None:
        start.wait()
        with suppress(OutputExists):
            write(path, content)
            outcomes.append(content)

    for i in range(100):
        path, start = tmp_path / str(i), threading.Barrier(2)
        outcomes.clear()
        pair = [threading.Thread(target=compete, args=(path, c, start)) for c in (b"a", b"b")]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        assert outcomes == [path.read_bytes()]
    assert len(list(tmp_path.iterdir())) == 100


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_name_that_is_taken_meanwhile_is_kept(tmp_path, monkeypatch, hard_links):
    """Also on file systems without hard links."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    slow = output_file(tmp_path / "a")
    slow.__enter__().write(b"slow")
    write(tmp_path / "a", b"fast")
    with pytest.raises(OutputExists):
        slow.__exit__(None, None, None)
    assert (tmp_path / "a").read_bytes() == b"fast"
    write(tmp_path / "b", b"new")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_claimed_name_is_free_again_where_it_cannot_be_used(tmp_path, monkeypatch):
    """No empty file is left on a disk without hard links."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError):
        write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == []


def test_a_link_whose_confirmation_was_lost_counts(tmp_path, monkeypatch):
    """A file server may link, lose its answer, and say at the second request: it exists."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_killed_writer_left_is_removed(tmp_path, writer):
    """By the next that writes to the folder; a living writer's parts, and other files, stay."""
    (tmp_path / ".a.0123456789abcdef.part").write_bytes(b"of another program")
    before = set(tmp_path.iterdir())
    assert len(before) == 3
    parts.remove_abandoned(tmp_path)
    assert set(tmp_path.iterdir()) == before
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    parts._searched.discard(str(tmp_path))
    write(tmp_path / "b", b"new")
    assert sorted(os.listdir(tmp_path)) == [".a.0123456789abcdef.part", "b"]


def test_a_writer_that_is_stopped_lives(tmp_path, writer):
    """It goes on later, and its file appears."""
    writer.send_signal(signal.SIGSTOP)
    parts.remove_abandoned(tmp_path)
    writer.send_signal(signal.SIGCONT)
    writer.communicate(timeout=20)
    assert (tmp_path / "a").read_bytes() == b"half"
    assert os.listdir(tmp_path) == ["a"]


def test_parts_of_another_machine_stay_for_a_day(tmp_path, monkeypatch):
    """Their locks may not be seen here."""
    part = tmp_path / f".a.audiocodec-{16 * '0'}.part"
    part.write_bytes(b"half")
    parts.remove_abandoned(tmp_path)
    assert part.exists()
    os.utime(part, (0, 0))
    parts.remove_abandoned(tmp_path)
    assert not part.exists()


def test_a_part_that_was_taken_for_abandoned_is_made_anew(tmp_path, monkeypatch):
    """Between making it and locking it, another process may remove it."""
    hold, removed = parts._hold, []

    def late(descriptor: int) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            parts.remove_abandoned(tmp_path)
        return hold(descriptor)

    monkeypatch.setattr(parts, "_hold", late)
    write(tmp_path / "a", b"new")
    assert len(removed) == 1
    assert (tmp_path / "a").read_bytes() == b"new"


def test_without_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    """Of today; and files are written."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(parts.fcntl, "flock", refuse)
    with output_file(tmp_path / "a") as file:
        file.write(b"new")
        parts.remove_abandoned(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"new"
    monkeypatch.setattr(parts, "fcntl", None)
    with output_file(tmp_path / "b") as file:
        parts.remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_names_have_their_longest_length(tmp_path):
    """Of 255 bytes, whatever the alphabet."""
    write(tmp_path / (63 * "𝄞"), b"new")
    assert len(os.listdir(tmp_path)) == 1
