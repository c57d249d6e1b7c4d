"""Files that are written: whole or not at all, through links, pipes and devices."""

import io
import os
import pty
import socket
import stat
import sys
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import pytest

from audiocodec.errors import ContainerError, OutputError, OutputExists
from audiocodec.files import (
    is_same_file,
    make_folder_for,
    open_binary,
    output_file,
    read_exactly,
    write_whole,
)


def write(path, content: bytes = b"new", overwrite: bool = False) -> None:
    with output_file(path, overwrite) as file:
        file.write(content)


def fail(path, overwrite: bool = False) -> None:
    with suppress(ZeroDivisionError), output_file(path, overwrite) as file:
        file.write(b"half")
        file.flush()
        raise ZeroDivisionError


@contextmanager
def interrupted_after(n_instructions: int) -> Iterator[None]:
    """As by a signal, in files.py and what it calls, but for what undoes an interrupt."""
    n_seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        nonlocal n_seen
        frame.f_trace_opcodes = True
        if event == "opcode":
            n_seen += 1
            if n_seen == n_instructions:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


class Reader:
    """Reads a named pipe to its end, as `cat` would."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path, self.content = path, b"nothing was read"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        self.content = self.path.read_bytes()

    def wait(self) -> bytes:
        self.thread.join(10)
        return self.content


def test_a_file_is_whole_or_as_it_was(tmp_path):
    """And an existing one is replaced only if asked."""
    path = tmp_path / "a"
    fail(path)
    assert not list(tmp_path.iterdir())
    write(path)
    with pytest.raises(OutputExists, match="a: exists already"):
        write(path, b"other")
    fail(path, overwrite=True)
    assert path.read_bytes() == b"new"
    write(path, b"other", overwrite=True)
    assert path.read_bytes() == b"other"
    assert list(tmp_path.iterdir()) == [path]


# Between open() and `with` a file is closed by whoever collects it.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_anywhere_leaves_nothing_behind(tmp_path):
    """At each instruction between making the file and giving it its name."""
    path, n_done = tmp_path / "a", 0
    while not path.exists():
        n_done += 1
        with suppress(KeyboardInterrupt), interrupted_after(n_done):
            write(path)
        left = [path.name for path in tmp_path.iterdir()]
        assert left in ([], ["a"]), f"after {n_done} instructions"
    assert path.read_bytes() == b"new"
    assert n_done > 50


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    """Also where nothing is there yet; temporary files stand in the folder of the file."""
    (tmp_path / "far").mkdir()
    file, link, chain = tmp_path / "far" / "file", tmp_path / "link", tmp_path / "chain"
    link.symlink_to(Path("far", "file"))
    chain.symlink_to("link")
    fail(chain)
    write(chain)
    with pytest.raises(OutputExists, match="link"):
        write(link, b"other")
    write(link, b"other", overwrite=True)
    assert file.read_bytes() == b"other"
    assert (link.is_symlink(), chain.is_symlink()) == (True, True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["chain", "far", "file", "link"]
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "file")
    with pytest.raises(OutputError, match=r"lost: .*nowhere does not exist; make it first"):
        write(tmp_path / "lost")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_named_pipe_gets_all_bytes_at_the_end(tmp_path, overwrite):
    """Its reader gets nothing of what fails, and then the end; writers may seek."""
    reader = Reader(tmp_path / "pipe")
    with output_file(reader.path, overwrite) as file:
        file.write(b"xb")
        file.seek(0)
        file.write(b"a")
    assert reader.wait() == b"ab"
    assert stat.S_ISFIFO(reader.path.stat().st_mode)
    reader = Reader(tmp_path / "other")
    fail(reader.path, overwrite)
    assert reader.wait() == b""


def test_a_device_is_written_through(tmp_path):
    """Here a terminal, by its name and by a link."""
    leader, follower = pty.openpty()
    tty.setraw(follower)
    device, link = os.ttyname(follower), tmp_path / "link"
    link.symlink_to(device)
    for path in (device, link):
        write(path, b"sound")
        assert os.read(leader, 100) == b"sound"
    assert stat.S_ISCHR(os.stat(device).st_mode)
    os.close(leader)
    os.close(follower)
    assert link.is_symlink()


def test_what_is_open_without_a_name_is_written_through(tmp_path):
    """A pipe, as /dev/stdout can lead to, and a file that has lost its name."""
    out, into = os.pipe()
    write(f"/dev/fd/{into}", overwrite=True)
    assert os.read(out, 100) == b"new"
    os.close(out)
    os.close(into)
    with (tmp_path / "file").open("w+b") as file:
        (tmp_path / "file").unlink()
        write(f"/dev/fd/{file.fileno()}", overwrite=True)
        assert file.read() == b"new"
    assert not list(tmp_path.iterdir())


def test_a_socket_is_refused(tmp_path):
    """It can be neither replaced nor opened; it stays."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        for overwrite in (False, True):
            with pytest.raises(OutputError, match="s: "):
                write(tmp_path / "s", overwrite=overwrite)
    assert stat.S_ISSOCK((tmp_path / "s").stat().st_mode)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "is empty; give one"),
        ("new/", "new/: names a folder; give the name of a file"),
        ("new/.", "new/.: names a folder"),
        ("..", "names a folder"),
        ("folder", "folder: is a folder, not a file"),
        ("a\0b", r"'a\\x00b': no file can have this name"),
        ("file/a", "file/a: cannot be written: Not a directory"),
        ("a" * 300, "cannot be written: File name too long"),
        ("new/a", "the folder new does not exist; make it first"),
    ],
)
def test_what_no_file_can_be_called_is_refused(tmp_path, monkeypatch, path, words):
    """With overwrite too; nothing is made."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=words):
            write(path, overwrite=overwrite)
    assert sorted(os.listdir()) == ["file", "folder"]


def test_a_folder_is_made_for_a_file(tmp_path):
    """With those above it, unless there is no file to be, or a file is in its place."""
    make_folder_for(tmp_path / "a" / "b" / "file")
    make_folder_for(tmp_path / "a" / "b" / "file")
    with pytest.raises(OutputError, match="names a folder"):
        make_folder_for(f"{tmp_path}/c/d/")
    assert os.listdir(tmp_path / "a" / "b") == []
    assert os.listdir(tmp_path) == ["a"]
    write(tmp_path / "file")
    with pytest.raises(OutputError, match="file: cannot be made: "):
        make_folder_for(tmp_path / "file" / "a")


def test_one_file_has_many_names(tmp_path):
    """Links, relative paths; but no file object is a path, and what is not there is no file."""
    write(tmp_path / "a")
    (tmp_path / "link").symlink_to("a")
    os.link(tmp_path / "a", tmp_path / "hard")
    write(tmp_path / "other")
    for name in ("a", "link", "hard", f"../{tmp_path.name}/a"):
        assert is_same_file(tmp_path / "a", f"{tmp_path}/{name}")
    for target in (tmp_path / "other", tmp_path / "missing", "a\0b", None):
        assert not is_same_file(tmp_path / "a", target)
    with (tmp_path / "a").open("rb") as file:
        assert not is_same_file(tmp_path / "a", file)


def test_a_name_that_no_file_can_have_cannot_be_read():
    """In words, as any other that is not there."""
    with pytest.raises(ContainerError, match=r"'a\\x00b': cannot be read"):
        open_binary("a\0b")


def test_what_is_overwritten_keeps_its_permissions(tmp_path):
    """Nobody else may read it afterwards who could not before."""
    path = tmp_path / "private"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with output_file(path, overwrite=True) as file:
        file.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_without_a_name_is_cut_to_its_new_length():
    """Nothing of a longer one before is left behind it."""
    with tempfile.TemporaryFile() as nameless:
        nameless.write(b"x" * 100)
        nameless.flush()
        with output_file(f"/proc/self/fd/{nameless.fileno()}", overwrite=True) as file:
            file.write(b"new")
        nameless.seek(0)
        assert nameless.read() == b"new"


class SlowFile(io.RawIOBase):
    """A raw file that takes a few bytes at a time."""

    def __init__(self, answers: list[int | None]) -> None:
        self.content, self.answers = b"", answers

    def writable(self) -> bool:
        return True

    def write(self, data) -> int | None:  # type: ignore[no-untyped-def]
        answer = self.answers.pop(0) if self.answers else len(data)
        self.content += bytes(data[:answer]) if answer else b""
        return answer


def test_short_writes_are_written_on():
    """A write may take fewer bytes than it is given."""
    file = SlowFile([1, 3, 2])
    assert write_whole(file, b"0123456789") == 10  # type: ignore[arg-type]
    assert file.content == b"0123456789"


@pytest.mark.parametrize("answer", [0, None, -1, 11])
def test_a_write_that_takes_nothing_is_an_error(answer):
    """A raw file answers None where it would have to wait."""
    with pytest.raises(OSError, match="takes no more bytes"):
        write_whole(SlowFile([4, answer]), b"0123456789")  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, [1], "text"])
def test_a_read_without_bytes_is_an_error(given):
    """Whatever else it may be."""

    class Odd:
        def read(self, n_bytes: int) -> object:
            return given

    with pytest.raises(OSError, match=r"its read\(\) gives .*, not bytes"):
        read_exactly(Odd(), 5)  # type: ignore[arg-type]
