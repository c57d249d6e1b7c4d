"""The networks are chains: their layers are assigned in the order in which a signal passes them."""

import torch
from torch import nn

from audiocodec import ModelConfig
from audiocodec.model.layers import Chain
from audiocodec.model.network import DAC


def test_layers_run_in_the_order_in_which_they_are_assigned():
    """Replacing one keeps its place."""
    chain = Chain()
    chain.first, chain.second = nn.LeakyReLU(2.0), nn.LeakyReLU(3.0)
    chain.first = nn.Hardtanh(-1, 1)
    assert chain(torch.tensor([-5.0])) == -3


def test_the_order_is_that_of_the_paper():
    """By name; the streams of the engine and the ONNX graph walk the same."""
    model = DAC(ModelConfig(encoder_dim=4, decoder_dim=16))
    ends = ["conv_in", "stages", "snake_out", "conv_out"]
    assert [name for name, _ in model.encoder.named_children()] == ends
    assert [name for name, _ in model.decoder.named_children()] == [*ends, "tanh"]
    for stage in model.encoder.stages:
        assert [name for name, _ in stage.named_children()] == ["units", "snake", "down"]
    for stage in model.decoder.stages:
        assert [name for name, _ in stage.named_children()] == ["snake", "up", "units"]
    for part in (model.encoder, model.decoder, *model.encoder.stages, *model.decoder.stages):
        assert isinstance(part, Chain)
        assert type(part).forward is Chain.forward
