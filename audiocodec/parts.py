"""Unfinished files and folders ("parts"), hidden beside their target: .NAME.audiocodec-*.part.

The writer locks its part until the part is renamed. One that nobody has locked was left by a
process that was killed; the next process that writes to the same folder removes it.
"""

import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PART = re.compile(r"\..+\.audiocodec-([0-9a-f]{8})[0-9a-f]{8}\.part", re.DOTALL)
LONGEST_NAME = 55  # characters kept of the target's name: 4 bytes each at most, of 255 in all
DAY_S = 86_400.0

# Folders searched for abandoned parts: once in a process, since a batch writes thousands of files
_searched: set[str] = set()


@contextmanager
def part_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make and open a part of `target`; removed at the end unless it was renamed."""
    _remove_abandoned_once(target.parent)
    while True:
        part = _part_of(target)  # known before it is made, so that an interrupt leaves nothing
        try:
            with open(part, "x+b", opener=_private) as file:
                if _hold(file.fileno()):
                    yield part, file
                    return
        finally:
            with suppress(OSError):  # it was renamed
                part.unlink()


@contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """Make a folder as a part of `target`; removed at the end with what is still in it."""
    _remove_abandoned_once(target.parent)
    part = _part_of(target)
    try:
        part.mkdir(mode=0o700)
        with _held(part):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def publish(part: Path, target: Path) -> None:
    """Rename a part to `target`. Raises FileExistsError if that exists."""
    try:
        os.link(part, target)
    except FileExistsError:
        if not os.path.samefile(part, target):  # a file server's first answer may have been lost
            raise
    except FileNotFoundError:
        raise
    except (OSError, NotImplementedError):  # a file system without hard links
        _publish_by_claim(part, target)
        return
    part.unlink()


def remove_abandoned(folder: Path) -> None:
    """Remove the parts in a folder whose writers are gone; doubtful ones stay."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = PART.fullmatch(entry.name)
            if found and not entry.is_symlink() and _may_judge(entry, found[1] == _machine()):
                _remove_if_free(Path(entry.path), entry.is_dir())


def _remove_abandoned_once(folder: Path) -> None:
    name = os.path.abspath(folder)
    if name not in _searched:
        _searched.add(name)
        remove_abandoned(folder)


def _part_of(target: Path) -> Path:
    number = f"{_machine()}{secrets.token_hex(4)}"
    return target.with_name(f".{target.name[:LONGEST_NAME]}.audiocodec-{number}.part")


@cache
def _machine() -> str:
    """Eight digits for the running system, shared by its containers, which share locks too."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _hold(descriptor: int) -> bool:
    """Lock an open part; False if another process removed it as abandoned before that."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system, so nothing counts as abandoned
        return True
    return os.fstat(descriptor).st_nlink > 0


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    if os.name == "nt":  # folders cannot be opened there
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _hold(descriptor)
        yield
    finally:
        os.close(descriptor)


def _may_judge(entry: "os.DirEntry[str]", is_ours: bool) -> bool:
    """Whether a part without a lock is abandoned. Locks of other machines may not be visible here,
    so their parts stay for a day.
    """
    if not (entry.is_file() or entry.is_dir()):
        return False
    has_locks = fcntl is not None
    age_s = time.time() - entry.stat(follow_symlinks=False).st_mtime
    return (is_ours and has_locks) or age_s > DAY_S


def _remove_if_free(part: Path, is_folder: bool) -> None:
    with suppress(OSError):
        if fcntl is None:  # Windows does not remove open files
            part.unlink()
            return
        descriptor = os.open(part, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_folder:
                shutil.rmtree(part)
            else:
                part.unlink()
        finally:
            os.close(descriptor)


def _publish_by_claim(part: Path, target: Path) -> None:
    """Claim the name with an empty file, which fails if it is taken; then replace that file."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        os.replace(part, target)
    except BaseException:
        target.unlink()
        raise
