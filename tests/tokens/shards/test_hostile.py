"""Shards that are cut, altered or made to mislead give one line, and never crash."""

import io
import json
import tarfile
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from safetensors.numpy import save_file

from audiocodec.errors import CodecError, ContainerError
from audiocodec.tokens.shards import ShardError, open_shards, write_shard
from audiocodec.tokens.shards import parquet as parquet_shards
from audiocodec.tokens.shards.pages import PageError, chunks, pages
from tests.tokens.shards.samples import HEADER, ROWS, SUFFIXES, row_of, same

EACH = pytest.mark.parametrize("suffix", SUFFIXES)


def read_everything(path):
    """All that a reader can be asked."""
    shards = open_shards(path)
    assert len(shards.lengths) == len(shards)
    for i in range(len(shards)):
        shards.codes(i)
    return list(shards.rows())


def refused(path, message="."):
    """The one line that says why a shard cannot be used."""
    with pytest.raises(ContainerError, match=message) as caught:
        read_everything(path)
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """Bytes of a shard of each format."""
    folder = tmp_path_factory.mktemp("intact")
    for suffix in SUFFIXES:
        write_shard(folder / f"x{suffix}", ROWS, HEADER)
    return {suffix: (folder / f"x{suffix}").read_bytes() for suffix in SUFFIXES}


@EACH
@given(cut=st.floats(0, 1, exclude_max=True))
def test_cut_anywhere(tmp_path_factory, intact, suffix, cut):
    """The end of a tar is padding; all else is missed."""
    content = intact[suffix]
    n_bytes = int(cut * (len(content.rstrip(b"\0")) if suffix == ".tar" else len(content)))
    path = tmp_path_factory.mktemp("cut") / f"x{suffix}"
    path.write_bytes(content[:n_bytes])
    try:
        rows = read_everything(path)
    except ContainerError:
        return
    # a tar may be cut between two members, and is then a shorter tar
    assert suffix == ".tar"
    assert all(same(*pair) for pair in zip(rows, ROWS))


@EACH
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_byte_altered_anywhere(tmp_path_factory, intact, suffix, place, value):
    """Rows are read or refused; whatever is read fits together."""
    content = bytearray(intact[suffix])
    content[int(place * len(content))] = value
    path = tmp_path_factory.mktemp("altered") / f"x{suffix}"
    path.write_bytes(content)
    try:
        for row in read_everything(path):
            assert row.codes.shape == (row.channels, row.n_codebooks, row.frames)
            assert row.codes.max(initial=0) < 1024
    except CodecError:
        pass


# Parquet


def rewritten(path, name=None, values=None, metadata=None):
    """A shard of two rows with other values in a column, or other metadata."""
    write_shard(path, ROWS[:2], HEADER, overwrite=True)
    table = pq.read_table(path)
    if name is not None:
        place = table.schema.get_field_index(name)
        field = table.schema.field(name)
        column = values if isinstance(values, pa.Array) else pa.array(values, field.type)
        table = table.set_column(place, name, column)
    if metadata is not None:
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("frames", [3, 9], "27 codes|40 codes|at most"),
        ("frames", [3, -1], "frames"),
        ("frames", [3, None], "frames"),
        ("frames", [3, 2**62], "frames"),
        ("channels", [1, -2], "channels"),
        ("channels", [1, None], "channels"),
        ("n_samples", [0, 0], "samples"),
        ("gain", [0.5, float("inf")], "gain"),
        ("id", ["a", None], "id"),
        ("fingerprint", ["0" * 32, "f" * 32], "model"),
        ("codes", [[0] * 9, None], "codes"),
        ("codes", [[0] * 9, [None] * 40], "codes"),
        ("codes", [[0] * 9, [1024] * 40], "1024"),
        ("codes", [[0] * 9, []], "0 codes"),
        ("codes", pa.array([["a"], ["b"]]), "no column codes"),
        ("id", pa.array([1, 2]), "no column id"),
        ("text", pa.array([[1], [2]]), "no column text"),
    ],
)
def test_parquet_whose_columns_do_not_fit(tmp_path, name, values, message):
    """Lengths, codes and types that contradict each other."""
    refused(rewritten(tmp_path / "x.parquet", name, values), message)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"audiocodec.tokens": "{"},
        {"audiocodec.tokens": "[" * 100_000},
        {"audiocodec.tokens": "[]"},
        {"audiocodec.tokens": json.dumps(HEADER.to_dict() | {"version": 2})},
        {"audiocodec.tokens": json.dumps(HEADER.to_dict() | {"hop": "x"})},
        {"audiocodec.tokens": json.dumps(HEADER.to_dict() | {"hop": 0})},
        {"audiocodec.tokens": json.dumps(HEADER.to_dict() | {"columns": {"text": 1}})},
        {"audiocodec.tokens": json.dumps(HEADER.to_dict() | {"columns": {"lacking": "str"}})},
    ],
)
def test_parquet_of_something_else(tmp_path, metadata):
    """A table without our header, or with one that makes no sense."""
    refused(rewritten(tmp_path / "x.parquet", metadata=metadata))


def test_parquet_that_other_tools_rewrote(tmp_path):
    """Large strings and lists, and one row group, are read as well."""
    path = tmp_path / "x.parquet"
    write_shard(path, ROWS, HEADER)
    table = pq.read_table(path)
    large = {pa.string(): pa.large_string(), pa.list_(pa.uint16()): pa.large_list(pa.uint16())}
    fields = [field.with_type(large.get(field.type, field.type)) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields, table.schema.metadata)), path)
    assert all(same(*pair) for pair in zip(open_shards(path).rows(), ROWS, strict=True))


def test_parquet_that_declares_too_much(tmp_path, monkeypatch):
    """A few bytes can stand for gigabytes of equal codes: row groups are bounded."""
    write_shard(tmp_path / "x.parquet", [row_of(frames=100)], HEADER)
    monkeypatch.setattr(parquet_shards, "MAX_CODES", 10)
    monkeypatch.setattr(parquet_shards, "GROUP_CODES", 10)
    refused(tmp_path / "x.parquet", "300 codes")


POOLS = []  # Arrow's buffers refer to the pool that they came from


@contextmanager
def arrow_takes_at_most(n_bytes):
    """Fails if Arrow takes more memory at once."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield
        assert pool.max_memory() <= n_bytes
    finally:
        pa.set_memory_pool(before)


def equal_codes(n_codes):
    """One list of so many zeros, as Arrow holds it."""
    offsets = pa.array([0, n_codes], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(np.zeros(n_codes, np.uint16)))


def table_of(row, n_rows=1, **columns):
    """A shard's table of one row, as often as wanted, with other values in some columns."""
    with TemporaryDirectory() as folder:
        write_shard(Path(folder, "x.parquet"), [row], HEADER)
        table = pq.read_table(Path(folder, "x.parquet")).take([0] * n_rows)
    for name, values in columns.items():
        field = table.schema.field(name)
        column = values if isinstance(values, pa.Array) else pa.array(values, field.type)
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


MANY = 4999998  # values, which take some 15 bytes each where they are believed
BOMBS = {
    "a row that holds more codes than it says": (
        lambda: table_of(row_of(frames=20), codes=equal_codes(MANY)),
        {},
        f"{MANY} values of 'codes.*at most 61",
    ),
    "a row that says them": (
        lambda: table_of(row_of(frames=20), codes=equal_codes(MANY), frames=[MANY // 3]),
        {},
        "holds 4999998 codes",
    ),
    "more rows than bytes": (
        lambda: table_of(row_of(frames=0), n_rows=500_000),
        {},
        "says it has 500000 rows",
    ),
    "many columns in one group": (
        lambda: table_of(
            row_of(frames=0),
            n_rows=300_000,
            id=list(map(str, np.random.default_rng(0).permutation(300_000))),
        ),
        {"row_group_size": 10**6},
        "holds 4200000 values",
    ),
    "a text that is packed well": (
        lambda: table_of(row_of(frames=20), text=["x" * 4 * 10**7]),
        {"use_dictionary": False},
        "holds 40000.* bytes",
    ),
    "texts that grow from each other": (
        lambda: table_of(
            row_of(frames=1), n_rows=100, text=["y" * 10**5 + str(i) for i in range(100)]
        ),
        {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}},
        "'text' cannot be read: its encoding is DELTA_BYTE_ARRAY",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_parquet_of_few_bytes_that_stand_for_many(tmp_path, name):
    """Refused before the memory is taken, with the numbers that do not fit."""
    make, settings, message = BOMBS[name]
    path = tmp_path / "x.parquet"
    pq.write_table(make(), path, compression="zstd", **settings)
    with arrow_takes_at_most(16 * 2**20):
        refused(path, message)


def test_pages_that_hold_more_than_the_footer_says(tmp_path):
    """pyarrow decodes what the header of a page says, so that is what is counted."""
    path = tmp_path / "x.parquet"
    pq.write_table(table_of(row_of(frames=20), codes=equal_codes(10**5)), path)
    with open(path, "rb") as file:
        (group,) = chunks(file)
        (chunk,) = [one for one in group if one.name.startswith("codes")]
        assert chunk.n_values == 10**5
        assert 0 < chunk.unpacked_bytes(file) < 10**6
        with pytest.raises(PageError, match="hold 100000 values, and not 60"):
            replace(chunk, n_values=60).unpacked_bytes(file)


@given(raw=st.binary(max_size=60))
def test_headers_of_pages_are_bytes_of_anyone(raw):
    """Whatever stands there, it is pages or one error, and never a loop; so are footers."""
    with suppress(PageError):
        assert len(list(pages(io.BytesIO(raw), 0, len(raw)))) <= len(raw)
    with suppress(PageError):
        chunks(io.BytesIO(raw + len(raw).to_bytes(4, "little") + b"PAR1"))


def test_the_footer_is_read_as_pyarrow_reads_it(tmp_path):
    """The same places and numbers for every column."""
    path = tmp_path / "x.parquet"
    write_shard(path, ROWS, HEADER)
    pq.write_table(pq.read_table(path), path, row_group_size=2)
    metadata = pq.read_metadata(path)
    with open(path, "rb") as file:
        groups = chunks(file)
    assert len(groups) == metadata.num_row_groups == 3
    for number, group in enumerate(groups):
        told = metadata.row_group(number)
        for chunk, column in zip(group, map(told.column, range(told.num_columns)), strict=True):
            start = min(column.data_page_offset, column.dictionary_page_offset or 2**60)
            expected = (column.path_in_schema, column.num_values, start)
            assert (chunk.name, chunk.n_values, chunk.start) == expected
            assert chunk.n_bytes == column.total_compressed_size


def test_parquet_of_many_writers_is_read(tmp_path):
    """Pages of both versions, every compression, no dictionaries, other encodings of numbers."""
    path = tmp_path / "x.parquet"
    write_shard(path, ROWS, HEADER)
    table = pq.read_table(path)
    for settings in (
        {"data_page_version": "2.0"},
        {"use_dictionary": False},
        {"compression": "none", "data_page_size": 64, "write_page_index": True},
        {"compression": "gzip", "row_group_size": 2},
        {"compression": "snappy", "use_dictionary": ["id"], "write_statistics": False},
        {"use_dictionary": False, "column_encoding": {"frames": "DELTA_BINARY_PACKED"}},
    ):
        pq.write_table(table, path, **settings)
        assert all(same(*pair) for pair in zip(read_everything(path), ROWS, strict=True))


# Tars


def tar_of(path, *parts, kind=tarfile.REGTYPE):
    """A tar of (name, content)."""
    with tarfile.open(path, "w") as tar:
        for name, content in parts:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kind
            tar.addfile(member, io.BytesIO(content))
    return path


DAC = HEADER.dac(ROWS[0]).to_bytes()
TOLD = json.dumps({"id": "a", "source": "a"}).encode()


@pytest.mark.parametrize(
    "parts",
    [
        [("a.txt", b"")],
        [("a.dac", DAC)],
        [("a.dac", DAC), ("b.json", TOLD)],
        [("a.dac", b"no dac"), ("a.json", TOLD)],
        [("a.dac", DAC[:-60]), ("a.json", TOLD)],
        [("a.dac", DAC[:60] + b"x" + DAC[61:]), ("a.json", TOLD)],
        [("a.dac", DAC), ("a.json", b"{")],
        [("a.dac", DAC), ("a.json", b"[" * 100_000)],
        [("a.dac", DAC), ("a.json", b"[]")],
        [("a.dac", DAC), ("a.json", b"{}")],
        [("a.dac", DAC), ("a.json", b'{"id": "a", "source": "a", "x": [1]}')],
        [("a.dac", DAC), ("a.json", b'{"id": "a", "source": "a", "codes": 1}')],
        [("a.dac", DAC), ("a.json", b" " * (2**20 + 1))],
        [],
    ],
)
def test_tars_with_wrong_members(tmp_path, parts):
    """Anything but a .dac file and a JSON object for each row."""
    refused(tar_of(tmp_path / "x.tar", *parts))


def test_a_tar_of_links(tmp_path):
    """Links are not followed."""
    parts = [("a.dac", b""), ("a.json", b"")]
    refused(tar_of(tmp_path / "x.tar", *parts, kind=tarfile.SYMTYPE))


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"77777777777\0"])
@pytest.mark.parametrize("kind", [b"0", b"L", b"x"])
def test_tars_whose_members_say_absurd_sizes(tmp_path, size, kind):
    """Negative and huge ones neither go round for ever nor fill the memory."""
    path = tar_of(tmp_path / "x.tar", ("a.dac", DAC), ("a.json", TOLD), ("b.dac", DAC))
    content = bytearray(path.read_bytes())
    at = content.index(b"b.dac")
    content[at + 124 : at + 136], content[at + 156 : at + 157] = size, kind
    content[at + 148 : at + 156] = b" " * 8
    content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    path.write_bytes(content)
    refused(path)


# safetensors


def metadata_of(rows, **header):
    """The metadata of a shard with such rows."""
    return {"audiocodec.tokens": json.dumps(HEADER.to_dict() | header | {"rows": rows})}


TOLD_ROW = {
    name: value for name, value in vars(ROWS[0]).items() if name not in ("codes", "columns")
}


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ({"a": np.zeros((1, 3, 3), np.uint16)}, None),
        ({"a": np.zeros((1, 3, 3), np.uint16)}, {"audiocodec.tokens": "{"}),
        ({"a": np.zeros((1, 3, 3), np.uint16)}, metadata_of("none")),
        ({"a": np.zeros((1, 3, 3), np.uint16)}, metadata_of([1])),
        ({"a": np.zeros((1, 3, 3), np.uint16)}, metadata_of([{"id": "a"}])),
        ({"a": np.zeros((1, 3, 3), np.uint16)}, metadata_of([])),
        ({"b": np.zeros((1, 3, 3), np.uint16)}, metadata_of([TOLD_ROW | {"id": "a"}])),
        ({"a": np.zeros((1, 3, 4), np.uint16)}, metadata_of([TOLD_ROW | {"id": "a"}])),
        ({"a": np.zeros((1, 9), np.uint16)}, metadata_of([TOLD_ROW | {"id": "a"}])),
        ({"a": np.zeros((1, 3, 3), np.int32)}, metadata_of([TOLD_ROW | {"id": "a"}])),
        ({"a": np.full((1, 3, 3), 1024, np.uint16)}, metadata_of([TOLD_ROW | {"id": "a"}])),
        (
            {"a": np.zeros((1, 3, 3), np.uint16)},
            metadata_of([TOLD_ROW | {"id": "a", "frames": 2**40}]),
        ),
        (
            {"a": np.zeros((1, 3, 3), np.uint16)},
            metadata_of([TOLD_ROW | {"id": "a", "text": ["list"]}]),
        ),
    ],
)
def test_safetensors_whose_metadata_do_not_fit(tmp_path, tensors, metadata):
    """Missing or damaged metadata, other tensors than they name, other shapes, types and codes."""
    save_file(tensors, tmp_path / "x.safetensors", metadata)
    refused(tmp_path / "x.safetensors")


@EACH
def test_other_bytes(tmp_path, suffix):
    """Nothing, zeros, text."""
    for content in (b"", bytes(2000), b"PAR1" * 600):
        (tmp_path / f"x{suffix}").write_bytes(content)
        with pytest.raises(ShardError):
            read_everything(tmp_path / f"x{suffix}")
