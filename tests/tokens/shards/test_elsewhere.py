"""Shards are ordinary files: pyarrow, pandas, datasets, webdataset and safetensors open them."""

import gc
import json
import tarfile

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from safetensors.numpy import load_file
from webdataset import WebDataset

from audiocodec.container import DacFile
from audiocodec.tokens.shards import write_shard
from tests.tokens.shards.samples import HEADER, ROWS


@pytest.fixture
def parquet(tmp_path):
    """A Parquet shard."""
    write_shard(tmp_path / "tokens-00000.parquet", ROWS, HEADER)
    return tmp_path / "tokens-00000.parquet"


def is_row(told, row):
    """Whether a mapping of plain values is the row."""
    shape = (told["channels"], told["n_codebooks"], told["frames"])
    codes = np.asarray(told["codes"], np.uint16).reshape(shape)
    return np.array_equal(codes, row.codes) and (told["id"], told["text"], told["gain"]) == (
        row.id,
        row.columns["text"],
        row.gain,
    )


def test_pyarrow(parquet):
    """Columns in the documented order and types; the schema says how codes are ordered."""
    table = pq.read_table(parquet)
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "source": "string",
        "sample_rate": "int32",
        "channels": "int32",
        "n_codebooks": "int32",
        "frames": "int64",
        "n_samples": "int64",
        "codes": "list<element: uint16>",
        "model": "string",
        "fingerprint": "string",
        "gain": "double",
        "text": "string",
        "speaker": "int64",
        "score": "double",
        "clean": "bool",
    }
    assert table.schema.field("codes").type.value_type == pa.uint16()
    assert b"channel, codebook, frame" in table.schema.metadata[b"audiocodec.codes"]
    assert all(is_row(*pair) for pair in zip(table.to_pylist(), ROWS, strict=True))


def test_pandas(parquet):
    """A list of codes is an array there."""
    frame = pandas.read_parquet(parquet)
    assert frame["codes"][0].dtype == np.uint16
    assert all(is_row(*pair) for pair in zip(frame.to_dict("records"), ROWS, strict=True))


def test_datasets(parquet, tmp_path):
    """A pattern of file names is all it takes."""
    dataset = load_dataset(
        "parquet",
        data_files=str(parquet.parent / "tokens-*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert str(dataset.features["codes"]) == "List(Value('uint16'))"
    assert all(is_row(*pair) for pair in zip(dataset, ROWS, strict=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # leaves files open
def test_webdataset(tmp_path):
    """A sample is a .dac file and what is told of it."""
    write_shard(tmp_path / "tokens-00000.tar", ROWS, HEADER)
    samples = WebDataset(str(tmp_path / "tokens-00000.tar"), shardshuffle=False).decode()
    for sample, row in zip(samples, ROWS, strict=True):
        assert np.array_equal(DacFile.from_bytes(sample["dac"]).codes, row.codes)
        assert sample["json"] == {"id": row.id, "source": row.source, **row.columns}
    gc.collect()


def test_tar(tmp_path):
    """A tar with .dac files that stand for themselves, and JSON beside; no times, no users."""
    write_shard(tmp_path / "x.tar", ROWS, HEADER)
    with tarfile.open(tmp_path / "x.tar") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
        for row, dac, told in zip(ROWS, members[::2], members[1::2], strict=True):
            assert dac.name.removesuffix(".dac") == told.name.removesuffix(".json")
            read = DacFile.load(tar.extractfile(dac))
            assert np.array_equal(read.codes, row.codes)
            assert json.load(tar.extractfile(told)) == {
                "id": row.id,
                "source": row.source,
                **row.columns,
            }


def test_safetensors(tmp_path):
    """One tensor a row, by its id."""
    write_shard(tmp_path / "x.safetensors", ROWS, HEADER)
    tensors = load_file(tmp_path / "x.safetensors")
    assert all(np.array_equal(tensors[row.id], row.codes) for row in ROWS)
    assert len(tensors) == len(ROWS)
