"""`audiocodec train` as a person runs it: whole, resumed, fine-tuned, on two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec import Codec, ModelConfig
from audiocodec.lab.train.logs import read_log

SMALL = """
sample_rate: 16000
encoder_dim: 4
decoder_dim: 32
strides: 4 8
n_codebooks: 3
codebook_size: 64
periods: 2
fft_sizes: 512
period_width: 2
band_width: 4
steps: 4
batch_size: 4
lr: 1.0e-3
excerpt_s: 0.15
log_every: 1
save_every: 2
average: 0.5
"""


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """A folder with music at two rates and speech in a folder of its own, and a recipe."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)
    for i, (kind, rate) in enumerate([("music", 44100), ("music", 16000), ("speech", 16000)]):
        (folder / kind).mkdir(exist_ok=True)
        time_s = np.arange(2 * rate) / rate
        tone = np.sin(2 * np.pi * 200 * (i + 1) * time_s) + 0.1 * rng.standard_normal(2 * rate)
        sf.write(folder / kind / f"{i}.wav", 0.2 * tone, rate)
    (folder / "small.yml").write_text(SMALL)
    return folder


def command(material: Path, out: Path, *more: str) -> list[str]:
    """Arguments of the command."""
    data = f"music={material / 'music'},speech={material / 'speech'}"
    recipe = str(material / "small.yml")
    return ["train", "--args.load", recipe, "--data", data, "--out", str(out), *more]


def run(arguments: list[str], *launcher: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with one thread."""
    return subprocess.run(
        [sys.executable, *launcher, "-m", "audiocodec", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )


@pytest.fixture(scope="module")
def trained(material, tmp_path_factory) -> Path:
    """A run of four steps."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = run(command(material, out, "--valid", f"music={material / 'music'}"))
    assert done.returncode == 0, done.stderr
    return out


def test_a_run_leaves_a_codec_its_figures_and_its_plan(trained):
    """Figures of every step, settings as they were used, and a model that codes audio."""
    assert [line["step"] for line in read_log(trained)] == [1, 2, 3, 4]
    assert json.loads((trained / "plan.json").read_text())["settings"]["optimisation"]["steps"] == 4
    codec = Codec.from_pretrained(trained / "model", device="cpu")
    assert codec.encode(np.zeros((1, 1, 640), np.float32)).shape == (1, 3, 20)


def test_two_processes_lose_what_one_loses(trained, material, tmp_path):
    """torchrun with gloo: the same losses at every step, from halves of the same batches."""
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    done = run(command(material, tmp_path / "two"), *launcher)
    assert done.returncode == 0, done.stderr[-2000:]
    for one, two in zip(read_log(trained), read_log(tmp_path / "two"), strict=True):
        for name in ("mel", "discriminator", "adversarial", "feature", "codebook", "total", "norm"):
            assert two[name] == pytest.approx(one[name], rel=2e-4), (one["step"], name)


def test_a_stopped_run_goes_on(trained, material, tmp_path):
    """The same command with more steps continues; the first steps are not repeated."""
    short = run(command(material, tmp_path / "run", "--steps", "2"))
    assert short.returncode == 0, short.stderr
    assert run(command(material, tmp_path / "run")).returncode == 0
    again, whole = read_log(tmp_path / "run"), read_log(trained)
    assert [line["total"] for line in again] == [line["total"] for line in whole]


def test_fine_tuning_starts_from_a_model(trained, material, tmp_path):
    """Its shape overrides the recipe's, with a message; discriminators come from a checkpoint."""
    more = ["--init-from", str(trained / "model"), "--steps", "1"]
    more += ["--init-discriminators", str(trained / "checkpoint.pt"), "--lr", "1e-9"]
    done = run(command(material, tmp_path / "tuned", *more))
    assert done.returncode == 0, done.stderr
    tuned = Codec.from_pretrained(tmp_path / "tuned" / "model", device="cpu")
    before = Codec.from_pretrained(trained / "model", device="cpu")
    assert tuned.config == before.config
    plan = json.loads((tmp_path / "tuned" / "plan.json").read_text())
    assert ModelConfig.from_dict(plan["network"]) == before.config
    assert "init" not in plan
    wave = 0.1 * np.random.default_rng(1).standard_normal((1, 1, 6400)).astype(np.float32)
    assert np.array_equal(tuned.encode(wave), before.encode(wave))


def test_published_weights_can_be_tuned(material, data, tmp_path):
    """Also those of the 16 kHz layout, whose published decoder comes out short."""
    weights = data / "golden" / "dac_16khz_small" / "weights.pth"
    more = ["--init-from", str(weights), "--weight-norm", "--steps", "1"]
    done = run(command(material, tmp_path / "tuned", *more))
    assert done.returncode == 0, done.stderr
    tuned = Codec.from_pretrained(tmp_path / "tuned" / "model", device="cpu")
    assert tuned.config.alignment == "aligned"
    assert tuned.config.hop == 320


def test_variants_are_not_exported(material, tmp_path):
    """A network with another activation leaves checkpoints alone."""
    done = run(command(material, tmp_path / "run", "--activation", "relu", "--steps", "1"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert not (tmp_path / "run" / "model").exists()
    assert "that Codec cannot run" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data"),
        (["--data", "music=."], "--out"),
        (["--data", "music=/nowhere", "--out", "x"], "/nowhere"),
        (["--data", "x.csv", "--out", "x", "--init", "zero"], "random or linear"),
        (["--setps", "3"], "--setps"),
        (["--args.load", "dac_48khz"], "dac_44khz"),
        (["--data", "music=.", "--out", "x", "--schedule", "linear"], "exponential or cosine"),
        (["--data", "music=.", "--out", "x", "--mel-windows", "64 128"], "mel_bins"),
    ],
)
def test_mistakes_are_one_line(flags, message, tmp_path, monkeypatch):
    """And exit status 1."""
    monkeypatch.chdir(tmp_path)
    done = run(["train", *flags])
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--shares", "speech=3"], "--shares: no recordings of class speech; there are music"),
        (["--full-band-share=0.5"], "--full-band-share 0.5, but"),
    ],
)
def test_shares_of_the_command_line_are_not_changed(flags, message, material, tmp_path):
    """Those of a recipe are fitted to the recordings; what a user says himself is meant."""
    (tmp_path / "recipe.yml").write_text(SMALL + "shares: music=2 speech=1\nfull_band_share: 0.2\n")
    rng = np.random.default_rng(0)
    low = np.cumsum(rng.standard_normal(44100)) / 1000  # nothing beyond 10 kHz
    (tmp_path / "music").mkdir()
    sf.write(tmp_path / "music" / "low.wav", low, 16000)
    recipe = ["--args.load", str(tmp_path / "recipe.yml"), "--steps", "1"]
    data = ["--data", f"music={tmp_path / 'music'}", "--out", str(tmp_path / "run")]
    done = run(["train", *recipe, *data, *flags])
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "run").exists()
    fitted = run(["train", *recipe, *data])
    assert fitted.returncode == 0, fitted.stderr
    assert "no recordings of speech: their shares are dropped, music=2 is left" in fitted.stderr
    assert "the full-band share is lowered from 0.2 to 0" in fitted.stderr
