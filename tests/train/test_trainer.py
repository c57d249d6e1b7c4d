"""Training: it learns, resumes exactly, stops before it spoils a checkpoint."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audiocodec import ModelConfig
from audiocodec.errors import ModelError
from audiocodec.model.network import DAC
from audiocodec.train.muon import orthogonal
from audiocodec.train.trainer import (
    CHECKPOINT,
    CodebookAverages,
    Trainer,
    TrainingDiverged,
    TrainSettings,
    active_codebooks,
)

CONFIG = ModelConfig(
    sample_rate=16000,
    encoder_dim=4,
    encoder_strides=(4, 8),
    decoder_dim=32,
    decoder_strides=(8, 4),
    n_codebooks=3,
    codebook_size=16,
)
SETTINGS = TrainSettings(
    steps=6,
    batch_size=2,
    lr=3e-3,
    complex_weight=5.0,
    codebook_decay=0.9,
    average=0.5,
    log_every=2,
    save_every=3,
)


def batch(step: int) -> Tensor:
    """Two chords, (2, 1, 2048), the same at every step but for noise."""
    generator = torch.Generator().manual_seed(step)
    time_s = torch.arange(2048) / CONFIG.sample_rate
    hz = torch.tensor([[220.0, 330.0], [440.0, 550.0]])[..., None]
    chords = 0.2 * torch.sin(2 * torch.pi * hz * time_s).sum(dim=1, keepdim=True)
    return chords + 0.01 * torch.randn(2, 1, 2048, generator=generator)


def trainer(settings: TrainSettings = SETTINGS, seed: int = 0) -> Trainer:
    """A trainer of a micro model with seeded weights."""
    torch.manual_seed(seed)
    return Trainer(DAC(CONFIG), batch, settings)


@pytest.mark.parametrize("muon", [False, True])
def test_a_few_steps_lower_the_loss(muon):
    """With AdamW alone and with Muon for the matrices."""
    made = trainer(replace(SETTINGS, steps=1000, muon=muon))
    totals = [made.train_step()["total"] for _ in range(12)]
    assert np.mean(totals[-3:]) < 0.95 * np.mean(totals[:3])


@pytest.mark.parametrize("changed", [{}, {"muon": True}, {"codebook_decay": 0.0}])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, changed):
    """Weights, averages and optimiser are the same to the bit."""
    settings = replace(SETTINGS, **changed)
    whole = trainer(settings)
    whole.run(tmp_path / "whole")
    first = trainer(settings)
    for _ in range(3):
        first.train_step()
    first.save(tmp_path / CHECKPOINT)
    resumed = trainer(settings, seed=1)
    resumed.run(tmp_path)
    assert resumed.step == whole.step == 6
    for kind in ("model", "averaged"):
        ours, theirs = getattr(resumed, kind).state_dict(), getattr(whole, kind).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_progress_is_logged(tmp_path):
    """A line every log_every steps names step, losses and learning rate."""
    trainer().run(tmp_path)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["2", "4", "6"]
    assert all(" mel " in line and " lr " in line for line in lines)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    """The run stops with a message; weights and checkpoint stay as they were."""
    made = trainer()
    made.run(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    made.settings, made.batch = replace(SETTINGS, steps=9), lambda _step: batch(0) * float("nan")
    weights = {name: value.clone() for name, value in made.model.state_dict().items()}
    with pytest.raises(TrainingDiverged, match="step 6"):
        made.run(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert all(torch.equal(made.model.state_dict()[name], weights[name]) for name in weights)


def test_checkpoints_of_other_models_are_refused(tmp_path):
    """Also files that are no checkpoint."""
    trainer().save(tmp_path / CHECKPOINT)
    other = Trainer(DAC(replace(CONFIG, n_codebooks=2)), batch, SETTINGS)
    with pytest.raises(ModelError, match="another model"):
        other.load(tmp_path / CHECKPOINT)
    Path(tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        trainer().load(tmp_path / CHECKPOINT)


def test_the_quantizer_waits_and_then_moves():
    """Its projections stand still until quantizer_from; the networks do not."""
    made = trainer(replace(SETTINGS, quantizer_from=1))
    stage, unit = made.model.quantizer.stages[0], made.model.encoder.conv_out
    before = stage.in_proj.weight.clone(), unit.weight.clone()
    made.train_step()
    assert torch.equal(stage.in_proj.weight, before[0])
    assert not torch.equal(unit.weight, before[1])
    made.train_step()
    assert not torch.equal(stage.in_proj.weight, before[0])


def test_codebooks_follow_the_vectors_that_choose_them():
    """With decay 0.5 and still vectors, every entry that is chosen comes to their mean."""
    torch.manual_seed(0)
    model = DAC(CONFIG)
    averages, latents = CodebookAverages(model, decay=0.5), torch.randn(1, 16, 50)
    for _ in range(40):
        averages.update(model.quantizer(latents, torch.tensor([3])).codes)
    stage = model.quantizer.stages[0]
    vectors = stage.in_proj(latents)[0].T
    chosen = stage.nearest(vectors.T[None])[0]
    for code in chosen.unique():
        mean = vectors[chosen == code].mean(dim=0)
        assert torch.allclose(stage.codebook.weight[code], mean, atol=1e-3)


def test_learning_rate_rises_then_falls_to_zero():
    """Linear warm-up, half a cosine."""
    settings = TrainSettings(steps=100, lr=1.0, warmup=9)
    assert settings.lr_at(0) == pytest.approx(0.1)
    assert settings.lr_at(50) == pytest.approx(0.5)
    assert settings.lr_at(100) == 0


@given(
    n_items=st.integers(1, 40),
    n_codebooks=st.integers(1, 32),
    dropout=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_quantizer_dropout_takes_the_first_items(n_items, n_codebooks, dropout, seed):
    """The given share draws from 1 to all codebooks, the rest use all."""
    active = active_codebooks(np.random.default_rng(seed), n_items, n_codebooks, dropout)
    assert active.shape == (n_items,)
    assert active.min() >= 1
    assert active.max() <= n_codebooks
    assert (active[int(n_items * dropout) :] == n_codebooks).all()


@given(rows=st.integers(16, 40), columns=st.integers(16, 40), seed=st.integers(0, 99))
def test_muon_moves_all_directions_alike(rows, columns, seed):
    """Singular values are near one another, at the RMS of an AdamW update."""
    gradient = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    update = orthogonal(gradient)
    values = torch.linalg.svdvals(update) / (0.2 * max(rows, columns) ** 0.5)
    assert values.max() < 1.4
    assert values.median() > 0.5
