"""What a folder holds, for every command alike: files in a fixed order, and what was not used."""

import os
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

from audiocodec.audio.formats import MEDIA_SUFFIXES, readable_suffixes
from audiocodec.errors import AudioError

NAMES = 3  # how many are named for each reason
HIDDEN = "hidden"
NOT_ORDINARY = "not an ordinary file"
DANGLING = "a link that leads nowhere"
NEEDS_FFMPEG = "needs PyAV (pip install 'audiocodec[av]')"
# what git keeps for itself, and what macOS puts beside files
METADATA_FOLDERS, METADATA_PREFIX = (".git", "__MACOSX"), "._"


class UnusedFilesWarning(UserWarning):
    """Files of a folder that look like input and were not used."""


def sound_files(folder: Path) -> Iterator[Path]:
    """Yield the files under `folder` that can be read as audio, judged by their suffix.

    What looks like sound or video and cannot be used is told. The rules are those of files_in.
    """
    return files_in(folder, readable_suffixes(), MEDIA_SUFFIXES)


def files_in(
    folder: Path, suffixes: Collection[str], similar: Collection[str] = ()
) -> Iterator[Path]:
    """Yield the ordinary files under `folder` that end in one of `suffixes`, in a fixed order.

    suffixes: in lower case, with the dot; files may have them in any case. similar: of files that
    look like input too, but cannot be used.
    The files of a folder come first, then its subfolders, each by name. Links are followed, but no
    folder is walked twice. Names that begin with a dot are hidden: such files, and what such
    folders hold, are not used. Neither is what is no ordinary file: a named pipe, for one, would
    wait for ever for somebody to write.
    Warns at the end, in one line with UnusedFilesWarning, of files that end in `suffixes` or
    `similar` and were not used, and of subfolders that cannot be read.
    Raises AudioError where `folder` itself cannot be read.
    """
    unused: dict[str, list[str]] = {}  # reason -> paths within the folder
    unreadable: list[str] = []
    for path, reason in _walked(folder, unreadable):
        suffix = path.suffix.lower()
        if suffix in suffixes and not reason:
            yield path
        elif suffix in suffixes or suffix in similar:
            name = os.path.relpath(path, folder)
            unused.setdefault(reason or NEEDS_FFMPEG, []).append(name)
    if unused:
        n_files = sum(map(len, unused.values()))
        noun = "file was" if n_files == 1 else "files were"
        kind = "looks like sound or video" if similar else f"ends in {', '.join(suffixes)}"
        reasons = "; ".join(f"{reason}: {_first(names)}" for reason, names in unused.items())
        _warn(f"{folder}: {n_files} {noun} not used whose name {kind} ({reasons})")
    if unreadable:
        _warn(f"{folder}: folders that cannot be read were not searched: {_first(unreadable)}")


def _warn(message: str) -> None:
    warnings.warn(message, UnusedFilesWarning, stacklevel=3)


def _first(names: list[str]) -> str:
    """The first few of the names, and how many more there are."""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def _walked(folder: Path, unreadable: list[str]) -> Iterator[tuple[Path, str]]:
    """Every file under a folder, with the reason why it cannot be used, or "".

    Hidden folders come last: what also has a visible name is found there. Subfolders that cannot
    be read are added to `unreadable`.
    """
    seen: set[str] = set()
    visible, hidden = [folder], list[Path]()
    while visible or hidden:
        is_hidden = not visible
        parent = (visible or hidden).pop()
        if (real := os.path.realpath(parent)) in seen:
            continue
        seen.add(real)
        try:
            folders, files = _entries(parent)
        except OSError as error:
            if parent is folder:
                raise AudioError(f"{folder}: cannot be read: {error.strerror}") from error
            unreadable.append(os.path.relpath(parent, folder))
            continue
        for entry in files:
            yield Path(parent, entry.name), HIDDEN if is_hidden else _reason(entry)
        for entry in reversed(folders):
            is_next_hidden = is_hidden or entry.name.startswith(".")
            (hidden if is_next_hidden else visible).append(Path(parent, entry.name))


def _entries(parent: Path) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Subfolders and files of a folder, each by name. Raises OSError."""
    folders, files = [], []
    with os.scandir(parent) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if _is_folder(entry):
                if entry.name not in METADATA_FOLDERS:
                    folders.append(entry)
            elif not entry.name.startswith(METADATA_PREFIX):
                files.append(entry)
    return folders, files


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _reason(entry: os.DirEntry[str]) -> str:
    """Why a file cannot be used; "" where nothing is against it."""
    if entry.name.startswith("."):
        return HIDDEN
    try:
        if entry.is_file():
            return ""
    except OSError:
        return DANGLING
    return NOT_ORDINARY if os.path.exists(entry.path) else DANGLING
