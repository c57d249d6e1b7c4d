"""What a Python user holds: saved, loaded, cut to fewer codebooks."""

import io

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container import DacFile
from audiocodec.errors import (
    ArgumentError,
    ContainerError,
    NotADacFile,
    OutputError,
    OutputExists,
)
from tests.container.samples import EXAMPLE, Pipe, header_of, random_codes


def same(a, b):
    return a.header == b.header and np.array_equal(a.codes, b.codes) and a.codes.dtype == np.uint16


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    n_frames=st.integers(0, 700),
    channels=st.integers(1, 8),
    n_codebooks=st.integers(1, 9),
    codebook_size=st.sampled_from([2, 3, 1000, 1024, 65536]),
)
def test_what_is_written_is_read(n_frames, channels, n_codebooks, codebook_size):
    """Header and codes come back, whatever their shape."""
    header = header_of(
        n_frames, channels=channels, n_codebooks=n_codebooks, codebook_size=codebook_size
    )
    dac = DacFile(header, random_codes(header, n_frames))
    assert same(DacFile.from_bytes(dac.to_bytes()), dac)


def test_by_path_by_file_and_by_pipe(tmp_path, data):
    """All the ways in and out give the same."""
    path = tmp_path / "x.dac"
    EXAMPLE.save(path)
    assert path.read_bytes() == EXAMPLE.to_bytes()
    for source in (path, str(path), io.BytesIO(EXAMPLE.to_bytes()), Pipe(EXAMPLE.to_bytes())):
        assert same(DacFile.load(source), EXAMPLE)
    assert same(DacFile.load(data / "container" / "example.dac"), EXAMPLE)


def test_nothing_is_overwritten_unasked(tmp_path):
    """A file that exists stays, unless told otherwise."""
    path = tmp_path / "x.dac"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        EXAMPLE.save(path)
    assert path.read_bytes() == b"mine"
    EXAMPLE.save(path, overwrite=True)
    assert same(DacFile.load(path), EXAMPLE)


def test_fewer_codebooks():
    """The first codebooks are those of a lower rate."""
    less = EXAMPLE.truncated(1)
    assert less.header.n_codebooks == 1
    assert same(DacFile.from_bytes(less.to_bytes()), less)
    assert np.array_equal(less.codes, EXAMPLE.codes[:, :1])
    for n_codebooks in (0, 3):
        with pytest.raises(ArgumentError):
            EXAMPLE.truncated(n_codebooks)


def test_files_that_are_not_there_or_not_ours(tmp_path):
    """The message names the path."""
    with pytest.raises(ContainerError, match="nowhere"):
        DacFile.load(tmp_path / "nowhere.dac")
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(NotADacFile, match=r"sound\.wav"):
        DacFile.load(tmp_path / "sound.wav")


@pytest.mark.parametrize("thing", [io.StringIO(), None, b"x.dac", 7])
def test_what_is_no_binary_file_object(thing):
    """One line, whichever way the sound was to go."""
    with pytest.raises(ArgumentError, match="binary"):
        DacFile.load(thing)
    with pytest.raises(ArgumentError, match="binary"):
        EXAMPLE.save(thing)


def test_file_objects_that_are_closed_or_the_wrong_way_round(tmp_path):
    """The message names the file and says which."""
    path = tmp_path / "x.dac"
    with open(path, "wb") as target:
        with pytest.raises(ContainerError) as caught:
            DacFile.load(target)
        assert str(caught.value) == f"{path}: cannot be read: not opened for reading"
    with open(path, "rb") as source:
        with pytest.raises(OutputError) as refused:
            EXAMPLE.save(source)
        assert str(refused.value) == f"{path}: cannot be written: not opened for writing"
    with pytest.raises(ContainerError, match=r"x\.dac: cannot be read: .*closed file"):
        DacFile.load(source)
    with pytest.raises(OutputError, match=r"x\.dac: cannot be written: .*closed file"):
        EXAMPLE.save(target)


@pytest.mark.parametrize("answer", [0, OSError(5, "Input/output error"), BrokenPipeError("gone")])
def test_a_file_object_that_takes_nothing(answer):
    """A full or broken target is one line, not a raw OSError."""

    class Broken:
        def write(self, data):
            if isinstance(answer, OSError):
                raise answer
            return answer

    with pytest.raises(OutputError, match=r"^<Broken>: cannot be written: (takes|Input|gone)"):
        EXAMPLE.save(Broken())


def test_paths_that_no_file_can_have():
    """A NUL in the name, either way."""
    with pytest.raises(ContainerError, match="cannot be read"):
        DacFile.load("nul\0byte.dac")
    with pytest.raises(OutputError):
        EXAMPLE.save("nul\0byte.dac")
