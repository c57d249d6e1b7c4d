"""What to turn into tokens: folders, sound files, manifests and tars of sound files, as items.

An item is a recording or an excerpt of one. Listing opens no sound file. What is wrong with one
item is told when the item is opened, so that it does not stop the others.
"""

import gzip
import json
import math
import os
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, TypeAlias

from audiocodec.audio import AudioSource, open_audio
from audiocodec.audio.source import Samples
from audiocodec.errors import ArgumentError, AudioError, OutputError
from audiocodec.files import SPOOL_BYTES
from audiocodec.listing import MANIFESTS, SOUND_SUFFIXES, manifest_rows, sound_files
from audiocodec.tokens.shards.header import RESERVED, clean
from audiocodec.tokens.shards.row import Value
from audiocodec.tokens.shards.tars import Member, Section, TarError, members

PathLike: TypeAlias = str | os.PathLike[str]

TARS = (".tar", ".tar.gz", ".tgz")
MAX_MEMBER_BYTES = 2**32  # of a sound file in a tar: as many as a wav can have
MAX_SIDECAR_BYTES = 2**20


@dataclass(frozen=True)
class Item:
    """A recording, or an excerpt of one, that is to be turned into tokens.

    id: differs from all others, and is the same in every listing of the same inputs.
    source: as the inputs name it. path: the file to open, a sound file or a tar.
    member: the sound file within the tar, if it is one; offset, n_bytes: where it lies there,
        unpacked.
    start, duration: of the excerpt, seconds; without duration it goes to the end.
    columns: what the manifest or the JSON beside the sound says of it.
    problem: why it cannot be opened, where listing has found that out.
    """

    id: str
    source: str
    path: Path
    member: str | None = None
    offset: int = 0
    n_bytes: int = 0
    start: float = 0.0
    duration: float | None = None
    columns: Mapping[str, Value] = field(default_factory=dict)
    problem: str | None = None


def items_of(inputs: Sequence[PathLike]) -> Iterator[Item]:
    """List what is in folders, sound files, manifests and tars, in a fixed order.

    Folders are searched with their subfolders. Manifests (.csv, .jsonl, .parquet) have a column
    path (or file), relative to the manifest, perhaps start and duration in seconds, and any
    others. Tars (.tar, .tar.gz) are as webdataset has them: X.json belongs to X.flac.
    An id that comes again gets a number.
    Raises AudioError for an input that is none of these, or holds no sound files.
    """
    seen: set[str] = set()
    for path in map(Path, inputs):
        for item in _listed(path):
            id = _unused(item.id, seen)
            seen.add(id)
            yield item if id == item.id else replace(item, id=id)


def _unused(id: str, seen: set[str]) -> str:
    number, candidate = 1, id
    while candidate in seen:
        number += 1
        candidate = f"{id}#{number}"
    return candidate


def _listed(path: Path) -> Iterator[Item]:
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _of_folder(path)
    elif not path.exists():
        raise AudioError(f"{path}: there is no such file or folder")
    elif suffix in (*MANIFESTS, ".parquet"):
        yield from _of_manifest(path)
    elif path.name.lower().endswith(TARS):
        yield from _of_tar(path)
    elif suffix in SOUND_SUFFIXES:
        yield Item(clean(path.name), clean(str(path)), path)
    else:
        raise AudioError(
            f"{path}: neither a folder, a sound file, a manifest (.csv, .jsonl, .parquet) nor a "
            "tar of sound files (.tar, .tar.gz)"
        )


def _of_folder(folder: Path) -> Iterator[Item]:
    found = False
    for path in sound_files(folder):
        found = True
        yield Item(clean(path.relative_to(folder).as_posix()), clean(str(path)), path)
    if not found:
        raise AudioError(f"{folder}: holds no sound files")


# Manifests


def _of_manifest(manifest: Path) -> Iterator[Item]:
    is_parquet = manifest.suffix.lower() == ".parquet"
    for row in _parquet_rows(manifest) if is_parquet else manifest_rows(manifest):
        name = clean(str(row["path"]))
        path = Path(os.path.join(manifest.parent, str(row["path"])))
        try:
            start, duration = _seconds(row, "start"), _seconds(row, "duration")
            columns = _columns(row, ("path", "file", "start", "duration"))
            if duration == 0:
                raise ValueError("its duration is 0")
        except ValueError as error:
            yield Item(name, name, path, problem=f"{manifest}: {error}")
            continue
        # what the codes cannot tell: which part of the recording this is
        columns |= {
            key: value
            for key, value in (("start", start), ("duration", duration))
            if value is not None
        }
        id = name if start is None else f"{name}@{start!r}"
        yield Item(id, name, path, start=start or 0.0, duration=duration, columns=columns)


def _parquet_rows(manifest: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ArgumentError(
            f"{manifest}: needs pyarrow; pip install 'audiocodec[tokens]', or use CSV or JSONL"
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(manifest) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    for key in ("start", "duration"):  # pandas writes NaN for what is missing
                        if row.get(key) != row.get(key):
                            row[key] = None
                    path = row.get("file") or row.get("path")
                    if not path:
                        raise AudioError(
                            f"{manifest}: row {number} has no path; every row needs one"
                        )
                    yield {**row, "path": str(path)}
    except (OSError, ValueError, pa.ArrowException) as error:
        line = " ".join(str(error).split())
        raise AudioError(f"{manifest}: cannot be read as a manifest: {line}") from error


def _seconds(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"its {key} is {str(value)[:40]!r}, not a number of seconds")
    if seconds < 0:
        raise ValueError(f"its {key} is {seconds:g} s; it must be 0 or more")
    return seconds


def _columns(row: Mapping[Any, Any], left_out: Sequence[str] = ()) -> dict[str, Value]:
    """What is carried along: plain values as they are, lists and objects as JSON.

    A name that rows of tokens have themselves gets input_ before it. Raises ValueError.
    """
    columns: dict[str, Value] = {}
    for key, value in row.items():
        if key in left_out:
            continue
        if key is None:  # of csv.DictReader
            raise ValueError("has more cells than there are columns")
        name = clean(str(key))
        name = f"input_{name or 'column'}" if name in RESERVED or not name else name
        while name in columns:
            name += "_"
        columns[name] = _plain(name, value)
    return columns


def _plain(name: str, value: Any) -> Value:
    if isinstance(value, str):
        return clean(value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        raise ValueError(f"column {name} holds bytes, which cannot be carried along")
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)  # str: dates
    return clean(str(value))  # dates, decimals


# Tars


def _of_tar(path: Path) -> Iterator[Item]:
    """Sound files of a tar; where it is damaged, the last item says so."""
    found = False
    try:
        with _unpacked(path) as file:
            for _, group in groupby(members(file), lambda member: member.key):
                for item in _of_sample(path, file, list(group)):
                    found = True
                    yield item
    except (TarError, OSError) as error:
        problem = f"cannot be read to its end as a tar: {error}"
        yield Item(clean(path.name), clean(str(path)), path, problem=problem)
        return
    if not found:
        raise AudioError(f"{path}: holds no sound files")


def _of_sample(path: Path, file: BinaryIO, sample: list[Member]) -> Iterator[Item]:
    """The sound files of one key, each with what the JSON of that key says."""
    sidecar = next((one for one in sample if one.name == f"{one.key}.json"), None)
    columns: dict[str, Value] = {}
    problem = None
    sounds = [one for one in sample if os.path.splitext(one.name)[1].lower() in SOUND_SUFFIXES]
    if sidecar is not None and sounds:
        try:
            columns = _columns(_sidecar(file, sidecar))
        except (ValueError, RecursionError) as error:
            problem = f"{sidecar.name} beside it cannot be used: {error}"
    for sound in sounds:
        id, source = clean(f"{path.name}/{sound.name}"), clean(f"{path}/{sound.name}")
        yield Item(
            id,
            source,
            path,
            sound.name,
            sound.offset,
            sound.n_bytes,
            columns=columns,
            problem=problem,
        )


def _sidecar(file: BinaryIO, member: Member) -> dict[str, Any]:
    if member.n_bytes > MAX_SIDECAR_BYTES:
        raise ValueError(f"{member.n_bytes} bytes; at most {MAX_SIDECAR_BYTES} are read")
    content = json.loads(Section(file, member, member.name).read())
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _unpacked(path: Path) -> BinaryIO:
    """The tar itself, whether it is compressed or not."""
    if path.name.lower().endswith(".tar"):
        return open(path, "rb")
    return gzip.open(path, "rb")  # type: ignore[return-value]


# Audio


@contextmanager
def open_item(item: Item, track: int | None = None) -> Iterator[AudioSource]:
    """Open the audio of an item, the excerpt of it that is wanted, as open_audio does.

    track: which audio track of a video, from 1; the first by default.
    Raises AudioError for what cannot be used. Nothing is extracted to where a tar says.
    """
    if item.problem:
        raise AudioError(f"{item.source}: {item.problem}")
    # a named pipe would wait for ever for somebody to write
    if not item.path.is_file():
        what = "not an ordinary file" if item.path.exists() else "there is no such file"
        raise AudioError(f"{item.path}: {what}")
    with _opened(item, track) as audio:
        is_whole = item.start == 0 and item.duration is None
        yield audio if is_whole else _excerpt(audio, item)


@contextmanager
def _opened(item: Item, track: int | None) -> Iterator[AudioSource]:
    if item.member is None:
        with open_audio(item.path, track=track) as audio:
            yield audio
        return
    if item.n_bytes > MAX_MEMBER_BYTES:
        raise AudioError(
            f"{item.source}: {item.n_bytes} bytes; at most {MAX_MEMBER_BYTES} can be read from a "
            "tar"
        )
    member = Member(item.member, item.offset, item.n_bytes)
    if item.path.name.lower().endswith(".tar"):
        with (
            _tar(item) as file,
            open_audio(Section(file, member, item.source), track=track) as audio,  # type: ignore[arg-type]
        ):
            yield audio
    else:
        with SpooledTemporaryFile(SPOOL_BYTES) as spool:
            _unpack(Section(_packed_tar(item), member, item.source), spool)
            unpacked = replace(member, offset=0)
            with open_audio(Section(spool, unpacked, item.source), track=track) as audio:  # type: ignore[arg-type]
                yield audio


def _tar(item: Item) -> BinaryIO:
    try:
        return _unpacked(item.path)
    except OSError as error:
        raise AudioError(f"{item.path}: cannot be read: {error.strerror or error}") from error


def _unpack(source: Section, target: IO[bytes]) -> None:
    """Copy a member of a compressed tar, in which nobody can go back."""
    while piece := _piece(source):
        try:
            target.write(piece)
        except OSError as error:
            raise OutputError(
                f"{source.name}: cannot be unpacked to a temporary file: {error.strerror}"
            ) from error


def _piece(source: Section) -> bytes:
    try:
        return source.read(2**20)
    except (OSError, EOFError, zlib.error) as error:
        raise AudioError(f"{source.name}: the tar is damaged: {error}") from error


_open_tars = threading.local()  # of this process and thread


def _packed_tar(item: Item) -> BinaryIO:
    """A compressed tar, left open: what follows in it is then found without unpacking it anew."""
    key = os.getpid(), item.path
    if getattr(_open_tars, "key", None) != key:
        if hasattr(_open_tars, "key"):
            _open_tars.file.close()
            del _open_tars.key
        _open_tars.file = _tar(item)
        _open_tars.key = key
    return _open_tars.file


def _excerpt(audio: AudioSource, item: Item) -> AudioSource:
    first = round(item.start * audio.sample_rate)
    last = None
    if item.duration is not None:
        last = first + max(1, round(item.duration * audio.sample_rate))

    def read(start: int) -> Iterator[Samples]:
        empty = True
        for block in audio.blocks(first + start, last):
            empty = False
            yield block
        if empty and not start:
            raise AudioError(
                f"{audio.name}: ends before {item.start:g} s, where the excerpt would start"
            )

    return replace(audio, n_samples=None, _read=read)
