"""Several shards as one table: in a folder, in other processes, of one model."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest

from audiocodec.errors import ArgumentError, CodecError, ModelMismatch
from audiocodec.tokens.shards import ShardError, ShardHeader, open_shards, opening, write_shard
from tests.tokens.shards.samples import HEADER, ROWS, SUFFIXES, row_of, same

EACH = pytest.mark.parametrize("suffix", SUFFIXES)


def written(folder, suffix):
    """Three shards of two rows."""
    for n in range(3):
        write_shard(folder / f"tokens-{n:05d}{suffix}", ROWS[2 * n : 2 * n + 2], HEADER)
    (folder / f".tokens-9{suffix}.part{suffix}").write_bytes(b"half")
    (folder / "errors.jsonl").write_text("")
    return open_shards(folder)


@EACH
def test_a_folder_is_one_table(tmp_path, suffix, monkeypatch):
    """Rows go on from shard to shard, even where few files may be open."""
    monkeypatch.setattr(opening, "MAX_OPEN", 1)
    shards = written(tmp_path, suffix)
    assert [path.name for path in shards.paths] == [f"tokens-0000{n}{suffix}" for n in range(3)]
    assert shards.starts.tolist() == [0, 2, 4, 6]
    assert shards.lengths.tolist() == [row.frames for row in ROWS]
    for i in (5, 0, 3, 1, 4, 2):
        assert same(shards.row(i), ROWS[i])
        assert np.array_equal(shards.codes(i, 1, 3), ROWS[i].codes[..., 1:3])
    assert [row.id for row in shards.rows(1)] == [row.id for row in ROWS[2:4]]
    assert [row.id for row in shards.rows()] == [row.id for row in ROWS]
    shards.close()
    assert same(shards.row(5), ROWS[5])


def test_only_the_shard_that_is_read_is_opened(tmp_path):
    """A damaged shard does not matter to whom reads another."""
    shards = written(tmp_path, ".parquet")
    shards.paths[2].write_bytes(b"")
    assert len(list(shards.rows(1))) == 2
    with pytest.raises(ShardError, match="00002"):
        len(shards)


@EACH
def test_copies_by_pickle(tmp_path, suffix):
    """A copy holds no open file, and reads the same."""
    shards = written(tmp_path, suffix)
    shards.row(5)
    copy = pickle.loads(pickle.dumps(shards))  # noqa: S301 - ours
    assert same(copy.row(5), shards.row(5))
    assert copy.lengths.tolist() == shards.lengths.tolist()


@EACH
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_read_at_once(tmp_path, suffix):
    """After a fork each process opens its own file: none moves another's position."""
    shards = written(tmp_path, suffix)
    shards.row(0)
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=read_all, args=(shards, os.getpid())) for _ in range(2)]
    for worker in workers:
        worker.start()
    read_all(shards, 0)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0


def read_all(shards, parent):
    """Read every row often, and compare."""
    for _ in range(20):
        for i, row in enumerate(ROWS):
            if not np.array_equal(shards.codes(i), row.codes):
                os._exit(1)
    if parent:
        os._exit(0)


def test_shards_of_another_model(tmp_path):
    """Codes of two models do not mix, wherever the other one comes."""
    other = ShardHeader("other", "f" * 32, 16000, 320, 1024)
    row = row_of(9, model="other", fingerprint="f" * 32, columns={})
    for n, suffix in enumerate(SUFFIXES):
        write_shard(tmp_path / f"{n}{suffix}", ROWS, HEADER)
        write_shard(tmp_path / f"other{suffix}", [row], other)
        with pytest.raises(ModelMismatch, match="other"):
            list(open_shards([tmp_path / f"{n}{suffix}", tmp_path / f"other{suffix}"]).rows())


def test_columns_of_several_jobs(tmp_path):
    """Lists may mix formats and folders; the header's columns hold all of them."""
    write_shard(tmp_path / "a.parquet", ROWS, HEADER)
    b = ShardHeader("tiny", HEADER.fingerprint, 16000, 320, 1024, columns={"speaker": "float"})
    (tmp_path / "b").mkdir()
    write_shard(tmp_path / "b" / "b.tar", [row_of(9, columns={"speaker": 0.5})], b)
    shards = open_shards([tmp_path / "a.parquet", tmp_path / "b"])
    assert len(shards) == 7
    assert dict(shards.header.columns) == dict(HEADER.columns) | {"speaker": "float"}


def test_rows_and_frames_that_are_not_there(tmp_path):
    """The message says what there is."""
    shards = written(tmp_path, ".safetensors")
    for call in (
        lambda: shards.row(6),
        lambda: shards.row(-1),
        lambda: shards.codes(0, 2, 1),
        lambda: shards.codes(0, 0, 99),
        lambda: list(shards.rows(3)),
    ):
        with pytest.raises(ArgumentError, match=r"0 to \d|frames"):
            call()


def test_what_holds_no_shards(tmp_path):
    """An empty folder, another kind of file, no file, formats mixed in a folder, no name."""
    (tmp_path / "x.csv").write_text("")
    for path in (tmp_path, tmp_path / "x.csv", tmp_path / "nowhere.tar", []):
        with pytest.raises(ShardError):
            open_shards(path)
    write_shard(tmp_path / "a.parquet", ROWS, HEADER)
    write_shard(tmp_path / "a.tar", ROWS, HEADER)
    with pytest.raises(CodecError, match="several formats"):
        open_shards(tmp_path)
    (tmp_path / "a.tar").unlink()
    os.mkfifo(tmp_path / "b.parquet")
    with pytest.raises(ShardError, match=r"b\.parquet: not an ordinary file"):
        open_shards(tmp_path)
