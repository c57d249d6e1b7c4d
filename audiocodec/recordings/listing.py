"""Lists the recordings of an input: a folder, a sound file, a manifest or a tar of sound files."""

import gzip
import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from audiocodec.audio.formats import MEDIA_SUFFIXES, looks_like_media, readable_suffixes
from audiocodec.errors import AudioError
from audiocodec.recordings.folders import MEDIA, sound_files
from audiocodec.recordings.manifests import MANIFESTS, recordings_in_manifest
from audiocodec.recordings.recording import Recording
from audiocodec.recordings.tars import Member, Section, TarError, members
from audiocodec.recordings.unused import (
    HIDDEN,
    METADATA_PREFIX,
    NEEDS_FFMPEG,
    UnusedFiles,
    is_hidden,
)

TARS = (".tar", ".tar.gz", ".tgz")
MAX_SIDECAR_BYTES = 2**20


def recordings_in(path: Path) -> Iterator[Recording]:
    """List a folder with its subfolders, a sound file, a manifest or a tar, in a fixed order.

    Manifests are .csv, .jsonl and .parquet; tars are .tar, .tar.gz and .tgz in the layout of
    webdataset, where X.json describes X.flac. The class of a recording is the one that the manifest
    or that JSON states; otherwise the first folder within the folder or tar, or else the name of
    the folder or tar itself. No sound file is opened; what is wrong with one recording becomes its
    `problem`. Warns of files that look like input and are not used, see folders.files_in.
    Raises AudioError for an input that is none of these, or holds no sound files.
    """
    if path.is_dir():
        yield from _in_folder(path)
    elif not path.exists():
        raise AudioError(f"{path}: there is no such file or folder")
    elif path.suffix.lower() in MANIFESTS:
        yield from recordings_in_manifest(path)
    elif path.name.lower().endswith(TARS):
        yield from _in_tar(path)
    elif looks_like_media(path):
        yield Recording(path.name, str(path), path, kind=path.absolute().parent.name)
    else:
        raise AudioError(
            f"{path}: neither a folder, a sound file, a manifest ({', '.join(MANIFESTS)}) nor a "
            "tar of sound files (.tar, .tar.gz)"
        )


def _in_folder(folder: Path) -> Iterator[Recording]:
    found = False
    for path in sound_files(folder):
        found = True
        within = path.relative_to(folder).as_posix()
        kind = _class_of(within, folder.absolute().name)
        yield Recording(within, str(path), path, kind=kind)
    if not found:
        raise AudioError(f"{folder}: holds no sound files")


def _class_of(name: str, otherwise: str) -> str:
    """The first folder of a name within a folder or tar; `otherwise` if there is none."""
    folder, slash, _ = name.removeprefix("./").partition("/")
    return folder if slash else otherwise


# Tars


def open_tar(path: Path) -> BinaryIO:
    """Open a tar, which is decompressed on reading if need be. Raises OSError."""
    if is_compressed(path):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return open(path, "rb")


def is_compressed(path: Path) -> bool:
    """Whether a tar is compressed, and so can only be read from its start."""
    return not path.name.lower().endswith(".tar")


def _in_tar(path: Path) -> Iterator[Recording]:
    """Yield the sound files of a tar; if it is damaged, the last recording has that problem."""
    found, unused = False, UnusedFiles(path)
    try:
        with open_tar(path) as file:
            for _, group in groupby(members(file), lambda member: member.key):
                for recording in _in_sample(path, file, list(group), unused):
                    found = True
                    yield recording
    except (TarError, OSError) as error:
        problem = f"cannot be read to its end as a tar: {error}"
        yield Recording(path.name, str(path), path, problem=problem)
        return
    unused.tell(MEDIA)
    if not found:
        raise AudioError(f"{path}: holds no sound files")


def _in_sample(
    path: Path, file: BinaryIO, sample: list[Member], unused: UnusedFiles
) -> Iterator[Recording]:
    """Yield the sound files of one key, each with the columns in the JSON file of that key."""
    sounds = [one for one in sample if _is_usable(one.name, unused)]
    sidecar = next((one for one in sample if one.name == f"{one.key}.json"), None)
    columns: dict[str, Any] = {}
    problem = None
    if sidecar is not None and sounds:
        try:
            columns = _sidecar(file, sidecar)
        except (ValueError, RecursionError) as error:
            problem = f"{sidecar.name} beside it cannot be used: {error}"
    for sound in sounds:
        yield Recording(
            f"{path.name}/{sound.name}",
            f"{path}/{sound.name}",
            path,
            sound.name,
            sound.offset,
            sound.n_bytes,
            kind=str(columns.get("class") or _class_of(sound.name, path.name.split(".")[0])),
            group=str(columns.get("group") or columns.get("package") or ""),
            columns=columns,
            problem=problem,
        )


def _is_usable(name: str, unused: UnusedFiles) -> bool:
    """Whether a member is a usable sound file, by the rules for folders; notes unused ones."""
    suffix = os.path.splitext(name)[1].lower()
    parts = name.split("/")
    if suffix not in MEDIA_SUFFIXES or parts[-1].startswith(METADATA_PREFIX):
        return False
    if any(map(is_hidden, parts)):
        unused.add(name, HIDDEN)
    elif suffix not in readable_suffixes():
        unused.add(name, NEEDS_FFMPEG)
    else:
        return True
    return False


def _sidecar(file: BinaryIO, member: Member) -> dict[str, Any]:
    if member.n_bytes > MAX_SIDECAR_BYTES:
        raise ValueError(f"{member.n_bytes} bytes; at most {MAX_SIDECAR_BYTES} are read")
    content = json.loads(Section(file, member, member.name).read())
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content
