"""Excerpts: the same for the same seed, balanced, level, and never silent if that can be helped."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from audiocodec.errors import ArgumentError, AudioError
from audiocodec.train.data import Excerpts, Recording, at_level, read_manifest

RATE, SHARES = 8000, {"speech": 1.0, "music": 3.0}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Three recordings: a long one of music, a click, and speech that is mostly silent."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    speech = np.zeros(RATE * 4)
    speech[RATE : 2 * RATE] = 0.1 * rng.standard_normal(RATE)
    sounds = {
        "long": ("music", 0.01 * rng.standard_normal((RATE * 9, 2))),
        "click": ("music", 0.3 * rng.standard_normal(RATE)),
        "voice": ("speech", speech),
    }
    lines = ["path,class"]
    for name, (kind, audio) in sounds.items():
        sf.write(folder / f"{name}.flac", audio, RATE)
        lines.append(f"{name}.flac,{kind}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def test_a_step_always_has_the_same_batch(manifest):
    """Seed and step decide; another of either gives another batch."""
    excerpts = Excerpts(read_manifest(manifest, RATE), SHARES, 1000)
    batch = excerpts.batch(4, seed=1, step=5)
    assert batch.shape == (4, 1, 1000)
    assert torch.equal(batch, Excerpts(read_manifest(manifest, RATE), SHARES, 1000).batch(4, 1, 5))
    assert not torch.equal(batch, excerpts.batch(4, seed=1, step=6))
    assert not torch.equal(batch, excerpts.batch(4, seed=2, step=5))


def test_classes_come_by_share_and_recordings_by_length(manifest):
    """A quarter speech, and of the music nine tenths from the long file."""
    excerpts, rng = Excerpts(read_manifest(manifest, RATE), SHARES, 1000), np.random.default_rng(0)
    drawn = [excerpts.draw(rng).path.stem for _ in range(4000)]
    assert drawn.count("voice") / 4000 == pytest.approx(0.25, abs=0.03)
    assert drawn.count("click") / 4000 == pytest.approx(0.075, abs=0.02)


def test_excerpts_are_audible_and_within_full_scale(manifest):
    """Silence is drawn again; quiet music is raised to the level."""
    batch = Excerpts(read_manifest(manifest, RATE), SHARES, 1000).batch(64, 0, 0)
    levels_db = 10 * batch.square().mean(dim=(1, 2)).log10()
    assert batch.abs().max() <= 1
    assert (levels_db > -40).all()


def test_level_is_limited_by_the_peak():
    """A lone click does not exceed full scale; silence stays silence."""
    click = np.zeros(1000, np.float32)
    click[3] = 0.5
    assert np.abs(at_level(click, -17.0)).max() == pytest.approx(1.0)
    assert not at_level(np.zeros(10, np.float32), -17.0).any()


def test_short_recordings_are_padded(manifest):
    """An excerpt longer than the file ends in silence."""
    batch = Excerpts(read_manifest(manifest, RATE), {"music": 1.0}, RATE * 10).batch(1, 0, 0)
    assert batch.shape[-1] == RATE * 10
    assert not batch[..., RATE * 9 :].any()


def test_unusable_manifests_are_refused(manifest, tmp_path):
    """Another sample rate, missing columns, and a class without recordings."""
    with pytest.raises(AudioError, match="8000 Hz"):
        read_manifest(manifest, 44100)
    (tmp_path / "other.csv").write_text("name\na\n")
    with pytest.raises(AudioError, match="columns path and class"):
        read_manifest(tmp_path / "other.csv", RATE)
    with pytest.raises(ArgumentError, match="birds"):
        Excerpts([Recording(Path("a"), "music", 9)], {"birds": 1.0}, 1)
