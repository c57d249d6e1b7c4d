"""Encoder, quantizer and decoder as one trainable module."""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiocodec.model.config import ModelConfig
from audiocodec.model.decoder import Decoder
from audiocodec.model.encoder import Encoder
from audiocodec.model.quantizer import Quantized, ResidualQuantizer


class Trained(NamedTuple):
    """The result of one training pass."""

    audio: Tensor  # (B, 1, T)
    quantized: Quantized


class DAC(nn.Module):
    """The networks of the Descript Audio Codec (arXiv 2306.06546)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ResidualQuantizer(config)
        self.decoder = Decoder(config)

    def forward(self, audio: Tensor, n_active: Tensor) -> Trained:
        """One training pass.

        audio: (B, 1, T), T a multiple of the hop. n_active: int (B,), how many codebooks each item
        uses.
        """
        quantized = self.quantizer(self.encoder(audio), n_active)
        return Trained(self.decoder(quantized.latents), quantized)

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device

    def fingerprint(self) -> str:
        """32 hex characters that identify the code space: configuration and codebook tables.

        Convolutions are left out, since weight norm folded from different layouts differs in the
        last bit.
        """
        digest = hashlib.sha256(self.config.code_space())
        for stage in self.quantizer.stages:
            table = stage.codebook.weight.detach().to("cpu", torch.float32).contiguous()
            digest.update(table.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]
