"""Reads .dac files of the published tool (descript-audio-codec 1.0.0): np.save of a pickled dict.

The pickle is read by an unpickler that admits what numpy arrays, numbers and strings need, builds
them itself and refuses every other name, so nothing in the file can be executed. May import: numpy, errors.
"""

import io
import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from audiocodec.container.header import MAX_CHANNELS, RATES
from audiocodec.errors import ContainerError, NotADacFile, UnsupportedVersion
from audiocodec.files import read_exactly

NPY_MAGIC = b"\x93NUMPY"
MAX_FILE_BYTES = 2**30
MAX_NPY_HEADER_BYTES = 10_000
VERSION = "1.0.0"


@dataclass(frozen=True)
class PublishedFile:
    """What such a file holds.

    codes: uint16 (channels, n_codebooks, frames). input_db: loudness of the programme in LUFS.
    n_samples, sample_rate, channels: of the sound. chunk_length: frames of a window.
    padding: whether the networks padded, as for a sound of one window.
    """

    codes: np.ndarray
    input_db: float
    n_samples: int
    sample_rate: int
    channels: int
    chunk_length: int
    padding: bool


def is_published(prefix: bytes) -> bool:
    """Whether a file that begins so is one of the published tool."""
    return prefix.startswith(NPY_MAGIC)


def read_published(file: BinaryIO, path: str) -> PublishedFile:
    """Read a published file. Raises a ContainerError, naming the path, if it is not sound."""
    raw = read_exactly(file, MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ContainerError(f"{path}: larger than {MAX_FILE_BYTES} bytes, too large to be read")
    try:
        content = _unpickled(raw)
    except NotADacFile as error:
        raise NotADacFile(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    except (pickle.UnpicklingError, EOFError, MemoryError, OverflowError, ImportError) as error:
        raise _damaged(path, str(error)) from error
    except (RecursionError, SystemError, RuntimeError, AssertionError) as error:
        raise _damaged(path, type(error).__name__) from error
    version = content.get("metadata", {}).get("dac_version") if _is_dac(content) else None
    if version is not None and version != VERSION:
        raise UnsupportedVersion(
            f"{path}: written by version {version!r} of the published tool; {VERSION} is known"
        )
    try:
        return _checked(content)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: str, reason: str) -> ContainerError:
    return ContainerError(f"{path}: not a sound file of the published tool: {reason}")


def _is_dac(content: object) -> bool:
    return isinstance(content, dict) and isinstance(content.get("metadata"), dict)


def _unpickled(raw: bytes) -> Any:
    file = io.BytesIO(raw)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise NotADacFile(
            f"a numpy file of version {version}, not one that the published tool writes"
        )
    shape, _, dtype = read[version](file, max_header_size=MAX_NPY_HEADER_BYTES)
    if shape != () or dtype != np.dtype(object):
        raise NotADacFile("a numpy file, but not one that the published tool writes")
    return _plain(_Unpickler(file, encoding="latin1").load())


class _Dtype:
    """A type of numbers by its name, or the "object" of the outermost array."""

    def __init__(self, spec: object, *flags: object) -> None:
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?([biuf][1248]|O8?)", spec):
            raise pickle.UnpicklingError(f"it asks for the type {spec!r}, which is never loaded")
        self.is_object = "O" in spec
        self.dtype = np.dtype(np.uint8 if self.is_object else spec)

    def __setstate__(self, state: Any) -> None:
        if not self.is_object and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """What numpy pickles an array to: made empty, then given its state. Checked here."""

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
        raw = data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))
        array = np.frombuffer(raw, kind.dtype)
        self.value = array.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: Any, raw: Any) -> Any:
    if not isinstance(kind, _Dtype) or kind.is_object:
        raise pickle.UnpicklingError("it makes a number in an unknown way")
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, kind.dtype)[0]


def _encoded(text: str, encoding: str) -> bytes:
    """How old pickle protocols write bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it encodes text in an unknown way")
    return text.encode("latin1")


KNOWN_NAMES: Mapping[tuple[str, str], object] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # an argument of _reconstruct only, never called
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encoded,
}


class _Unpickler(pickle.Unpickler):
    """Knows stand-ins for numpy's constructors, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN_NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is never loaded")
        return KNOWN_NAMES[module, name]


def _plain(value: object) -> Any:
    return value.value if isinstance(value, _Array) else value


def _checked(content: Any) -> PublishedFile:
    codes, metadata = _plain(content["codes"]), content["metadata"]
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
    sample_rate = _whole(metadata, "sample_rate", *RATES)
    return PublishedFile(
        codes=np.ascontiguousarray(codes).astype(np.uint16),
        input_db=input_db,
        n_samples=_whole(metadata, "original_length", 1, codes.shape[2] * 65536),
        sample_rate=sample_rate,
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
