"""A run in its folder: it resumes exactly, writes figures down, never spoils a checkpoint."""

import pytest
import torch

from audiocodec.errors import ModelError
from audiocodec.lab.train import checkpoints
from audiocodec.lab.train.discriminators import Discriminators
from audiocodec.lab.train.logs import read_log
from audiocodec.lab.train.loop import Loop
from audiocodec.lab.train.trainer import Trainer, TrainingDiverged
from tests.lab.train.micro import CONFIG, CRITICS, chords, settings

HELD_OUT = chords(99)


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Every weight of a trainer by name."""
    parts = {"model": trainer.model, "critics": trainer.discriminators}
    if trainer.average is not None:
        parts["average"] = trainer.average.model
    return {f"{k}.{n}": v for k, part in parts.items() for n, v in part.state_dict().items()}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"muon": True, "weight_norm": True},
        {"codebook_decay": 0.9, "codebook_weight": 0.0, "revive": 0.9},
        {"rotation": True, "average": 0.0},
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(make_trainer, tmp_path, changed):
    """Weights, averages, discriminators and figures are the same to the bit."""
    whole, first = make_trainer(**changed), make_trainer(**changed)
    (tmp_path / "parts").mkdir()
    (tmp_path / "whole").mkdir()
    Loop(whole, tmp_path / "whole").run()
    for _ in range(3):
        first.train_step()
    checkpoints.save(first, tmp_path / "parts" / checkpoints.LATEST)
    resumed = make_trainer(seed=1, **changed)
    Loop(resumed, tmp_path / "parts").run()
    assert resumed.step == whole.step == 6
    expected = state_of(whole)
    assert all(torch.equal(value, expected[name]) for name, value in state_of(resumed).items())
    last = [read_log(tmp_path / name)[-1] for name in ("whole", "parts")]
    assert last[0]["total"] == last[1]["total"]


def test_figures_sounds_and_the_best_checkpoint_are_kept(make_trainer, tmp_path):
    """A line every log_every steps; held-out figures; event files; checkpoints to read."""
    Loop(make_trainer(keep_every=4), tmp_path, HELD_OUT).run()
    lines = read_log(tmp_path)
    assert [line["step"] for line in lines] == [2, 4, 6]
    for name in ("mel", "norm", "lr_networks", "entropy_3", "used_1", "efficiency", "seconds"):
        assert name in lines[-1]
    held_out = read_log(tmp_path, "held_out")
    assert [line["step"] for line in held_out] == [3, 6]
    best = checkpoints.read(tmp_path / checkpoints.BEST)
    assert best["mel"] == pytest.approx(min(line["mel"] for line in held_out), rel=1e-4)
    assert checkpoints.read(tmp_path / "step_4.pt")["step"] == 4
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_loss_that_is_not_finite_keeps_the_checkpoint_and_the_batch(make_trainer, tmp_path):
    """The run stops; the last checkpoint stays as it was; the batch lies beside it."""
    Loop(make_trainer(), tmp_path).run()
    before = (tmp_path / checkpoints.LATEST).read_bytes()
    broken = make_trainer(steps=9, batch=lambda step: chords(0) * float("nan"))
    with pytest.raises(TrainingDiverged, match="step 6"):
        Loop(broken, tmp_path).run()
    assert (tmp_path / checkpoints.LATEST).read_bytes() == before
    saved = torch.load(tmp_path / "diverged_6_0.pt", weights_only=True)
    assert saved["audio"].isnan().all()
    assert saved["step"] == 6


def test_checkpoints_of_other_models_are_refused(make_trainer, tmp_path):
    """Also files that are no checkpoint, and discriminators of another width."""
    path = tmp_path / checkpoints.LATEST
    trainer = make_trainer()
    checkpoints.save(trainer, path)
    other = Trainer(
        trainer.model, chords, settings(), Discriminators(type(CRITICS)(periods=(3,), fft_sizes=()))
    )
    with pytest.raises(ModelError, match="other widths"):
        checkpoints.load(other, path)
    state = torch.load(path, weights_only=True)
    torch.save(state | {"config": {**CONFIG.to_dict(), "n_codebooks": 2}}, path)
    with pytest.raises(ModelError, match="another model"):
        checkpoints.load(trainer, path)
    torch.save({"step": 3}, path)
    with pytest.raises(ModelError, match="not a checkpoint"):
        checkpoints.load(trainer, path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelError, match="not a file that torch"):
        checkpoints.load(trainer, path)
    for changes in ({"step": "x"}, {"model": 5}, {"optimizers": 5}, {"config": None}):
        torch.save(state | changes, path)
        with pytest.raises(ModelError, match=r"checkpoint\.pt: ") as caught:
            checkpoints.load(trainer, path)
        assert str(caught.value).isprintable()
    state["model"]["quantizer.stages.0.codebook.weight"] = torch.zeros(1).expand(2**30, 2**10)
    torch.save(state, path)
    with pytest.raises(ModelError, match="is larger than what is stored"):
        checkpoints.load(trainer, path)


@pytest.mark.parametrize("changed", [{}, {"weight_norm": True}, {"average": 0.0}])
def test_the_model_of_a_checkpoint_can_be_had(make_trainer, tmp_path, changed):
    """It is the one that the trainer would export."""
    trainer = make_trainer(**changed)
    trainer.train_step()
    checkpoints.save(trainer, tmp_path / "a.pt")
    ours, theirs = checkpoints.trained_model(tmp_path / "a.pt"), trainer.best_model()
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
