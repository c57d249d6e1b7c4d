"""What follows from the strides is computed, and nonsense is refused."""

import pytest

from audiocodec.errors import ModelError
from audiocodec.model.config import ModelConfig
from audiocodec.weights.registry import KNOWN_MODELS


@pytest.mark.parametrize(
    ("name", "hop", "kbps", "frame_rate"),
    [
        ("dac_44khz", 512, 7.752, 86.133),
        ("dac_44khz_16kbps", 512, 15.504, 86.133),
        ("dac_24khz", 320, 24.0, 75.0),
        ("dac_16khz", 320, 6.0, 50.0),
    ],
)
def test_rates_follow_from_the_strides(name, hop, kbps, frame_rate):
    """The published models, with their real bit rates."""
    config = KNOWN_MODELS[name].config
    assert config.hop == hop
    assert config.kbps == pytest.approx(kbps, abs=1e-3)
    assert config.frame_rate == pytest.approx(frame_rate, abs=1e-3)


def test_reach_of_the_published_networks():
    """Samples and frames that the 44.1 kHz networks look ahead."""
    assert (ModelConfig().encoder_reach, ModelConfig().decoder_context) == (4244, 10)


@pytest.mark.parametrize(
    "values",
    [
        {"encoder_strides": []},
        {"encoder_strides": [2, 4, 8, 9]},
        {"encoder_strides": "2488"},
        {"encoder_strides": [2, 4, 8, 0]},
        {"n_codebooks": 0},
        {"n_codebooks": True},
        {"n_codebooks": 10**9},
        {"codebook_dim": [8, 8]},
        {"decoder_dim": 100},
        {"encoder_dim": "64"},
        {"latent_dim": -1},
        {"sample_rate": 44100.0},
        {"alignment": "left"},
        {"hop_length": 512},
    ],
)
def test_values_that_cannot_be_are_refused(values):
    """Out of bounds, of a wrong kind, unknown, or not fitting together."""
    with pytest.raises(ModelError):
        ModelConfig.from_dict(values)


def test_a_configuration_survives_json():
    """to_dict and from_dict are inverses."""
    config = ModelConfig(sample_rate=24000, latent_dim=77, alignment="published")
    assert ModelConfig.from_dict(config.to_dict()) == config
