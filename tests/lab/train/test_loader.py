"""Batches ahead of time: the same and in the same order as without workers; errors arrive."""

from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.lab.train import data_speed
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings
from audiocodec.lab.train.loader import Loader
from audiocodec.lab.train.sources import scan
from tests.lab.train.material import recording


@pytest.fixture
def folder(tmp_path) -> Path:
    """One recording."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    sf.write(tmp_path / "noise.wav", noise, 8000)
    return tmp_path


@pytest.fixture
def excerpts(folder) -> Excerpts:
    """Batches of four."""
    return Excerpts(scan([f"x={folder}"]).recordings, {}, ExcerptSettings(500, 8000, 4))


@pytest.mark.parametrize("n_workers", [0, 2])
def test_steps_come_in_order_from_any_step_on(excerpts, n_workers):
    """With workers and without: what Excerpts makes of seed, step and items."""
    with Loader(excerpts, 7, range(1, 3), 10, n_workers) as loader:
        for step in (0, 1, 2, 8, 9, 4):
            assert torch.equal(loader.batch(step), excerpts.items(7, step, range(1, 3)))
        with pytest.raises(ArgumentError, match="step 10 is outside a run of 10 steps"):
            loader.batch(10)
    assert not active_children()


@pytest.mark.filterwarnings("ignore::audiocodec.lab.train.sources.SkippedFiles")
@pytest.mark.parametrize("n_workers", [0, 1])
def test_errors_reach_the_caller(tmp_path, n_workers):
    """As the class they are, with the line they have."""
    lost = [recording(tmp_path / "gone.wav")]
    excerpts = Excerpts(lost, {}, ExcerptSettings(500, 8000, 4))
    words = r"^8 recordings in a row cannot be read; .*gone\.wav"
    with (
        Loader(excerpts, 0, range(4), 3, n_workers) as loader,
        pytest.raises(AudioError, match=words),
    ):
        loader.batch(0)
    with pytest.raises(ArgumentError, match="workers -1"):
        Loader(excerpts, 0, range(4), 3, -1)


def test_speed_is_measured_from_files_and_cache(folder, capsys):
    """The command prints a figure for each, and a line for what is wrong."""
    short = ["--seconds", "0.1", "--batch-size", "2", "--batches", "1", "--sample-rate", "8000"]
    source = f"x={folder}"
    assert data_speed.main([source, *short, "--cache", str(folder / "cache")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["scan", "files", "cache", "cached"]
    assert "1 recordings" in lines[0]
    assert "items/s" in lines[1]
    assert data_speed.main([str(folder / "gone")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
