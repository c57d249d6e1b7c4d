"""Codebooks in training: averages, revival and start; the same in every process; use in figures."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.usage import CodebookUsage
from audiocodec.lab.train.codebooks import CodebookAverages, DeadEntries, init_codebooks
from audiocodec.lab.train.variants import use_euclidean_lookup
from audiocodec.model.network import DAC
from tests.lab.train.micro import CONFIG, made, noise

ALL = torch.tensor([CONFIG.n_codebooks])


def tables(model: DAC) -> Tensor:
    """A copy of all codebooks, (N, K, d)."""
    return torch.stack([s.codebook.weight.detach().clone() for s in model.quantizer.stages])


def test_codebooks_follow_the_vectors_that_choose_them():
    """With decay 0.5 and still vectors, every entry that is chosen comes to their mean."""
    model = made()
    averages, latents = CodebookAverages(model, decay=0.5), noise((1, 16, 50), 1)
    for _ in range(40):
        averages.update(model.quantizer(latents, ALL).codes, ALL)
    stage = model.quantizer.stages[0]
    vectors = stage.in_proj(latents)[0].T
    chosen = stage.nearest(vectors.T[None])[0]
    for code in chosen.unique():
        mean = vectors[chosen == code].mean(dim=0)
        assert torch.allclose(stage.codebook.weight[code], mean, atol=1e-3)


def test_an_average_moves_by_its_share():
    """One update by hand: decay, the even start, sums and counts of the chosen entries."""
    model, latents = made(), noise((2, 16, 24), 1)
    averages, before = CodebookAverages(model, decay=0.75), tables(model)[0]
    codes = model.quantizer(latents, ALL.expand(2)).codes
    averages.update(codes, ALL.expand(2))
    vectors = model.quantizer.stages[0].in_proj(latents).transpose(1, 2).reshape(48, -1)
    for code in range(16):
        chose = vectors[codes[:, 0].flatten() == code]
        weight = 0.75 * (48 / 16) + 0.25 * len(chose)
        expected = (0.75 * 3 * before[code] + 0.25 * chose.sum(dim=0)) / weight
        torch.testing.assert_close(tables(model)[0][code], expected)
        assert averages.state_dict()["counts"][0, code] == pytest.approx(weight)


def test_items_that_do_not_use_a_codebook_do_not_move_it():
    """As if they were not in the batch; a codebook that nothing uses stands still."""
    latents = noise((2, 16, 24), 1)
    models = made(), made()
    averages = [CodebookAverages(model, decay=0.5) for model in models]
    n_active = torch.tensor([1, 2])
    averages[0].update(models[0].quantizer(latents, n_active).codes, n_active)
    twice = latents[1:].expand(2, -1, -1)  # the same even start, half of it masked
    n_active = torch.tensor([0, 2])
    averages[1].update(models[1].quantizer(twice, n_active).codes, n_active)
    ours, theirs = map(tables, models)
    assert not torch.allclose(ours[0], theirs[0])
    assert torch.allclose(ours[1], theirs[1])
    assert torch.equal(ours[2], tables(made())[2])
    assert (averages[0].state_dict()["counts"][2] == 48 / 16).all()


def test_an_entry_out_of_use_stays_finite():
    """Its weight decays below what a float holds; it stays where it is."""
    model, latents = made(), noise((1, 16, 8), 1)
    averages = CodebookAverages(model, decay=0.1)
    for _ in range(120):
        codes = model.quantizer(latents, ALL).codes
        averages.update(codes, ALL)
    assert averages.state_dict()["counts"].min() == 0
    unused = torch.ones(16, dtype=torch.bool)
    unused[codes[0, 0]] = False
    assert tables(model).isfinite().all()
    assert (tables(model)[0][unused].norm(dim=-1) > 0.1).all()


@pytest.mark.parametrize("kind", [CodebookAverages, DeadEntries])
def test_state_goes_on_where_it_was(kind):
    """Saved before any update and after some: the next update gives the same."""
    latents = noise((1, 16, 40), 1)

    def go(model, guest, steps):
        for step in steps:
            codes = model.quantizer(latents, ALL).codes
            guest.update(codes, ALL, *((step,) if kind is DeadEntries else ()))

    for n_before in (0, 30):
        whole = made()
        guest = kind(whole, decay=0.8)
        go(whole, guest, range(n_before))
        resumed, state = made(1), guest.state_dict()
        resumed.load_state_dict(whole.state_dict())
        other = kind(resumed, decay=0.8)
        other.load_state_dict(state)
        go(whole, guest, range(n_before, 60))
        go(resumed, other, range(n_before, 60))
        assert not torch.equal(tables(whole), tables(made()))
        assert torch.equal(tables(whole), tables(resumed))


def test_only_the_training_model_is_watched():
    """A copy of it, or a pass in eval mode, changes nothing in what an update sees."""
    model, latents = made(), noise((1, 16, 40), 1)
    averages, still = CodebookAverages(model, decay=0.5), made()
    others = CodebookAverages(still, decay=0.5)
    for each, guest in ((model, averages), (still, others)):
        codes = each.quantizer(latents, ALL).codes
        if each is model:
            copy.deepcopy(model).quantizer(latents + 1, ALL)
            model.eval().quantizer.encode(latents + 1)
        guest.update(codes, ALL)
    assert torch.equal(tables(model), tables(still))


def test_an_update_needs_a_pass():
    """Before the first one there is nothing to follow."""
    with pytest.raises(ArgumentError, match="training pass"):
        CodebookAverages(made(), 0.5).update(torch.zeros(1, 3, 4, dtype=torch.int64), ALL)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler's own
def test_watching_works_with_a_compiled_encoder():
    """The quantizer itself is not compiled: tables as without compiling."""
    results, audio = [], 0.1 * noise((2, 1, 512), 1)
    for compiled in (False, True):
        model = made()
        averages = CodebookAverages(model, decay=0.5)
        if compiled:
            model.encoder.compile(backend="eager")
        averages.update(model(audio, ALL.expand(2)).quantized.codes, ALL.expand(2))
        results.append(tables(model))
    torch.testing.assert_close(*results)


def crowded() -> tuple[DAC, Tensor]:
    """A model whose first codebook has one entry at the latents and all others behind them."""
    model, latents = made(), noise((2, 16, 64), 1)
    stage = model.quantizer.stages[0]
    with torch.no_grad():
        mean = stage.in_proj.weight.new_ones(8)
        stage.in_proj.bias.copy_(8 * mean)
        stage.codebook.weight.copy_(-mean.expand(16, 8))
        stage.codebook.weight[3] = mean
    return model, latents


def test_dead_entries_come_alive():
    """After some steps without use they take vectors of the step, and are chosen."""
    model, latents = crowded()
    dead, n_active = DeadEntries(model, threshold=0.1, decay=0.8), ALL.expand(2)
    revived = []
    for step in range(60):
        codes = model.quantizer(latents, n_active).codes
        if step == 0:
            assert codes[:, 0].unique().tolist() == [3]
        revived.append(dead.update(codes, n_active, step))
        if revived[-1] and sum(revived) == revived[-1]:
            vectors = model.quantizer.stages[0].in_proj(latents).transpose(1, 2).reshape(-1, 8)
            table = tables(model)[0]
            assert torch.cdist(table, vectors).min(dim=1).values[torch.arange(16) != 3].max() < 1e-3
            assert len(table.unique(dim=0)) == 16
    assert revived[: int(math.log(0.1) / math.log(0.8))] == [0] * 10
    assert revived[10] >= 15
    assert len(model.quantizer(latents, n_active).codes[:, 0].unique()) > 12


def test_revival_follows_from_seed_and_step():
    """Equal for equal seed and step, different otherwise."""

    def table(seed: int, step: int) -> Tensor:
        model, latents = crowded()
        dead = DeadEntries(model, threshold=0.5, decay=0.4, seed=seed)
        dead.update(model.quantizer(latents, ALL.expand(2)).codes, ALL.expand(2), step)
        return tables(model)[0]

    assert torch.equal(table(0, 5), table(0, 5))
    assert not torch.equal(table(0, 5), table(1, 5))
    assert not torch.equal(table(0, 5), table(0, 6))


def test_a_codebook_that_nothing_uses_is_not_revived():
    """Dropout that leaves a codebook out for long says nothing about its entries."""
    model, latents = made(), noise((2, 16, 64), 1)
    dead, n_active = DeadEntries(model, threshold=0.2, decay=0.5), torch.tensor([1, 2])
    for step in range(20):
        dead.update(model.quantizer(latents, n_active).codes, n_active, step)
    before, after = tables(made()), tables(model)
    assert not torch.equal(before[1], after[1])
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize("euclidean", [False, True])
def test_codebooks_start_at_the_means_of_real_latents(euclidean):
    """Every entry is used, and the quantization error is far below a random start's."""
    model, audio = made(), 0.1 * noise((4, 1, 4096), 2)
    if euclidean:
        use_euclidean_lookup(model)
    usage = CodebookUsage(CONFIG.n_codebooks, CONFIG.codebook_size)
    before = model(audio, ALL.expand(4)).quantized.codebook_loss
    init_codebooks(model, audio, torch.Generator().manual_seed(0))
    after = model(audio, ALL.expand(4)).quantized
    usage.update(after.codes)
    assert after.codebook_loss < 0.2 * before
    assert usage.used_share().min() > 0.9
    assert usage.efficiency() > 0.75


def test_the_start_is_deterministic_and_needs_enough_audio():
    """One generator seed, one result; fewer frames than entries are refused."""
    results = []
    for _ in range(2):
        model = made()
        init_codebooks(model, noise((1, 1, 4096), 2), torch.Generator().manual_seed(7))
        results.append(tables(model))
    assert torch.equal(*results)
    with pytest.raises(ArgumentError, match="at least 16"):
        init_codebooks(model, noise((1, 1, 480), 2), torch.Generator())


def in_a_process(rank: int, world: int, folder: str) -> None:
    """Start, averages and revival on this process's part of each batch; saves the tables."""
    torch.set_num_threads(1)
    if world > 1:
        store = f"file://{folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    model = made()
    audio = 0.1 * noise((2, 1, 2048), 9)[rank : rank + 1]
    init_codebooks(model, audio, torch.Generator().manual_seed(rank))
    results = [tables(model)]
    averages, dead = CodebookAverages(model, decay=0.6), DeadEntries(model, 0.4, 0.6)
    part = slice(None) if world == 1 else slice(2 * rank, 2 * rank + 2)
    for name in ("averages", "dead"):
        model.load_state_dict(made().state_dict())
        for step in range(8):
            n_active = torch.tensor([1, 3, 2, 3])[part]
            codes = model.quantizer(noise((4, 16, 40), step)[part], n_active).codes
            averages.update(codes, n_active)
            if name == "dead":
                dead.update(codes, n_active, step)
        results.append(tables(model))
    torch.save(results, f"{folder}/{world}_{rank}.pt")
    if world > 1:
        dist.destroy_process_group()


def test_processes_stay_equal(tmp_path: Path):
    """Two processes have equal tables after each update, and the averages of the whole batch."""
    mp.spawn(in_a_process, args=(2, str(tmp_path)), nprocs=2)
    in_a_process(0, 1, str(tmp_path))
    first, second, alone = (torch.load(tmp_path / f"{name}.pt") for name in ("2_0", "2_1", "1_0"))
    for ours, theirs in zip(first, second, strict=True):
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(first[1], alone[1])
    assert not torch.allclose(first[2], first[1])  # some entries were revived


def test_codebooks_without_factorization_learn():
    """codebook_dim of the latent's size (paper, Table 2): gradients for all parts, averages too."""
    torch.manual_seed(0)
    model = DAC(replace(CONFIG, codebook_dim=CONFIG.latent_dim))
    averages, dead = CodebookAverages(model, 0.9), DeadEntries(model)
    result = model(0.1 * noise((2, 1, 512), 1), ALL.expand(2))
    vq_loss = result.quantized.commitment_loss + result.quantized.codebook_loss
    (result.audio.abs().mean() + vq_loss).backward()
    averages.update(result.quantized.codes, ALL.expand(2))
    dead.update(result.quantized.codes, ALL.expand(2), 0)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert tables(model).shape == (3, 16, 16)
