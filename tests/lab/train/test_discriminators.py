"""The discriminators against activations that the published ones computed, and their properties."""

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.adversarial import discriminator_loss, feature_loss, generator_loss
from audiocodec.lab.train.discriminators import (
    BandDiscriminator,
    DiscriminatorConfig,
    Discriminators,
    PeriodDiscriminator,
    ScaleDiscriminator,
    at_peak,
)

GOLDEN = Path(__file__).parents[2] / "data" / "golden_training"
NARROW = DiscriminatorConfig(rates=(1, 2), period_width=1, band_width=2, scale_width=1)
BUILD = {"mpd_3": lambda: PeriodDiscriminator(3), "mrd_512": lambda: BandDiscriminator(512)}


def noise(n_samples: int, batch: int = 1, seed: int = 1) -> Tensor:
    """Seeded noise (batch, 1, n_samples)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.2 * torch.randn(batch, 1, n_samples, generator=generator)


@lru_cache(maxsize=1)  # of the ensemble that many examples share
def narrow(config: DiscriminatorConfig = NARROW) -> Discriminators:
    """A quick ensemble with seeded weights."""
    torch.manual_seed(0)
    return Discriminators(config)


def n_parameters(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in module.parameters())


def seeded(name: str, seed: int) -> nn.Module:
    """A discriminator with the parameters that the golden values were computed with."""
    judge = BUILD[name]()
    convs = [module for module in judge.modules() if isinstance(module, nn.Conv2d)]
    parameters = []
    for conv in convs:
        norm: Any = conv.parametrizations
        parameters += [conv.bias, norm.weight.original0, norm.weight.original1]
    drawn = json.loads((GOLDEN / "names.json").read_text())[name]
    with torch.no_grad():
        for i, (parameter, (_, shape, scale)) in enumerate(zip(parameters, drawn, strict=True)):
            assert list(parameter.shape) == shape
            draw = torch.randn(shape, generator=torch.Generator().manual_seed(seed + i))
            parameter.copy_(draw.abs() * 0.5 + 0.5 if isinstance(scale, str) else draw * scale)
    return judge


@pytest.mark.parametrize("name", sorted(BUILD))
def test_activations_and_losses_equal_the_published_ones(name):
    """Shapes, every layer's mean, the scores and the three losses, of audio at its own level."""
    golden = json.loads((GOLDEN / "values.json").read_text())[name]
    arrays = np.load(GOLDEN / "discriminators.npz")
    judge = seeded(name, golden["seed"])
    with torch.no_grad():
        fake, real = (
            judge(torch.from_numpy(sf.read(GOLDEN / f"{side}.wav", dtype="float32")[0])[None, None])
            for side in ("estimate", "reference")
        )
    assert [list(layer.shape) for layer in real] == golden["layer_shapes"]
    means = [float(layer.abs().mean()) for layer in real]
    assert means == pytest.approx(arrays[f"{name}_mean_abs_per_layer"], rel=1e-4)
    scores = arrays[f"{name}_final"]
    np.testing.assert_allclose(real[-1].numpy(), scores, atol=1e-4 * np.abs(scores).max())
    found = {
        "discriminator_loss": discriminator_loss([fake], [real]),
        "generator_loss": generator_loss([fake]),
        "feature_loss": feature_loss([fake], [real]),
    }
    for loss, value in found.items():
        assert float(value) == pytest.approx(golden[loss], rel=1e-4), loss


def test_published_widths_have_the_published_number_of_parameters():
    """42,519,760 in all, counted without making them."""
    with torch.device("meta"):
        assert n_parameters(PeriodDiscriminator(11)) == 8_221_154
        assert n_parameters(BandDiscriminator(2048)) == 471_330
        assert n_parameters(ScaleDiscriminator(1)) == 5_641_362
        assert n_parameters(Discriminators(DiscriminatorConfig())) == 42_519_760


def test_the_paper_matches_a_hundred_activations():
    """Five of each period, 25 of each window, and a score each; fewer bands give fewer."""

    def n_layers(config: DiscriminatorConfig) -> list[int]:
        return [len(layers) for layers in narrow(config)(noise(config.min_samples))]

    paper = DiscriminatorConfig(period_width=1, band_width=1)
    assert n_layers(paper) == [6] * 5 + [26] * 3
    no_bands = DiscriminatorConfig(period_width=1, band_width=1, bands=((0, 1),))
    assert n_layers(no_bands) == [6] * 5 + [6] * 3
    no_periods = DiscriminatorConfig(periods=(), rates=(1,), band_width=1, scale_width=1)
    assert n_layers(no_periods) == [7] + [26] * 3


@pytest.mark.parametrize(
    "edges", [(0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1), (0, 0.05, 0.1, 0.25, 0.5, 1)]
)
def test_bands_of_the_ablations_cover_the_spectrum(edges):
    """Bands that meet share out every bin of every window, none twice."""
    bands = tuple(pairwise(edges))
    for size in DiscriminatorConfig(bands=bands).fft_sizes:
        bins = BandDiscriminator(size, bands, width=1).bins
        assert bins[0][0] == 0
        assert bins[-1][1] == size // 2 + 1
        assert all(left[1] == right[0] for left, right in pairwise(bins))


@settings(max_examples=10)
@given(n_extra=st.integers(0, 2000), batch=st.integers(1, 2))
def test_audio_of_any_length_is_judged_and_hears_back(n_extra, batch):
    """All activations are finite and every sample gets a gradient, from the shortest audio on."""
    audio = noise(NARROW.min_samples + n_extra, batch).requires_grad_()
    activations = narrow()(audio)
    assert all(layer.isfinite().all() for layers in activations for layer in layers)
    generator_loss(activations).backward()
    assert audio.grad.isfinite().all()
    assert (audio.grad != 0).float().mean() > 0.99


@given(
    period=st.integers(1, 13),
    size=st.integers(1, 40).map(lambda eighth: 8 * eighth),
    rate=st.integers(1, 9),
)
def test_the_shortest_audio_is_the_shortest_for_any_configuration(period, size, rate):
    """min_samples is enough for each family, whatever its sizes."""
    for family in ({"periods": (period,)}, {"fft_sizes": (size,)}, {"rates": (rate,)}):
        one = {"periods": (), "fft_sizes": (), "rates": (), **family}
        config = DiscriminatorConfig(
            **one, bands=((0, 1),), period_width=1, band_width=1, scale_width=1
        )
        (layers,) = narrow(config)(noise(config.min_samples))
        assert layers[-1].isfinite().all()


@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 9])
def test_scale_discriminators_take_any_width(width):
    """Groups fit widths that four does not divide."""
    layers = ScaleDiscriminator(1, width)(noise(300))
    assert [layer.shape[1] for layer in layers] == [f * width for f in (1, 4, 16, 64, 64, 64)] + [1]


@given(n_samples=st.integers(1280, 9000))
def test_spectrograms_have_a_frame_for_every_hop_begun(n_samples):
    """ceil(T / hop) frames, equal to the centred ones without the two at each end."""
    judge, audio = BandDiscriminator(2048, width=1), noise(n_samples)
    found = judge.spectrogram(audio)
    assert found.shape == (1, 2, -(-n_samples // 512), 1025)
    padded = nn.functional.pad(audio, (768, 768 + -n_samples % 512), mode="reflect")[:, 0]
    centred = torch.stft(padded, 2048, 512, window=judge.window, return_complex=True)[..., 2:-2]
    published = torch.stack([centred.real, centred.imag], dim=1).transpose(2, 3)
    torch.testing.assert_close(found, published)


@pytest.mark.parametrize("rate", [2, 3, 4])
def test_downsampling_keeps_what_fits_and_drops_the_rest(rate):
    """A tone below the new Nyquist frequency stays, one above it goes; floor(T / rate) samples."""
    t = torch.arange(6001, dtype=torch.float32)
    judge = ScaleDiscriminator(rate, width=1)
    for share, level in ((0.5, 1.0), (1.1, 0.0)):
        tone = torch.sin(torch.pi * share / rate * t)[None, None]
        low = judge.downsampled(tone)
        assert low.shape[-1] == 6001 // rate
        inner = slice(100, -100)  # away from the edges
        expected = level * tone[..., ::rate][..., : low.shape[-1]]
        torch.testing.assert_close(low[..., inner], expected[..., inner], atol=2e-3, rtol=0)


@given(gain=st.floats(0.01, 10), offset=st.floats(-1, 1))
def test_level_and_offset_do_not_matter(gain, offset):
    """Every item is judged at a peak of 0.8 without its mean, silence included."""
    audio = noise(3000, batch=2) * torch.tensor([1.0, 0.1])[:, None, None]
    levelled = at_peak(gain * audio + offset)
    torch.testing.assert_close(levelled, at_peak(audio), atol=1e-3, rtol=0)
    torch.testing.assert_close(levelled.abs().amax(dim=-1), torch.full((2, 1), 0.8))
    assert not at_peak(torch.zeros(1, 1, 10)).any()


def test_items_are_judged_alone():
    """A batch gives what its items give, so decoded and recorded audio can share one."""
    judges, audio = narrow(), noise(2000, batch=3)
    for whole, one in zip(judges(audio), judges(audio[1:2])):
        for of_batch, of_item in zip(whole, one):
            torch.testing.assert_close(of_batch[1:2], of_item, atol=1e-5, rtol=1e-4)


def test_half_precision_judges_alike():
    """Under autocast the spectrogram stays single precision, the layers do not, gradients flow."""
    judges, audio = narrow(), noise(2000).requires_grad_()
    exact = judges(audio)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = judges(audio)
        halved = judges(audio.bfloat16())
        assert judges.judges[-1].spectrogram(audio.bfloat16()).dtype == torch.float32
    for layers, rough_layers, halved_layers in zip(exact, rough, halved):
        assert rough_layers[-1].dtype == torch.bfloat16
        torch.testing.assert_close(rough_layers[-1].float(), layers[-1], atol=0.05, rtol=0.05)
        assert halved_layers[-1].shape == layers[-1].shape
    generator_loss(rough).backward()
    assert audio.grad.isfinite().all()


def test_configurations_survive_a_checkpoint():
    """to_dict gives JSON, and from_dict the same configuration."""
    config = DiscriminatorConfig(rates=(1,), bands=((0, 0.5), (0.5, 1)), band_width=8)
    assert DiscriminatorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"periods": (), "fft_sizes": ()}, "no discriminators"),
        ({"periods": 2}, "periods"),
        ({"periods": (0,)}, "periods"),
        ({"periods": (True,)}, "periods"),
        ({"fft_sizes": (1022,)}, "multiple of 8"),
        ({"rates": (0.5,)}, "rates"),
        ({"period_width": 0}, "period_width"),
        ({"band_width": 2.0}, "band_width"),
        ({"bands": ()}, "bands"),
        ({"bands": (0, 1)}, "bands"),
        ({"bands": ((0.5, 0.5),)}, "bands"),
        ({"bands": ((0, 1.1),)}, "bands"),
        ({"bands": ((0, 0.001),)}, "window of"),
        ({"hop": 4}, "unknown settings of the discriminators: hop"),
    ],
)
def test_wrong_configurations_are_refused(wrong, named):
    """The message names the setting."""
    with pytest.raises(ArgumentError, match=named):
        DiscriminatorConfig.from_dict(wrong)


@pytest.mark.parametrize("shape", [(1, 1, 1279), (1, 2, 2000), (1, 2000)])
def test_audio_that_cannot_be_judged_is_refused(shape):
    """Too short, stereo, or without its channel."""
    with pytest.raises(ArgumentError, match="1280 samples"):
        narrow()(torch.zeros(shape))
