"""Reads files of torch.save as data: nothing is executed, and every declared size is checked.

Reads both formats: the zip archive, and the series of pickles from before torch 1.6. Tensors stay
on disk until they are read. All that are read together may not exceed the size of the file, since
an honest file stores each of them once.
"""

import io
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from audiocodec.errors import ModelError, one_line, quoted
from audiocodec.weights.plain_pickle import Name, PlainUnpickler

MAX_PICKLE_BYTES = 2**23  # torch writes about 300 per tensor
MAX_DIRECTORY_BYTES = 2**22  # of a zip archive; about 100 per tensor
MAX_DIMENSIONS = 64  # as in torch
ZIP_MAGIC = b"PK\3\4"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LOCAL_HEADER = struct.Struct("<4s22xHH")  # magic, bytes of the name, bytes of the extra field
NOT_A_TORCH_FILE = "it is not a file that torch.save writes, or it is damaged"
BIG_ENDIAN = "it was written on a big-endian machine; save it again on another one"
DTYPES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16,
    "BFloat16": torch.bfloat16, "Long": torch.int64, "Int": torch.int32, "Short": torch.int16,
    "Char": torch.int8, "Byte": torch.uint8, "Bool": torch.bool,
    "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64,
}  # fmt: skip


class _File:
    """A file whose parts are read when needed; limits how many bytes of tensors are read."""

    def __init__(self, path: Path) -> None:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("it is not an ordinary file; reading weights needs to seek")
        self.path, self.size = path, status.st_size
        self.n_left = self.size

    def head(self, start: int, n_bytes: int) -> bytes:
        """Read up to n_bytes that are not data of tensors; callers bound n_bytes."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(n_bytes)

    def data(self, start: int, n_bytes: int) -> Tensor:
        """Read the bytes of a tensor, uint8 (n_bytes,). Raises ModelError above the limit."""
        self.n_left -= n_bytes
        if self.n_left < 0:
            raise ModelError(f"its tensors claim more than the {self.size} bytes that it has")
        data = torch.empty(n_bytes, dtype=torch.uint8)
        with self.path.open("rb") as file:
            file.seek(start)
            if file.readinto(data.numpy().data) != n_bytes:
                raise ModelError("it became shorter while it was read")
        return data


class _Region(NamedTuple):
    start: int
    n_bytes: int
    crc: int = 0  # 0: no checksum


class _Storage:
    """The flat data of one or several tensors, like torch's TypedStorage."""

    def __init__(self, file: _File, dtype: torch.dtype, n_items: int) -> None:
        self.file, self.dtype, self.n_items = file, dtype, n_items
        self.n_bytes = n_items * dtype.itemsize
        self.region = _Region(0, 0)

    def place(self, region: _Region) -> None:
        """Set where it is stored. Raises ModelError if the region has another size."""
        if region.n_bytes != self.n_bytes:
            raise ModelError(
                f"a tensor claims {self.n_bytes} bytes, and {region.n_bytes} are stored"
            )
        self.region = region

    def read(self, first: int, n_items: int) -> Tensor:
        """Read n_items numbers from index `first` on: (n_items,)."""
        size = self.dtype.itemsize
        data = self.file.data(self.region.start + first * size, n_items * size)
        checked = self.region.crc and n_items == self.n_items
        if checked and zlib.crc32(data.numpy().data) != self.region.crc:
            raise ModelError("it is damaged: the checksum of a tensor is wrong")
        return data.view(self.dtype)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers."""
        return self.storage.dtype

    @property
    def span(self) -> int:
        """How many items of the storage lie between its first and its last, inclusive."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride))

    def read(self) -> Tensor:
        """Read it as a contiguous tensor. Raises ModelError if it is damaged or too large."""
        if math.prod(self.shape) > self.storage.n_items:
            raise ModelError(f"a tensor shaped {quoted(self.shape)} is larger than what is stored")
        try:
            items = self.storage.read(self.offset, self.span)
            return items.as_strided(self.shape, self.stride).contiguous()
        except (OSError, RuntimeError) as error:
            raise ModelError(f"a tensor cannot be read: {one_line(error)}") from error


def read_torch_file(path: Path) -> Any:
    """Read what torch.save wrote: plain values and containers, with a StoredTensor for each tensor.

    Raises ModelError, without the path, for anything else.
    """
    try:
        file = _File(path)
        if file.head(0, len(ZIP_MAGIC)) == ZIP_MAGIC:
            return _read_zip(file)
        return _read_legacy(file)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"it cannot be read: {error.strerror}") from error
    except Exception as error:  # a malicious file can cause almost any
        raise ModelError(NOT_A_TORCH_FILE) from error


def read_tensors(content: Any) -> Any:
    """Read all tensors in the content; a tensor that occurs twice is read once and shared.

    Raises ModelError for a tensor that cannot be read, or nesting that is too deep.
    """
    known: dict[object, Any] = {}

    def visit(value: Any) -> Any:
        key = value if isinstance(value, StoredTensor) else id(value)
        if key in known:
            return known[key]
        if isinstance(value, StoredTensor):
            known[key] = value.read()
        elif isinstance(value, dict):
            result: dict[Any, Any] = {}
            known[key] = result
            result.update((name, visit(item)) for name, item in value.items())
        elif isinstance(value, list | tuple):
            known[key] = type(value)(map(visit, value))
        else:
            return value
        return known[key]

    try:
        return visit(content)
    except RecursionError as error:
        raise ModelError("its values are nested too deeply") from error


class _Directory(io.BufferedReader):
    """A file from which zipfile cannot read a huge directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise ModelError(f"its zip directory has {size} bytes; torch writes a few thousand")
        return super().read(size)


def _read_zip(file: _File) -> Any:
    with _Directory(io.FileIO(file.path)) as raw, zipfile.ZipFile(raw) as archive:
        members = {member.filename: member for member in archive.infolist()}
    root = _root(list(members))
    order = members.get(f"{root}/byteorder")
    if order is not None and file.head(_region(file, order).start, 6) != b"little":
        raise ModelError(BIG_ENDIAN)
    start, n_bytes, crc = _region(file, members[f"{root}/data.pkl"])
    if n_bytes > MAX_PICKLE_BYTES:
        raise ModelError(f"its pickle has {n_bytes} bytes; at most {MAX_PICKLE_BYTES} are allowed")
    pickled = file.head(start, n_bytes)
    if crc and zlib.crc32(pickled) != crc:
        raise ModelError("it is damaged: the checksum of its pickle is wrong")
    storages = _Storages(file)
    content = storages.unpickler(io.BytesIO(pickled)).load()
    for key, storage in storages.by_key.items():
        storage.place(_region(file, members[f"{root}/data/{key}"]))
    return content


def _root(names: list[str]) -> str:
    """The folder in the archive that holds data.pkl."""
    if any(name.endswith("/.data/extern_modules") for name in names):
        raise ModelError(
            "it is a package of torch.package, which only runs as code; give the weights.pth "
            "beside it"
        )
    if any(name.endswith("/constants.pkl") for name in names):
        raise ModelError(
            "it is a TorchScript program, which is never run; give the weights it was made from"
        )
    roots = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ModelError(NOT_A_TORCH_FILE)
    return roots[0]


def _region(file: _File, member: zipfile.ZipInfo) -> _Region:
    """Where a member of the archive is stored. Raises ModelError if it is compressed or damaged."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise ModelError("its members are compressed or encrypted, which torch.save never does")
    head = file.head(member.header_offset, LOCAL_HEADER.size)
    magic, n_name, n_extra = LOCAL_HEADER.unpack(head)
    start = member.header_offset + LOCAL_HEADER.size + n_name + n_extra
    whole = start + member.file_size <= file.size and member.file_size == member.compress_size
    if magic != ZIP_MAGIC or not whole:
        raise ModelError("it is damaged: a member is not where its directory says")
    return _Region(start, member.file_size, member.CRC)


def _read_legacy(file: _File) -> Any:
    """Read a magic number, version, machine facts, content and keys; then the storages."""
    pickles = io.BytesIO(file.head(0, MAX_PICKLE_BYTES))
    storages = _Storages(file)
    unpickler = storages.unpickler(pickles)
    if unpickler.load() != LEGACY_MAGIC:
        raise ModelError(NOT_A_TORCH_FILE)
    unpickler.load()
    if unpickler.load()["little_endian"] is not True:
        raise ModelError(BIG_ENDIAN)
    content, keys = unpickler.load(), unpickler.load()
    start = pickles.tell()
    if not all(isinstance(key, str) for key in keys) or set(keys) != storages.by_key.keys():
        raise ModelError("it is damaged: its tensors need other data than is stored")
    for key in keys:
        storage = storages.by_key[key]
        n_items = int.from_bytes(file.head(start, 8), "little")
        start += 8
        if start + storage.n_bytes > file.size:
            raise ModelError("it is cut: a tensor claims more bytes than are left")
        storage.place(_Region(start, n_items * storage.dtype.itemsize))
        start += storage.n_bytes
    return content


class _Storages:
    """The storages that a pickle names, and an unpickler that makes tensors of them."""

    def __init__(self, file: _File) -> None:
        self.file = file
        self.by_key: dict[str, _Storage] = {}

    def unpickler(self, pickled: BinaryIO) -> PlainUnpickler:
        functions: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": lambda: {},
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor_v2": _rebuilt,
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
        }
        return PlainUnpickler(pickled, functions, self._named)

    def _named(self, persistent_id: Any) -> _Storage:
        """The storage of ("storage", type, key, device, items[, view, in the old format])."""
        kind, name, key, _, n_items, *view = persistent_id
        text = name.text if isinstance(name, Name) else ""
        dtype = DTYPES.get(text.removeprefix("torch.").removesuffix("Storage"))
        if kind != "storage" or dtype is None or not text.endswith("Storage") or any(view):
            raise ModelError(f"it has a tensor of an unknown type: {quoted(text)}")
        if not isinstance(key, str) or not _is_count(n_items):
            raise ModelError("it has a tensor without a valid size")
        storage = self.by_key.setdefault(key, _Storage(self.file, dtype, n_items))
        if (storage.dtype, storage.n_items) != (dtype, n_items):
            raise ModelError("it has two tensors of different types in one place")
        return storage


def _rebuilt(storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> StoredTensor:
    """A tensor within its storage. Raises ModelError if it reaches beyond it."""
    counts = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or not all(map(_is_count, counts)):
        raise ModelError("it has a tensor that is not a plain strided one")
    tensor = StoredTensor(storage, offset, tuple(shape), tuple(stride))
    if len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
        raise ModelError(f"it has a tensor of {len(shape)} dimensions and {len(stride)} strides")
    if offset + tensor.span > storage.n_items:
        raise ModelError(f"a tensor shaped {quoted(tensor.shape)} reaches beyond what is stored")
    return tensor


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
