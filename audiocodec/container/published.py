"""Reads .dac files of the published tool (descript-audio-codec 1.0.0): np.save of a pickled dict.

The unpickler knows only the names that numpy arrays, numbers and strings need, puts classes of this
module in their place and refuses every other name, so nothing in the file can be executed. The
opcodes are checked before, because a pickle of 15 bytes can ask for gigabytes.
"""

import io
import math
import pickle
import pickletools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from audiocodec.container.codespace import RATES
from audiocodec.container.header import MAX_CHANNELS
from audiocodec.errors import (
    ContainerError,
    NotADacFile,
    UnsupportedVersion,
    one_line,
    quoted,
)
from audiocodec.files import read_exactly

NPY_MAGIC = b"\x93NUMPY"
MAX_FILE_BYTES = 2**30
NPY_HEADER = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
MAX_OPCODES = 1000  # the published tool writes about 180
MAX_REASON = 200  # characters of a message with text from the file
TEXTS = frozenset(["BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"])
SHARED_OPCODES = TEXTS | {"GLOBAL", "STACK_GLOBAL", "REDUCE"}  # their results may be reused
KNOWN_OPCODES = SHARED_OPCODES | set(
    re.findall(
        r"\w+",
        "PROTO FRAME STOP MARK MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET BUILD NONE NEWFALSE "
        "NEWTRUE BININT BININT1 BININT2 LONG1 BINFLOAT TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE "
        "EMPTY_LIST EMPTY_DICT APPEND APPENDS SETITEM SETITEMS",
    )
)
MAX_SHARED = 64  # characters or bytes of a result that may be reused
VERSION = "1.0.0"


@dataclass(frozen=True)
class PublishedFile:
    """Contents of a .dac file of the published tool.

    codes: uint16 (channels, n_codebooks, frames). input_db: loudness of the programme in LUFS.
    n_samples, sample_rate, channels: of the sound. chunk_length: frames of a window.
    padding: whether the convolutions were padded, as the tool does for a sound of one window.
    path: the file's name in messages.
    """

    codes: np.ndarray
    input_db: float
    n_samples: int
    sample_rate: int
    channels: int
    chunk_length: int
    padding: bool
    path: str = "<PublishedFile>"


def is_published(prefix: bytes) -> bool:
    """Whether a file that begins with `prefix` was written by the published tool."""
    return prefix.startswith(NPY_MAGIC)


def read_published(file: BinaryIO, path: str) -> PublishedFile:
    """Read a whole file of the published tool, from the current position.

    Raises NotADacFile, UnsupportedVersion or another ContainerError, naming the path.
    """
    raw = read_exactly(file, MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ContainerError(f"{path}: larger than {MAX_FILE_BYTES} bytes, too large to be read")
    try:
        return replace(_checked(_unpickled(raw)), path=path)
    except (NotADacFile, UnsupportedVersion) as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:  # a crafted pickle can raise almost any
        reason = one_line(f"{type(error).__name__}: {error}", MAX_REASON)
        raise ContainerError(f"{path}: not a sound file of the published tool: {reason}") from error


def _unpickled(raw: bytes) -> Any:
    file = io.BytesIO(raw)
    start = file.read(len(NPY_MAGIC) + 4)  # magic, version 1.0, length of the header
    header = file.read(int.from_bytes(start[-2:], "little"))
    if start[:-2] != NPY_MAGIC + b"\x01\x00" or header.rstrip() != NPY_HEADER:
        raise NotADacFile("not a file that the published tool writes")
    _check_opcodes(raw[file.tell() :])
    return _plain(_Unpickler(file, encoding="latin1").load())


def _check_opcodes(pickled: bytes) -> None:
    """Raises UnpicklingError unless opcodes are few and known, and reuse only names, short texts.

    This bounds the result: a list that holds a list twice, which holds another one twice, and so
    on, takes few bytes to write and forever to walk through.
    """
    memo: dict[object, bool] = {}  # index -> whether it may be reused
    is_shared = False  # whether the last result may be reused
    for n_before, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        name = opcode.name
        is_usual = name in KNOWN_OPCODES and n_before < MAX_OPCODES
        if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            index = len(memo) if argument is None else argument
            memo[index] = is_shared
            is_usual &= index < MAX_OPCODES
        elif name in ("BINGET", "LONG_BINGET"):
            is_usual &= memo.get(argument or 0, False)
        if not is_usual:
            raise pickle.UnpicklingError("it is not built as the published tool builds it")
        is_shared = name in SHARED_OPCODES and len(argument or "") <= MAX_SHARED


class _Dtype:
    """In place of numpy.dtype: a type of numbers, or the "object" of the outermost array."""

    def __init__(self, spec: object, *flags: object) -> None:
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?([biuf][1248]|O8?)", spec):
            raise pickle.UnpicklingError(
                f"it asks for the type {quoted(spec)}, which is never loaded"
            )
        self.is_object = "O" in spec
        self.dtype = np.dtype(np.uint8 if self.is_object else spec)

    def __setstate__(self, state: Any) -> None:
        if not self.is_object and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """In place of an array, which a pickle makes empty, then gives a state; checks that state."""

    value: Any = None

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if kind.is_object:
            if shape != () or len(data) != 1:
                raise pickle.UnpicklingError("it holds an array of objects")
            self.value = data[0]
            return
        raw = data.encode("latin1") if isinstance(data, str) else data
        array = np.frombuffer(raw, kind.dtype)  # refers to the bytes, does not copy them
        self.value = array.reshape(shape, order="F" if fortran else "C")


class _Maker:
    """In place of a function. A class, whose __setstate__ refuses pickles that alter it."""

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it alters what it may only call")


class _Scalar(_Maker):
    """In place of numpy's scalar(): a number from its bytes."""

    def __new__(cls, kind: Any, raw: Any) -> Any:
        if not isinstance(kind, _Dtype) or kind.is_object:
            raise pickle.UnpicklingError("it makes a number in an unknown way")
        return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, kind.dtype)[0]


class _Encoded(_Maker):
    """In place of codecs.encode(), by which old pickle protocols write bytes."""

    def __new__(cls, text: Any, encoding: Any) -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("it encodes text in an unknown way")
        return text.encode("latin1")


KNOWN_NAMES: Mapping[tuple[str, str], object] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument of _reconstruct only, never called
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy._core.multiarray", "scalar"): _Scalar,
    ("_codecs", "encode"): _Encoded,
}


class _Unpickler(pickle.Unpickler):
    """Finds the names in KNOWN_NAMES, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN_NAMES:
            raise pickle.UnpicklingError(
                f"it asks for {quoted(f'{module}.{name}')}, which is never loaded"
            )
        return KNOWN_NAMES[module, name]


def _plain(value: object) -> Any:
    return value.value if isinstance(value, _Array) else value


def _checked(content: Any) -> PublishedFile:
    codes, metadata = _plain(content["codes"]), content["metadata"]
    version = metadata["dac_version"]
    if version != VERSION:
        raise UnsupportedVersion(
            f"written by version {quoted(version)} of the published tool; {VERSION} is known"
        )
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu" or codes.ndim != 3:
        raise ValueError("its codes are not whole numbers in three dimensions")
    if not codes.size or codes.min() < 0 or codes.max() > 65535:
        raise ValueError("it has no codes, or codes out of range")
    loudness = np.asarray(_plain(metadata["input_db"]), np.float64).ravel()
    channels = _whole(metadata, "channels", 1, MAX_CHANNELS)
    if loudness.size != 1 or codes.shape[0] != channels:
        raise ValueError("it holds several programmes; only files of one are read")
    input_db = float(loudness[0])
    if not (math.isfinite(input_db) and abs(input_db) <= 200):
        raise ValueError(f"its loudness is {input_db} dB")
    if not isinstance(metadata["padding"], bool | np.bool_):
        raise ValueError("padding is neither true nor false")
    return PublishedFile(
        codes=np.ascontiguousarray(codes).astype(np.uint16),
        input_db=input_db,
        n_samples=_whole(metadata, "original_length", 1, codes.shape[2] * 65536),
        sample_rate=_whole(metadata, "sample_rate", *RATES),
        channels=channels,
        chunk_length=_whole(metadata, "chunk_length", 1, 2**31),
        padding=bool(metadata["padding"]),
    )


def _whole(metadata: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = _plain(metadata[name])
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} is no whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be {low} to {high}")
    return int(value)
