"""Losses and metrics against values that the published package computed, and their properties."""

import json
from pathlib import Path

import pytest
import soundfile as sf
import torch

from audiocodec.train import losses, metrics

GOLDEN = Path(__file__).parents[1] / "data" / "golden_training"
RATE = 44100


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate and reference."""
    estimate, reference = (
        torch.from_numpy(sf.read(GOLDEN / f"{name}.wav", dtype="float32")[0])[None, None]
        for name in ("estimate", "reference")
    )
    return estimate, reference


@pytest.fixture(scope="module")
def golden() -> dict[str, float]:
    """What descript-audio-codec 1.0.0 computes of the pair."""
    return json.loads((GOLDEN / "values.json").read_text())


def test_distances_equal_the_published_ones(pair, golden):
    """Mel loss, mel distance, STFT loss, waveform L1 and SI-SDR agree to 1e-4."""
    estimate, reference = pair
    found = {
        "mel_loss_training": losses.mel_loss(estimate, reference, RATE),
        "mel_distance_evaluation": metrics.mel_distance(estimate, reference, RATE),
        "stft_loss_default": losses.stft_loss(estimate, reference),
        "waveform_l1": losses.waveform_l1(estimate, reference),
        "sisdr_loss_default": -metrics.si_sdr(estimate, reference),
    }
    for name, value in found.items():
        assert float(value) == pytest.approx(golden[name], rel=1e-4), name


def test_filters_have_no_empty_band():
    """Every band of the paper's scales hears something."""
    for window, n in zip(losses.PAPER_WINDOWS, losses.PAPER_MELS, strict=True):
        assert (losses.mel_filterbank(RATE, window, n).sum(dim=1) > 0).all()


def test_complex_loss_hears_phase_and_is_relative(pair):
    """Nothing lost is 0, silence about 1, a sign flip 2, and the level does not matter."""
    _, reference = pair
    assert losses.complex_loss(reference, reference, RATE) == 0
    silence = losses.complex_loss(0 * reference, reference, RATE)
    assert 0.7 < silence <= 1
    flipped = losses.complex_loss(-reference, reference, RATE)
    assert float(flipped) == pytest.approx(2 * float(silence), rel=1e-4)
    quiet = losses.complex_loss(0 * reference, 0.1 * reference, RATE)
    assert float(quiet) == pytest.approx(float(silence), rel=0.02)


def test_si_sdr_ignores_scale_and_offset(pair):
    """A louder estimate with an offset is as good."""
    estimate, reference = pair
    again = metrics.si_sdr(3 * estimate + 0.1, reference)
    assert again == pytest.approx(metrics.si_sdr(estimate, reference), abs=1e-3)
