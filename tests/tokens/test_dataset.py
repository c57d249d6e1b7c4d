"""Training input: crops that can be made again, every row once over ranks and workers, batches."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed
from torch.utils.data import DataLoader

from audiocodec.errors import ArgumentError, CodesError
from audiocodec.tokens.dataset import (
    IterableTokenDataset,
    TokenBatch,
    TokenDataset,
    TokenSample,
    TokenSampler,
    collate,
)
from audiocodec.tokens.dataset.order import Order, shuffled
from audiocodec.tokens.shards import (
    FORMATS,
    ShardHeader,
    Shards,
    TokenRow,
    open_shards,
    shard_name,
    write_shard,
)

N_CODEBOOKS = 3


class FakeShards:
    """Shards in memory: the code at (channel, codebook, frame) says where it is."""

    def __init__(
        self, shards: list[list[int]], n_channels: int = 1, n_codebooks: int = N_CODEBOOKS
    ) -> None:
        """shards: frames of each row of each shard."""
        self.lengths = np.array([length for shard in shards for length in shard], np.int64)
        self.starts = np.cumsum([0, *map(len, shards)])
        self.n_channels, self.n_codebooks = n_channels, n_codebooks
        self.reads: list[int] = []

    def about(self, i: int) -> tuple[str, dict[str, Any]]:
        return f"row{i}", {"number": i}

    def codes(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        self.reads.append(i)
        channel, codebook, frame = np.ogrid[
            : self.n_channels, : self.n_codebooks, : self.lengths[i]
        ]
        return (10_000 * channel + 1_000 * codebook + frame).astype(np.uint16)[:, :, start:stop]


def equal(one: TokenSample, other: TokenSample) -> bool:
    """Whether two samples are the same crop of the same row."""
    same = (one.id, one.start, one.channel) == (other.id, other.start, other.channel)
    return same and np.array_equal(one.codes, other.codes)


def numbers(samples: Any) -> list[int]:
    """Numbers of the rows of samples."""
    return [sample.row for sample in samples]


def in_worker(monkeypatch: pytest.MonkeyPatch, worker: int, n_workers: int) -> None:
    """Be a DataLoader worker."""
    info = SimpleNamespace(id=worker, num_workers=n_workers)
    monkeypatch.setattr("audiocodec.tokens.dataset.sharing.get_worker_info", lambda: info)


shard_lengths = st.lists(st.lists(st.integers(0, 30), max_size=8), min_size=1, max_size=6).filter(
    lambda shards: any(length for shard in shards for length in shard)
)


# --- samples ---


@given(
    shards=shard_lengths,
    frames=st.none() | st.integers(1, 35),
    seed=st.integers(0, 2**70),
    epoch=st.integers(0, 2**40),
)
def test_a_crop_is_a_piece_of_its_row_and_can_be_made_again(shards, frames, seed, epoch):
    """As long as asked for, or the whole row; the same from another dataset with the same seed."""
    fake = FakeShards(shards, n_channels=2)
    one, other = (TokenDataset(fake, frames, seed=seed) for _ in range(2))
    one.set_epoch(epoch)
    for index, sample in enumerate(one[i] for i in range(len(one))):
        length = fake.lengths[sample.row]
        stop = sample.start + min(frames or length, length)
        whole = fake.codes(sample.row)[sample.channel : sample.channel + 1]
        assert np.array_equal(sample.codes, whole[:, :, sample.start : stop])
        assert equal(sample, other.sample(index, epoch))


@given(shards=shard_lengths, frames=st.integers(1, 35))
def test_short_rows_are_kept_or_dropped(shards, frames):
    """ "pad" leaves out rows without frames, "drop" those shorter than the crop; no others."""
    fake = FakeShards(shards)
    for short, shortest in (("pad", 1), ("drop", frames)):
        kept = list(np.flatnonzero(fake.lengths >= shortest))
        if not kept:
            with pytest.raises(ArgumentError, match=f"none of .* rows has {shortest} frames"):
                TokenDataset(fake, frames, short=short)
            continue
        dataset = TokenDataset(fake, frames, short=short)
        assert numbers(dataset) == kept
        assert dataset.starts[-1] == len(dataset)


def test_crops_cover_the_row_over_epochs():
    """Every place comes, the first and the last too, and about as often; channels too."""
    dataset = TokenDataset(FakeShards([[10]], n_channels=2), 8)
    samples = [dataset.sample(0, epoch) for epoch in range(600)]
    starts = Counter(sample.start for sample in samples)
    assert sorted(starts) == [0, 1, 2]
    assert min(starts.values()) > 150
    channels = Counter(sample.channel for sample in samples)
    assert min(channels[0], channels[1]) > 250


def test_channel_and_codebooks_are_chosen():
    """First channel, or all of them at the same place; the first n codebooks."""
    fake = FakeShards([[20, 20]], n_channels=2)
    first = TokenDataset(fake, 5, channel="first", n_codebooks=2)[1]
    assert first.codes.shape == (1, 2, 5)
    assert first.codes[0, 0, 0] == first.start
    both = TokenDataset(fake, 5, channel="all")[1]
    assert both.codes.shape == (2, N_CODEBOOKS, 5)
    assert np.array_equal(both.codes[1] - both.codes[0], np.full((N_CODEBOOKS, 5), 10_000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 0},
        {"short": "repeat"},
        {"n_codebooks": 0},
        {"channel": "left"},
        {"seed": -1},
    ],
)
def test_wrong_arguments_are_refused(wrong):
    """With a line that has the name and the value."""
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(ArgumentError, match=f"{name} '?{value}"):
        TokenDataset(FakeShards([[5]]), **wrong)


def test_what_cannot_be_had_is_said():
    """A row out of range, more codebooks than there are, an epoch below 0."""
    dataset = TokenDataset(FakeShards([[5]]), n_codebooks=4)
    with pytest.raises(IndexError):
        dataset[1]
    with pytest.raises(CodesError, match="row 'row0' has 3 codebooks, not the 4 asked for"):
        dataset[0]
    with pytest.raises(ArgumentError, match="epoch -1"):
        dataset.set_epoch(-1)


# --- batches ---


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), n_channels=st.integers(1, 2))
def test_a_batch_holds_its_samples_and_marks_the_rest(lengths, n_channels):
    """Codes in place, padding behind them, True in the mask where there are codes."""
    dataset = TokenDataset(FakeShards([lengths], n_channels), channel="all")
    batch = collate(list(dataset), pad=-7, frames=10)
    assert batch.codes.dtype == batch.lengths.dtype == torch.int64
    assert batch.codes.shape == (len(lengths) * n_channels, N_CODEBOOKS, 10)
    assert batch.mask.sum(dim=1).equal(batch.lengths)
    for item, codes in enumerate(channel for sample in dataset for channel in sample.codes):
        length = int(batch.lengths[item])
        assert np.array_equal(batch.codes[item, :, :length], codes)
        assert (batch.codes[item, :, length:] == -7).all()
        assert batch.mask[item].tolist() == [True] * length + [False] * (10 - length)


def test_a_batch_says_where_its_items_are_from():
    """Ids, first frames, channels and columns of every item; None where a row has no such."""
    samples = list(TokenDataset(FakeShards([[9, 6]], 2), 4, channel="all"))
    batch = collate(samples)
    assert batch.codes.shape == (4, N_CODEBOOKS, 4)
    assert batch.ids == ["row0", "row0", "row1", "row1"]
    assert batch.starts.tolist() == batch.codes[[0, 0, 2, 2], 0, 0].tolist()
    assert batch.channels.tolist() == [0, 1, 0, 1]
    assert batch.columns == {"number": [0, 0, 1, 1]}
    bare = TokenSample("bare", samples[0].codes[:1], 0, 0, 0, {"text": "hello"})
    mixed = collate([bare, samples[1]])
    assert mixed.columns == {"text": ["hello", None, None], "number": [None, 1, 1]}


def test_batches_that_cannot_be_made_are_refused():
    """No samples, different numbers of codebooks, a sample longer than the batch."""
    with pytest.raises(ArgumentError, match="no samples"):
        collate([])
    fewer, more = (TokenDataset(FakeShards([[5]], n_codebooks=n))[0] for n in (2, 3))
    with pytest.raises(ArgumentError, match=r"2, 3 codebooks.*n_codebooks=2"):
        collate([fewer, more])
    with pytest.raises(ArgumentError, match="5 frames in a batch of 4"):
        collate([more], frames=4)


# --- order and shares ---


@given(
    shards=shard_lengths,
    world_size=st.integers(1, 4),
    n_workers=st.integers(0, 3),
    buffer=st.integers(1, 50),
    shuffle=st.booleans(),
    even=st.booleans(),
)
def test_ranks_and_workers_share_the_rows(shards, world_size, n_workers, buffer, shuffle, even):
    """Every row once, in one worker of one rank; as many for every rank, if asked for."""
    dataset = TokenDataset(FakeShards(shards), 5, seed=3)
    given_out: list[int] = []
    sizes = set()
    for rank in range(world_size):
        options = {"shuffle": shuffle, "buffer": buffer, "equal": even}
        iterable = IterableTokenDataset(dataset, rank=rank, world_size=world_size, **options)
        own: list[int] = []
        per_worker = []
        for worker in range(max(1, n_workers)):
            with pytest.MonkeyPatch.context() as patch:
                in_worker(patch, worker, max(1, n_workers))
                found = numbers(iterable)
            own += found
            per_worker.append(len(found))
        sizes.add(tuple(per_worker))
        assert len(own) == iterable.n_rows
        sampler = TokenSampler(dataset, rank=rank, world_size=world_size, **options)
        assert len(sampler) == len(own)
        assert sorted(numbers(dataset[i] for i in sampler)) == sorted(own)
        given_out += own
    n_left_out = len(dataset) % world_size if even else 0
    assert len(set(given_out)) == len(given_out) == len(dataset) - n_left_out
    if even:
        assert len(sizes) == 1  # as many rows for each worker, so as many batches


@given(rows=st.lists(st.integers(), unique=True), size=st.integers(1, 60))
def test_a_buffer_loses_nothing_and_holds_no_more_than_its_size(rows, size):
    """Rows enter in order, once; each leaves once, later."""
    waiting, entered, left = set(), [], []
    for entering, leaving in shuffled(rows, size, np.random.default_rng(0)):
        if leaving is not None:
            waiting.remove(leaving)
            left.append(leaving)
        if entering is not None:
            waiting.add(entering)
            entered.append(entering)
        assert len(waiting) <= size
    assert entered == rows
    assert sorted(left) == sorted(rows)
    if size == 1:
        assert left == rows


def test_shards_are_shuffled_and_rows_within_the_buffer():
    """Another order in each epoch; a small buffer stays near the shard that is read."""
    bounds = np.arange(0, 1001, 100)
    small, large = Order(bounds, buffer=10), Order(bounds, buffer=1000)
    rows = [list(small.rows(epoch)) for epoch in range(3)]
    assert rows[0] != rows[1] != rows[2]
    assert rows[0] == list(Order(bounds, buffer=10).rows(0))
    assert rows[0] != list(Order(bounds, buffer=10, seed=1).rows(0))
    assert len({row // 100 for row in rows[0][:90]}) == 1
    assert len({row // 100 for row in large.rows(0)}) == len({r // 100 for r in rows[0]}) == 10
    assert len({row // 100 for row in list(large.rows(0))[:90]}) == 10
    assert list(Order(bounds, shuffle=False).rows(5)) == list(range(1000))


def test_rows_that_equal_leaves_out_change_with_the_epoch():
    """So that over the epochs all rows come."""
    order = [Order(np.arange(0, 8), equal=True, rank=rank, world_size=4) for rank in range(4)]
    left_out = [set(range(7)).difference(*(one.rows(epoch) for one in order)) for epoch in range(9)]
    assert {len(rows) for rows in left_out} == {3}
    assert set.union(*left_out) == set(range(7))


@pytest.mark.parametrize(
    "wrong", [{"rank": 2, "world_size": 2}, {"rank": -1, "world_size": 2}, {"rank": 0}]
)
def test_wrong_ranks_are_refused(wrong):
    """Also one of rank and world size alone."""
    dataset = TokenDataset(FakeShards([[5]]))
    for kind in (IterableTokenDataset, TokenSampler):
        with pytest.raises(ArgumentError, match=f"rank {wrong['rank']}"):
            kind(dataset, **wrong)
    with pytest.raises(ArgumentError, match="buffer of 0"):
        IterableTokenDataset(dataset, buffer=0)


def test_the_rank_is_that_of_torchrun_or_torch_distributed(monkeypatch):
    """The environment before the processes join; made too early without it, it is refused."""
    dataset = TokenDataset(FakeShards([[5] * 10]))
    early, told = IterableTokenDataset(dataset), TokenSampler(dataset, rank=0, world_size=1)
    early_sampler = TokenSampler(dataset)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "5")
    assert len(TokenSampler(dataset)) == IterableTokenDataset(dataset).n_rows == 2
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    assert len(TokenSampler(dataset)) == len(list(IterableTokenDataset(dataset))) == 5
    assert len(list(told)) == 10
    for made in (early, early_sampler):
        with pytest.raises(ArgumentError, match=r"rank 0 of 1, .* rank 1 of 2; make it after"):
            iter(made)


def _joined(rank: int, path: str, answers: Any) -> None:
    """One process of two that join by gloo and read with a worker each."""
    distributed.init_process_group("gloo", f"file://{path}", rank=rank, world_size=2)
    dataset = TokenDataset(FakeShards([[6] * 4, [6] * 5, [6] * 4]), 4)
    iterable = IterableTokenDataset(dataset, equal=True)
    loader = DataLoader(iterable, 2, collate_fn=collate, num_workers=2)
    ids = []
    for batch in loader:
        distributed.all_reduce(batch.lengths.sum())  # hangs if the other one has no batch
        ids += batch.ids
    answers.put(ids)
    distributed.destroy_process_group()


def test_processes_of_torch_distributed_share_the_rows(tmp_path):
    """Two real processes, each with two workers: as many batches, no row twice."""
    context = get_context("fork")
    answers = context.Queue()
    processes = [
        context.Process(target=_joined, args=(rank, str(tmp_path / "meeting"), answers))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    try:
        ids = [answers.get(timeout=60) for _ in processes]
    finally:
        for process in processes:
            process.join(timeout=60)
            process.kill()
    assert [len(own) for own in ids] == [6, 6]
    assert len({*ids[0], *ids[1]}) == 12


# --- loaders ---


def both_epochs(loader: DataLoader[Any], dataset: TokenDataset) -> Iterator[list[TokenBatch]]:
    """The batches of epochs 0 and 1."""
    for epoch in range(2):
        dataset.set_epoch(epoch)
        yield list(loader)


def test_a_loader_with_workers_that_persist():
    """Each epoch has every row once and its own crops, which workers that run already learn of."""
    lengths = [[20] * 7, [3] * 4, [20] * 6]
    dataset = TokenDataset(FakeShards(lengths), 8, seed=1)
    expected = [
        {f"row{i}": dataset.sample(i, epoch).start for i in range(len(dataset))} for epoch in (0, 1)
    ]
    options: dict[str, Any] = {"collate_fn": partial(collate, pad=-1), "num_workers": 2}
    iterable = DataLoader(IterableTokenDataset(dataset), 4, persistent_workers=True, **options)
    mapped = DataLoader(
        dataset, 4, sampler=TokenSampler(dataset), persistent_workers=True, **options
    )
    for loader in (iterable, mapped):
        orders = []
        for epoch, batches in enumerate(both_epochs(loader, dataset)):
            ids = [name for batch in batches for name in batch.ids]
            starts = [start for batch in batches for start in batch.starts.tolist()]
            assert sorted(ids) == sorted(expected[epoch])
            assert dict(zip(ids, starts)) == expected[epoch]
            orders.append(ids)
        assert orders[0] != orders[1]


@pytest.fixture(params=list(FORMATS))
def shards(request, tmp_path) -> Shards:
    """Three real shards of a format, 12 stereo rows in all."""
    kinds = {"words": "str", "take": "int"}
    header = ShardHeader("small", "0" * 32, 44100, 512, 1024, columns=kinds)
    rng = np.random.default_rng(0)
    for index in range(3):
        rows = [
            TokenRow(
                id=f"{index}-{i}",
                source="somewhere.wav",
                sample_rate=44100,
                channels=2,
                n_codebooks=N_CODEBOOKS,
                frames=10 + 7 * i,
                n_samples=512 * (10 + 7 * i),
                codes=rng.integers(0, 1024, (2, N_CODEBOOKS, 10 + 7 * i), np.uint16),
                model="small",
                fingerprint="0" * 32,
                columns={"words": f"take {i}", "take": i},
            )
            for i in range(index + 3)
        ]
        write_shard(tmp_path / shard_name(index, request.param), rows, header)
    return open_shards(tmp_path)


def test_real_shards_of_every_format(shards):
    """Codes, ids and columns are those of the rows; from the folder as from opened shards."""
    dataset = TokenDataset(shards.paths[0].parent, 12, short="drop", channel="first")
    assert len(dataset) == 12 - 3
    assert [list(dataset.starts), list(shards.starts)] == [[0, 2, 5, 9], [0, 3, 7, 12]]
    for sample in dataset:
        row = shards.row(sample.row)
        expected = row.codes[:1, :, sample.start : sample.start + 12]
        assert np.array_equal(sample.codes, expected)
        assert sample.codes.dtype == np.uint16
        assert (sample.id, sample.columns) == (row.id, row.columns)


def test_real_shards_in_workers(shards):
    """Read before the workers start, and by all of them at once: whole rows, each once."""
    expected = {row.id: row for row in shards.rows()}
    dataset = TokenDataset(shards, channel="all")
    iterable = IterableTokenDataset(dataset, buffer=4)
    for kind in (iterable, dataset):
        loader = DataLoader(kind, 3, collate_fn=collate, num_workers=2)
        found = [
            (id, codes[:, :length].numpy(), channel)
            for batch in loader
            for id, codes, length, channel in zip(
                batch.ids, batch.codes, batch.lengths, batch.channels.tolist()
            )
        ]
        assert sorted(Counter(id for id, _, _ in found).items()) == [(i, 2) for i in expected]
        for id, codes, channel in found:
            assert np.array_equal(codes, expected[id].codes[channel])


# --- resume ---


@given(
    shards=shard_lengths,
    buffer=st.integers(1, 40),
    shuffle=st.booleans(),
    epoch=st.integers(0, 5),
    data=st.data(),
)
def test_an_epoch_goes_on_where_it_stopped(shards, buffer, shuffle, epoch, data):
    """From the state after any number of rows: the same rest; an epoch after it from its start."""
    options = {"shuffle": shuffle, "buffer": buffer}
    stopped = IterableTokenDataset(TokenDataset(FakeShards(shards), 4), **options)
    stopped.set_epoch(epoch)
    expected = list(stopped)
    n_seen = data.draw(st.integers(0, len(expected)))
    iterator = iter(stopped)
    for _ in range(n_seen):
        next(iterator)
    state = stopped.state_dict()
    fake = FakeShards(shards)
    resumed = IterableTokenDataset(TokenDataset(fake, 4), **options)
    resumed.set_epoch(epoch)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = list(resumed)
    assert len(rest) == len(expected) - n_seen
    assert all(map(equal, rest, expected[n_seen:]))
    assert len(fake.reads) == len(rest)  # rows that were seen are not read
    assert len(list(resumed)) == len(expected)


def test_another_epoch_begins_at_its_start():
    """A state holds for its own epoch only."""
    iterable = IterableTokenDataset(TokenDataset(FakeShards([[5] * 6])))
    next(iter(iterable))
    iterable.load_state_dict(iterable.state_dict())
    iterable.set_epoch(1)
    assert len(list(iterable)) == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"n_workers": 3, "worker": 2}, "another worker, n_workers"),
        ({"world_size": 2}, "another world_size"),
        ({"seen": 7}, "7 rows seen; 0 to 6"),
        ({"seen": "2"}, "'2' rows seen"),
        ({"epoch": None}, "epoch None"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, words):
    """What differs is named."""
    iterable = IterableTokenDataset(TokenDataset(FakeShards([[5] * 6])))
    with pytest.raises(ArgumentError, match=words):
        iterable.load_state_dict(iterable.state_dict() | change)


def test_every_worker_has_a_state_of_its_own(monkeypatch):
    """A worker goes on in its share."""
    iterable = IterableTokenDataset(TokenDataset(FakeShards([[5] * 9])))
    in_worker(monkeypatch, 1, 2)
    whole = numbers(iterable)
    iterator = iter(iterable)
    next(iterator)
    state = iterable.state_dict()
    iterable.load_state_dict(state)
    assert numbers(iterable) == whole[1:]
    in_worker(monkeypatch, 0, 2)
    with pytest.raises(ArgumentError, match=r"another worker: \[1\], here \[0\]"):
        iterable.load_state_dict(state)
