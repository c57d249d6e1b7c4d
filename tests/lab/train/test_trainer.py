"""A training step: it learns, plays against discriminators, and stops before it spoils anything."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.lab.train.settings import Optimisation
from audiocodec.lab.train.trainer import TrainingDiverged, active_codebooks

RECONSTRUCTION = {"adversarial_weight": 0.0, "feature_weight": 0.0}


@pytest.mark.parametrize("changed", [{}, {"muon": True}, {"weight_norm": True}, {"rotation": True}])
def test_a_few_steps_lower_the_loss(make_trainer, changed):
    """By AdamW alone, with Muon for the matrices, and as direction and length."""
    trainer = make_trainer(steps=1000, **RECONSTRUCTION, **changed)
    totals = [trainer.train_step()["total"] for _ in range(15)]
    assert np.mean(totals[-3:]) < 0.95 * np.mean(totals[:3])


def test_discriminators_learn_and_are_learned_from(make_trainer):
    """Their loss falls while the codec hardly moves; the codec gets losses from them."""
    trainer = make_trainer(steps=1000, lr=1e-5, lr_discriminators=500.0)
    figures = [trainer.train_step() for _ in range(15)]
    assert figures[-1]["discriminator"] < 0.9 * figures[0]["discriminator"]
    assert all(f["adversarial"] > 0 and f["feature"] > 0 for f in figures)


def test_the_adversary_joins_when_it_is_told_to(make_trainer):
    """Before that step neither its weights nor its losses take part."""
    trainer = make_trainer(adversary_from=1)
    before = [p.clone() for p in trainer.discriminators.parameters()]
    assert "adversarial" not in trainer.train_step()
    assert all(map(torch.equal, trainer.discriminators.parameters(), before))
    assert "adversarial" in trainer.train_step()
    assert not all(map(torch.equal, trainer.discriminators.parameters(), before))


def test_the_codec_step_leaves_discriminators_alone(make_trainer):
    """Gradients of the codec's losses do not move them: with their own rate at zero they stay."""
    trainer = make_trainer(lr_discriminators=0.0, weight_decay=0.0)
    before = [p.clone() for p in trainer.discriminators.parameters()]
    trainer.train_step()
    assert all(map(torch.equal, trainer.discriminators.parameters(), before))


def test_a_loss_that_is_not_finite_moves_nothing(make_trainer):
    """The step raises, naming what is wrong; the codec's weights stay as they were."""
    trainer = make_trainer(batch=lambda step: torch.full((2, 1, 2048), float("nan")))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    with pytest.raises(TrainingDiverged, match="step 0: discriminator"):
        trainer.train_step()
    assert all(torch.equal(trainer.model.state_dict()[name], before[name]) for name in before)
    assert trainer.step == 0


def test_the_quantizer_waits_and_then_moves(make_trainer):
    """Its projections stand still until quantizer_from; the networks do not."""
    trainer = make_trainer(quantizer_from=1)
    stage, conv = trainer.model.quantizer.stages[0], trainer.model.encoder.conv_out
    before = stage.in_proj.weight.clone(), conv.weight.clone()
    trainer.train_step()
    assert torch.equal(stage.in_proj.weight, before[0])
    assert not torch.equal(conv.weight, before[1])
    trainer.train_step()
    assert not torch.equal(stage.in_proj.weight, before[0])


def test_dead_entries_are_revived_on_the_way(make_trainer):
    """An entry far from everything comes back; how many did is among the figures."""
    trainer = make_trainer(revive=0.9, codebook_decay=0.9, codebook_weight=0.0)
    table = trainer.model.quantizer.stages[0].codebook.weight
    figures = [trainer.train_step() for _ in range(15)]
    assert sum(f["revived"] for f in figures) > 0
    assert table.isfinite().all()


def test_bfloat16_networks_keep_losses_in_float32(make_trainer):
    """The reconstruction is float32 again, close to that of float32 networks."""
    half = make_trainer(precision="bfloat16").train_step()
    full = make_trainer().train_step()
    assert half["mel"] == pytest.approx(full["mel"], rel=0.05)
    assert half["mel"] != full["mel"]


def test_what_is_exported_is_plain(make_trainer):
    """Without weight norm and gradients, with the values of the moving average."""
    trainer = make_trainer(weight_norm=True)
    trainer.train_step()
    model = trainer.best_model()
    names = set(model.state_dict())
    assert "encoder.conv_in.weight" in names
    assert not any("parametrizations" in name for name in names)
    ours = trainer.average.model.encoder.conv_in.weight
    assert torch.allclose(model.encoder.conv_in.weight, ours)


def test_learning_rate_rises_then_falls():
    """Linear warm-up; half a cosine to zero, or the published exponential."""
    cosine = Optimisation(steps=100, lr=1.0, warmup=9, schedule="cosine")
    assert cosine.lr_at(0) == pytest.approx(0.1)
    assert cosine.lr_at(50) == pytest.approx(0.5)
    assert cosine.lr_at(100) == 0
    assert Optimisation().lr_at(250_000) == pytest.approx(3.7e-5, rel=0.01)


@given(
    n_items=st.integers(1, 40),
    n_codebooks=st.integers(1, 32),
    dropout=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_quantizer_dropout_takes_its_share_of_items(n_items, n_codebooks, dropout, seed):
    """At most the given share draws from 1 to all codebooks, the rest use all."""
    active = active_codebooks(np.random.default_rng(seed), n_items, n_codebooks, dropout)
    assert active.shape == (n_items,)
    assert active.min() >= 1
    assert active.max() <= n_codebooks
    assert (active == n_codebooks).sum() >= n_items - int(n_items * dropout)


def test_quantizer_dropout_is_not_always_the_first_items():
    """The first items of a batch are the full-band ones."""
    rng = np.random.default_rng(0)
    dropped = sum((active_codebooks(rng, 8, 9, 0.5) < 9).int() for _ in range(400))
    assert dropped.min() > 130
    assert dropped.max() < 220
