"""A plan put into practice: what is refused, when, and what it leaves behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError, CodecError, OutputError
from audiocodec.lab.train import run as running
from audiocodec.lab.train.run import Plan, run
from audiocodec.lab.train.settings import DiscriminatorSettings, Sampling
from tests.lab.train.micro import CONFIG, settings

RECIPE = Sampling("speech=3 music=2 environment=1", full_band_share=0.17, excerpt_s=0.15)


@pytest.fixture
def plan(tmp_path) -> Plan:
    """One step on a user's music at 16 kHz, by a recipe for three classes."""
    folder = tmp_path / "music"
    folder.mkdir()
    sf.write(folder / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    narrow = DiscriminatorSettings("2", "512", period_width=2, band_width=4)
    return Plan(
        (f"music={folder}",),
        tmp_path / "runs" / "run",
        CONFIG,
        settings(steps=1),
        RECIPE,
        narrow,
        device="cpu",
    )


@pytest.fixture
def no_model(monkeypatch):
    """A test that asks for a model fails."""

    def asked(name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    monkeypatch.setattr(running, "resolve", asked)


def test_a_recipe_for_more_classes_starts(plan, capsys):
    """Two lines say what was fitted; the plan that is written has what was used."""
    assert run(plan) == plan.out / "model"
    said = capsys.readouterr().err
    assert "no recordings of speech, environment: their shares are dropped, music=2 is" in said
    assert "the full-band share is lowered from 0.17 to 0:" in said
    assert '"shares": "music=2"' in (plan.out / "plan.json").read_text()


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"insisted": ("shares",)}, "--shares: no recordings of class speech, environment"),
        ({"insisted": ("full_band_share",)}, r"--full-band-share 0\.17, but"),
        ({"sampling": replace(RECIPE, shares="music=0")}, "--shares 'music=0'"),
        ({"sampling": replace(RECIPE, shares="music")}, "--shares 'music' does not look like"),
        ({"sampling": replace(RECIPE, full_band_share=2.0)}, r"--full-band-share 2\.0"),
        ({"sampling": replace(RECIPE, balance="fair")}, "--balance 'fair'"),
        ({"data": ("music=nowhere",)}, "nowhere"),
        ({"valid": ("music=nowhere",)}, "nowhere"),
        ({"device": "no_device"}, "device 'no_device' cannot be used here"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_fetched(plan, tmp_path, changed, words):
    """In one line, and without a trace of the run's folder or of the one that it lies in."""
    with pytest.raises((ArgumentError, AudioError), match=words) as caught:
        run(replace(plan, init_from="owner/name", **changed))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["music"]


def test_a_run_that_is_refused_leaves_the_folder_that_was_there(plan):
    """Empty or not."""
    plan.out.mkdir(parents=True)
    with pytest.raises(CodecError):
        run(replace(plan, init_from=str(plan.out / "no_model.pth")))
    assert plan.out.is_dir()


def test_a_folder_that_cannot_be_made_is_refused(plan, tmp_path):
    """Before anything else."""
    (tmp_path / "file").write_text("")
    for out in (Path("file"), Path("file", "run")):
        with pytest.raises(OutputError, match="cannot be made"):
            run(replace(plan, out=tmp_path / out))


def test_no_cuda_is_said_as_by_encode(plan, monkeypatch, tmp_path):
    """By the same line, also for a process that would have a later GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def refuse(name: str) -> None:
        raise ArgumentError(f"device {name!r} cannot be used here: none")

    monkeypatch.setattr("audiocodec.lab.train.distributed.pick_device", refuse)
    with pytest.raises(ArgumentError, match="device 'cuda' cannot be used here"):
        run(replace(plan, device="cuda"))
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(ArgumentError, match="device 'cuda:3' cannot be used here"):
        run(replace(plan, device="cuda"))
    assert [path.name for path in tmp_path.iterdir()] == ["music"]
