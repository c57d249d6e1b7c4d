"""What the layer list says: operations, lengths, windows."""

import pytest
import torch
from torch import nn

from audiocodec.lab.systems.published import Windows
from audiocodec.lab.systems.shapes import decoder_layers, encoder_layers, flop_per_second, layers
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.registry import KNOWN_MODELS


@pytest.mark.parametrize(("operation", "gflop"), [("encode", 61.4), ("decode", 138.6)])
def test_operations_of_the_published_width(operation, gflop):
    """They agree with the figures known for a second of audio at 44.1 kHz, to half a percent."""
    assert flop_per_second(ModelConfig(), operation) / 1e9 == pytest.approx(gflop, rel=5e-3)


@pytest.mark.parametrize("model", ["tiny_44khz", "dac_16khz"])
def test_layers_are_those_of_the_network(model):
    """As many weights, in the same order, as the convolutions of the network itself."""
    config = KNOWN_MODELS[model].config
    with torch.device("meta"):
        network = DAC(config)
    for part, listed in (
        (network.encoder, encoder_layers(config)),
        (network.decoder, decoder_layers(config)),
    ):
        convolutions = [m for m in part.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]
        assert sorted(m.weight.numel() for m in convolutions) == sorted(
            layer.c_in * layer.c_out * layer.kernel for layer in listed
        )


def test_compress_computes_what_encode_does():
    """From file to file the networks are the same."""
    config = ModelConfig()
    assert layers(config, "compress") == layers(config, "encode")
    assert layers(config, "decompress") == layers(config, "decode")


@pytest.mark.parametrize(
    ("model", "delay", "n_samples", "n_frames", "step"),
    [
        ("dac_44khz", 7904, 44544, 72, 28522),
        ("dac_24khz", 5264, 24000, 59, 13346),
        ("dac_16khz", 5264, 16000, 34, 5346),
    ],
)
def test_windows_of_the_published_tool(model, delay, n_samples, n_frames, step):
    """Its sizes for windows of a second, as descript-audio-codec 1.0.0 computes them."""
    windows = Windows(KNOWN_MODELS[model].config)
    found = (windows.delay, windows.n_samples, windows.n_frames, windows.step)
    assert found == (delay, n_samples, n_frames, step)
