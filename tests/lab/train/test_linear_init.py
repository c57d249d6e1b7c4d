"""The start in closed form reconstructs audio before any training."""

import math
from dataclasses import replace

import pytest
import torch

from audiocodec import ModelConfig
from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.waveform import si_sdr
from audiocodec.lab.train.codebooks import k_means
from audiocodec.lab.train.linear_init import linear_init
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import VectorQuantizer

CONFIG = ModelConfig(
    sample_rate=8000,
    encoder_dim=8,
    encoder_strides=(2, 4),
    decoder_dim=32,
    decoder_strides=(4, 2),
    n_codebooks=4,
    codebook_size=64,
)


def tones(n_items: int, seed: int) -> torch.Tensor:
    """Pairs of decaying tones below 1 kHz, (n_items, 1, 2048)."""
    generator = torch.Generator().manual_seed(seed)
    hz, phase = torch.rand(2, n_items, 2, 1, generator=generator)
    time_s = torch.arange(2048) / 8000
    waves = torch.sin(2 * math.pi * ((100 + 900 * hz) * time_s + phase))
    return (0.15 * waves * torch.exp(-3 * time_s)).sum(dim=1, keepdim=True)


def decoded(model: DAC, audio: torch.Tensor, n_codebooks: int) -> torch.Tensor:
    """Round trip through codes."""
    with torch.no_grad():
        codes = model.quantizer.encode(model.encoder(audio), n_codebooks)
        return model.decoder(model.quantizer.decode(codes))


@pytest.mark.parametrize("decoder_dim", [32, 48])
def test_the_start_reconstructs_unseen_audio(decoder_dim):
    """SI-SDR far above a random start's, better with every codebook than with one."""
    torch.manual_seed(0)
    model, unseen = DAC(replace(CONFIG, decoder_dim=decoder_dim)), tones(8, seed=2)
    random_db = si_sdr(decoded(model, unseen, 4), unseen)
    linear_init(model, tones(64, seed=1))
    all_db = si_sdr(decoded(model, unseen, 4), unseen)
    assert all_db > 5 > random_db + 10
    assert all_db > si_sdr(decoded(model, unseen, 1), unseen) + 2


def test_channels_of_a_wider_decoder_can_be_trained():
    """Those beyond the linear codec have gradients, or they would never move."""
    torch.manual_seed(0)
    model = DAC(replace(CONFIG, decoder_dim=48))
    linear_init(model, tones(32, seed=1))
    model(tones(2, seed=3), torch.tensor([4, 4])).audio.square().mean().backward()
    for stage in model.decoder.stages:
        norms = stage.up.weight.grad.norm(dim=(0, 2))
        assert (norms > 1e-6 * norms.max()).all()


def test_the_start_is_deterministic():
    """The same seeds give the same weights."""
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        model = DAC(CONFIG)
        linear_init(model, tones(16, seed=1), seed=3)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_decoder_that_does_not_mirror_the_encoder_is_refused():
    """The regressions need widths at least equal, and the same strides."""
    for changed in ({"decoder_dim": 16}, {"decoder_strides": (2, 4)}):
        with pytest.raises(ArgumentError, match="mirrors"):
            linear_init(DAC(replace(CONFIG, **changed)), torch.zeros(1, 1, 4096))


def test_k_means_finds_separate_directions():
    """Four bundles of directions get an entry each."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
    points = centres.repeat(200, 1) + 0.05 * torch.randn(800, 3, generator=generator)
    stage = VectorQuantizer(replace(CONFIG, codebook_size=16, codebook_dim=3))
    k_means(stage, points, generator)
    nearest = (centres[:, None] - stage.codebook.weight).norm(dim=-1).min(dim=1).values
    assert (nearest < 0.15).all()
