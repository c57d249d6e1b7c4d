"""Lists the files of a folder in a fixed order, and warns of those that were not used."""

import os
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

from audiocodec.audio.formats import MEDIA_SUFFIXES, readable_suffixes
from audiocodec.errors import AudioError
from audiocodec.recordings.unused import (
    DANGLING,
    HIDDEN,
    METADATA_PREFIX,
    NEEDS_FFMPEG,
    NOT_ORDINARY,
    UnusedFiles,
    UnusedFilesWarning,
    first,
    is_hidden,
)

MEDIA = "sound or video file"
METADATA_FOLDERS = (".git", "__MACOSX")  # folders of programs, not of people


def sound_files(folder: Path) -> Iterator[Path]:
    """Yield the files under `folder` that can be read as audio, judged by their suffix.

    Warns of sound and video files that cannot be used. The rules are those of files_in.
    """
    return files_in(folder, readable_suffixes(), MEDIA_SUFFIXES)


def files_in(
    folder: Path, suffixes: Collection[str], similar: Collection[str] = ()
) -> Iterator[Path]:
    """Yield the ordinary files under `folder` that end in one of `suffixes`, in a fixed order.

    suffixes: in lower case, with the dot; those of files match in any case. similar: suffixes of
    sound and video that need PyAV.
    The files of a folder come first, then its subfolders, each by name. Links are followed, but no
    folder is walked twice. Names that begin with a dot are hidden: such files, and those in
    such folders, are not used. Only ordinary files are: opening a named pipe, for example, would
    wait forever for a writer.
    Warns at the end, in one line with UnusedFilesWarning, of files that end in `suffixes` or
    `similar` and were not used, and of subfolders that cannot be read.
    Raises AudioError where `folder` itself cannot be read.
    """
    unused = UnusedFiles(folder)
    unreadable: list[str] = []
    for path, reason in _walked(folder, unreadable):
        suffix = path.suffix.lower()
        if suffix in suffixes and not reason:
            yield path
        elif suffix in suffixes or suffix in similar:
            unused.add(os.path.relpath(path, folder), reason or NEEDS_FFMPEG)
    unused.tell(MEDIA if similar else f"{'/'.join(suffixes)} file")
    if unreadable:
        message = f"{folder}: not searched: folders that cannot be read: {first(unreadable)}"
        warnings.warn(message, UnusedFilesWarning, stacklevel=2)


def _walked(folder: Path, unreadable: list[str]) -> Iterator[tuple[Path, str]]:
    """Every file under a folder, with the reason why it cannot be used, or "".

    Hidden folders come last, so that a folder with a visible name too is found under that.
    Subfolders that cannot be read are added to `unreadable`.
    """
    seen: set[str] = set()
    visible, hidden = [folder], list[Path]()
    while visible or hidden:
        in_hidden = not visible
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
            yield Path(parent, entry.name), HIDDEN if in_hidden else _reason(entry)
        for entry in reversed(folders):
            is_next_hidden = in_hidden or is_hidden(entry.name)
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
    except OSError:  # a link to itself
        return False


def _reason(entry: os.DirEntry[str]) -> str:
    """Why a file cannot be used; "" if it can."""
    if is_hidden(entry.name):
        return HIDDEN
    try:
        if entry.is_file():
            return ""
    except OSError:
        return DANGLING
    return NOT_ORDINARY if os.path.exists(entry.path) else DANGLING
