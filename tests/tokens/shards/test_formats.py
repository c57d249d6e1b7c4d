"""What is written to a shard is read from it, in each of the formats."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from audiocodec.errors import ArgumentError, ModelMismatch, OutputError, OutputExists
from audiocodec.tokens.shards import FORMATS, open_shards, shard_name, write_shard
from audiocodec.tokens.shards.parquet import GROUP_CODES
from audiocodec.tokens.shards.webdataset import key_of
from tests.tokens.shards.samples import HEADER, ROWS, SUFFIXES, row_of, same

EACH = pytest.mark.parametrize("suffix", SUFFIXES)


@EACH
def test_what_is_written_is_read(tmp_path, suffix):
    """Rows in order, whole and in parts; lengths without the codes."""
    path = tmp_path / f"x{suffix}"
    write_shard(path, iter(ROWS), HEADER)
    shards = open_shards(path)
    assert (shards.model, shards.fingerprint, len(shards)) == ("tiny", HEADER.fingerprint, 6)
    assert shards.header == HEADER
    assert shards.lengths.dtype == np.int64
    assert shards.lengths.tolist() == [row.frames for row in ROWS]
    assert all(same(*pair) for pair in zip(shards.rows(), ROWS, strict=True))
    assert same(shards.row(3), ROWS[3])
    for i, row in enumerate(ROWS):
        for start, stop in ((0, None), (1, 3), (2, 2), (row.frames, None)):
            part = shards.codes(i, start, stop)
            assert part.dtype == np.uint16
            assert np.array_equal(part, row.codes[..., start:stop])


@EACH
def test_equal_rows_give_equal_bytes(tmp_path, suffix):
    """However often they are written, and nothing is overwritten unasked."""
    one, other = (tmp_path / f"{name}{suffix}" for name in "ab")
    write_shard(one, ROWS, HEADER)
    write_shard(other, ROWS, HEADER)
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(OutputExists):
        write_shard(one, ROWS[:1], HEADER)
    write_shard(one, ROWS[:1], HEADER, overwrite=True)
    assert len(open_shards(one)) == 1


@EACH
@given(
    ids=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4, unique=True),
    values=st.lists(st.one_of(st.none(), st.text(), st.just("\ud800")), min_size=4, max_size=4),
)
def test_any_text(tmp_path_factory, suffix, ids, values):
    """Ids and columns may hold any Unicode, and be missing."""
    path = tmp_path_factory.mktemp("any") / f"x{suffix}"
    rows = [row_of(n, id=id, columns={"text": values[n]}) for n, id in enumerate(ids)]
    write_shard(path, rows, HEADER)
    read = list(open_shards(path).rows())
    assert [row.id for row in read] == ids
    for row, value in zip(read, values):
        text = value and value.replace("\ud800", "?")
        assert dict(row.columns).get("text") == text


@EACH
@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([], ArgumentError),
        ([row_of(), row_of()], ArgumentError),
        ([row_of(id="")], ArgumentError),
        ([row_of(), row_of(1, fingerprint="f" * 32)], ModelMismatch),
        ([row_of(columns={"other": 1})], ArgumentError),
    ],
)
def test_rows_that_cannot_be_written_leave_no_file(tmp_path, suffix, rows, error):
    """No rows, an id twice or empty, another model, unknown columns."""
    with pytest.raises(error):
        write_shard(tmp_path / f"x{suffix}", rows, HEADER)
    assert not list(tmp_path.iterdir())


def test_many_row_groups(tmp_path):
    """A row longer than a row group, short ones around it, and jumps between them."""
    frames = GROUP_CODES // 3 + 1
    rows = [row_of(n, frames=frames if n in (2, 3) else 4) for n in range(6)]
    write_shard(tmp_path / "x.parquet", rows, HEADER)
    shards = open_shards(tmp_path / "x.parquet")
    for i in (5, 0, 3, 2, 4, 1, 5):
        assert same(shards.row(i), rows[i])


def test_names(tmp_path):
    """Names of shards are numbered and end in the suffix of their format."""
    assert [shard_name(7, format) for format in FORMATS] == [
        "tokens-00007.parquet",
        "tokens-00007.tar",
        "tokens-00007.safetensors",
    ]
    with pytest.raises(ArgumentError, match="pickle"):
        shard_name(0, "pickle")
    with pytest.raises(OutputError, match="parquet"):
        write_shard(tmp_path / "x.csv", ROWS, HEADER)
    with pytest.raises(ArgumentError, match="__metadata__"):
        write_shard(tmp_path / "x.safetensors", [row_of(id="__metadata__")], HEADER)


@given(st.text())
def test_keys_hold_no_dot_and_fit_a_tar(id):
    """A key ends at its first dot, and old tars have names of 100 bytes."""
    assert "." not in key_of(id)
    assert key_of(id).isascii()
    assert len(key_of(id)) < 90
    assert key_of(id) != key_of(id + "x")
