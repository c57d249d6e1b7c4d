"""A training plan: what is refused, when, and what a run leaves behind."""

import errno
import io
import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.errors import ArgumentError, AudioError, CodecError, OutputError
from audiocodec.files import output_file
from audiocodec.lab.train import checkpoints
from audiocodec.lab.train import run as running
from audiocodec.lab.train.run import TrainingPlan, run
from audiocodec.lab.train.settings import DiscriminatorSettings, Running, Sampling
from tests.lab.train.micro import CONFIG, settings

RECIPE = Sampling("speech=3 music=2 environment=1", full_band_share=0.17, excerpt_s=0.15)


@pytest.fixture
def plan(tmp_path) -> TrainingPlan:
    """One step on a user's music at 16 kHz, by a recipe for three classes."""
    folder = tmp_path / "music"
    folder.mkdir()
    sf.write(folder / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    narrow = DiscriminatorSettings("2", "512", period_width=2, band_width=4)
    return TrainingPlan(
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
    """Two lines say what was fitted; plan.json has the settings that were used."""
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


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("given", "changed", "words"),
    [
        (("sample_rate", "n_codebooks"), {"init_from": "x"}, "--sample-rate, --n-codebooks: .* x"),
        (("init",), {"init_from": "x"}, "--init: "),
        (("listen_every",), {}, "without --valid"),
        (("gamma",), {"schedule": "cosine"}, "--schedule exponential, not cosine"),
        (("periods",), {"adversarial_weight": 0, "feature_weight": 0}, "no discriminators"),
        (("adversary_from",), {"adversary_from": 5}, "ends before it, after 1 steps"),
        (("mel_ramp",), {"mel_weight": 0}, "--mel-weight is 0"),
        (("complex_exponent",), {"complex_weight": 0}, "--complex-weight is 0"),
        (("codebook_weight",), {"codebook_decay": 0.9}, "by averages"),
        (("revive_decay",), {}, "--revive is 0"),
        (("scale_width",), {}, "--rates is empty"),
        (("cache_gib",), {}, "no --cache"),
    ],
)
def test_a_setting_without_effect_is_refused_where_the_user_gave_it(plan, given, changed, words):
    """With the reason; a recipe may hold it."""
    for part in ("losses", "optimisation", "quantizer"):
        own = {k: v for k, v in changed.items() if hasattr(getattr(plan.settings, part), k)}
        new = replace(getattr(plan.settings, part), **own)
        plan = replace(plan, settings=replace(plan.settings, **{part: new}))
    plan = replace(plan, init_from=changed.get("init_from", ""))
    with pytest.raises(ArgumentError, match=words):
        replace(plan, insisted=given)
    assert replace(plan, recipe=given).recipe == given


def test_a_plan_says_the_shape_that_is_trained(plan, tmp_path, capsys):
    """That of the model to start from; where a recipe has another, a line says so."""
    run(plan)
    start, other = str(plan.out / "model"), replace(plan.network, n_codebooks=1)
    capsys.readouterr()
    tuned = replace(plan, out=tmp_path / "tuned", init_from=start, network=other)
    run(replace(tuned, recipe=("n_codebooks", "steps")))
    assert f"that of {start}; the recipe's n_codebooks not used" in capsys.readouterr().err
    written = json.loads((tmp_path / "tuned" / "plan.json").read_text())
    assert written["network"]["n_codebooks"] == plan.network.n_codebooks
    with pytest.raises(ArgumentError, match="lies in --out"):
        replace(plan, init_from=start)


@pytest.mark.parametrize("n_checkpoints", [0, 1])
def test_a_full_disk_is_told_with_the_checkpoint_that_is_good(plan, monkeypatch, n_checkpoints):
    """Torch's zip writer only says that a position is not the one that it expected."""

    class Full(io.BytesIO):
        def write(self, data):
            if self.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    @contextmanager
    def on_full_disk(path, overwrite):
        with output_file(path, overwrite) as file:
            yield file if path.exists() < n_checkpoints else Full()

    monkeypatch.setattr(checkpoints, "output_file", on_full_disk)
    plan = replace(plan, settings=replace(settings(steps=2), running=Running(save_every=1)))
    words = (
        r"is intact, from step 1: the same command resumes" if n_checkpoints else "no checkpoint"
    )
    with pytest.raises(OutputError, match=f"no space left on the disk; .*{words}"):
        run(plan)
