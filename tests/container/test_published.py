"""Files of the published tool: read as numpy reads them, and nothing in them is executed."""

import io
import os
import pickle
import struct
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container import is_published, read_published
from audiocodec.errors import ContainerError, NotADacFile, UnsupportedVersion

NAMES = [f"dac_{rate}khz_small_{length}" for rate in (24, 44) for length in ("long", "short")]
PREFIX = 128  # bytes of the .npy header
METADATA = {
    "input_db": np.array([-20.5], np.float32),
    "original_length": 1000,
    "sample_rate": 44100,
    "chunk_length": 2,
    "channels": 1,
    "padding": True,
    "dac_version": "1.0.0",
}
CODES = np.arange(18, dtype=np.uint16).reshape(1, 9, 2)


def content(codes=CODES, **metadata):
    """What such a file holds, with some fields altered."""
    return {"codes": codes, "metadata": {**METADATA, **metadata}}


def saved(value, protocol=4):
    """As np.save writes it."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + pickle.dumps(np.array(value, dtype=object), protocol)


def read(raw):
    return read_published(io.BytesIO(raw), "some/file")


def counted(text):
    """A module as protocol 4 writes it."""
    return bytes([0x8C, len(text)]) + text.encode()


def line(text):
    """A module as older protocols write it."""
    return b"c" + text.encode() + b"\n"


def without_frame(raw):
    """The same pickle without the length that protocol 4 puts in front."""
    start = PREFIX + 2
    return raw[:start] + raw[start + 9 :] if raw[start : start + 1] == b"\x95" else raw


EXAMPLE = saved(content())


@pytest.mark.parametrize("name", NAMES)
def test_what_the_published_tool_wrote(data, name):
    """The same codes and fields as through numpy's own unpickling."""
    path = data / "published" / f"{name}.dac"
    raw = path.read_bytes()
    file, expected = read(raw), np.load(path, allow_pickle=True)[()]
    assert is_published(raw[:8])
    assert file.codes.dtype == np.uint16
    assert np.array_equal(file.codes, expected["codes"])
    metadata = expected["metadata"]
    assert file.input_db == metadata["input_db"][0]
    assert file.n_samples == metadata["original_length"]
    for field in ("sample_rate", "chunk_length", "channels", "padding"):
        assert getattr(file, field) == metadata[field]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
def test_every_age_of_numpy(protocol, module):
    """All protocols that np.save has used, and both names of numpy's inner module."""
    raw = saved(content(input_db=np.float32(-20.5), channels=np.int64(1)), protocol)
    for old in ("numpy._core.multiarray", "numpy.core.multiarray"):
        raw = raw.replace(counted(old), counted(module)).replace(line(old), line(module))
    raw = without_frame(raw)
    file = read(raw)
    assert (file.input_db, file.channels) == (-20.5, 1)
    assert np.array_equal(file.codes, CODES)


def test_arrays_of_any_order():
    """Columns first and the other byte order, as astype() may leave them."""
    codes = np.asfortranarray(np.arange(36).reshape(2, 9, 2))
    for kind in ("<u2", ">u2", "<i8"):
        assert np.array_equal(read(saved(content(codes.astype(kind), channels=2))).codes, codes)


class Calls:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "evil",
    [
        Calls(os.system, "touch {path}"),
        Calls(os.mkdir, "{path}"),
        Calls(eval, "open('{path}', 'w')"),
        Calls(open, "{path}", "w"),
        Calls(getattr, np.ndarray, "tofile"),
        Calls(np.fromfile, "{path}"),
        Calls(np.zeros, 2**40),
        Calls(bytearray, 2**40),
    ],
    ids=lambda evil: evil.call[0].__name__,
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_is_executed(tmp_path, evil, protocol):
    """Any name but the few that arrays need is refused, wherever it stands."""
    path = tmp_path / "made"
    function, arguments = evil.call
    filled = (a.format(path=path) if isinstance(a, str) else a for a in arguments)
    evil = Calls(function, *filled)
    for value in (evil, content(evil), content(input_db=evil), {"codes": CODES, "metadata": evil}):
        with pytest.raises(ContainerError, match="some/file"):
            read(saved(value, protocol))
    assert not path.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x04Nr\xff\xff\xff\x0f.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
        b"\x80\x04B" + struct.pack("<I", 2**32 - 1) + b".",
        b"\x80\x04\x96" + struct.pack("<Q", 2**33) + b".",
        b"\x80\x04\x8b" + struct.pack("<I", 2**31 - 1) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x04" + b"(" * 10**5 + b"t" * 10**5 + b".",
        b"\x80\x04cnumpy\nndarray\n(K\x01K\x02K\x03tR.",
        b"\x80\x04cnumpy\ndtype\n(X\x02\x00\x00\x00V9tR.",
        b"\x80\x04c_codecs\nencode\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
        b"\x80\x04cnumpy\ndtype\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n(K\x01K\x02tR.",
        b"\x80\x04.",
        b"",
    ],
    ids=range(14),
)
def test_hostile_pickles(pickled):
    """Gigabytes asked for in a few bytes, and constructors misused: refused, at no cost."""
    tracemalloc.start()
    with pytest.raises(ContainerError, match="some/file"):
        read(EXAMPLE[:PREFIX] + pickled)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {},
        {"codes": CODES},
        {"codes": CODES, "metadata": 3},
        content(CODES.astype(np.float32)),
        content(CODES[0]),
        content(CODES[:, :, :0]),
        content(CODES.astype(np.int32) - 1),
        content(CODES.astype(np.int32) + 65530),
        content([[[1]]]),
        content(channels=2),
        content(channels=0),
        content(channels=True),
        content(channels="1"),
        content(np.zeros((9, 9, 2), np.uint16), channels=9),
        content(np.concatenate([CODES, CODES]), input_db=np.zeros(2, np.float32)),
        content(sample_rate=0),
        content(sample_rate=10**9),
        content(original_length=0),
        content(original_length=2**60),
        content(chunk_length=0),
        content(input_db=float("nan")),
        content(input_db=None),
        content(padding="no"),
    ],
    ids=range(24),
)
def test_contents_that_make_no_sense(value):
    """Types, shapes and ranges are checked; the message names the file."""
    with pytest.raises(ContainerError, match="some/file"):
        read(saved(value))


@pytest.mark.parametrize("version", ["2.0.0", None, 1])
def test_another_version(version):
    """Only the one that was ever published."""
    with pytest.raises(UnsupportedVersion, match=r"1\.0\.0"):
        read(saved(content(dac_version=version)))


def test_other_numpy_files():
    """A plain array, another shape, another version of .npy."""
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    several = io.BytesIO()
    np.save(several, np.array([{}, {}], dtype=object))
    for raw in (file.getvalue(), several.getvalue(), EXAMPLE[:6] + b"\x02" + EXAMPLE[7:], b"RIFF"):
        with pytest.raises(NotADacFile, match="some/file"):
            read(raw)


def test_every_cut():
    """No prefix is read."""
    for n_bytes in range(len(EXAMPLE)):
        with pytest.raises(ContainerError):
            read(EXAMPLE[:n_bytes])


@settings(deadline=None, max_examples=300, derandomize=True)
@given(at=st.integers(0, len(EXAMPLE) - 1), junk=st.binary(min_size=1, max_size=4))
def test_altered_bytes(at, junk):
    """There is no checksum, but whatever happens is an error of ours or a sound file."""
    raw = EXAMPLE[:at] + junk + EXAMPLE[at + len(junk) :]
    try:
        file = read(raw)
    except ContainerError:
        return
    assert file.codes.ndim == 3
    assert file.codes.shape[0] == file.channels
