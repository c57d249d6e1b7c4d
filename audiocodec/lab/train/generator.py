"""The codec's networks in training: forward pass, initial biases, weight norm, moving average."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from audiocodec.lab.train.variants import rebuilt, variants_of
from audiocodec.model.network import DAC, Trained


class Generator(nn.Module):
    """Encoder and decoder in `precision`, quantizer in float32."""

    def __init__(self, model: DAC, precision: str = "float32") -> None:
        super().__init__()
        self.model, self.bf16 = model, precision == "bfloat16"

    def forward(self, audio: Tensor, n_active: Tensor) -> Trained:
        """audio: (B, 1, T), T a multiple of the hop; n_active: int (B,), codebooks of each item."""
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            latents = self.model.encoder(audio)
        with torch.autocast(audio.device.type, enabled=False):
            quantized = self.model.quantizer(latents.float(), n_active)
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bf16):
            decoded = self.model.decoder(quantized.latents)
        return Trained(decoded.float(), quantized)

    def compile_networks(self) -> None:
        """Compile encoder and decoder. The quantizer stays eager: options hook into it."""
        self.model.encoder.compile()
        self.model.decoder.compile()


def published_start(model: DAC) -> None:
    """Set the biases of convolutions (not transposed ones) to zero, as the published training does.

    Its truncated normal weights are left out: its weight norm overwrote them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv1d) and module.bias is not None:
            nn.init.zeros_(module.bias)


def with_weight_norm(model: DAC) -> None:
    """Apply weight normalization to every convolution; the weights' values stay."""
    for module in _convolutions(model):
        weight_norm(module)


@torch.no_grad()
def exported(model: DAC) -> DAC:
    """A copy of the model and its variants, weight normalization folded into the weights."""
    plain, modules = rebuilt(model.config, variants_of(model)), dict(model.named_modules())
    for name, value in plain.state_dict().items():
        owner, _, attribute = name.rpartition(".")
        value.copy_(getattr(modules[owner], attribute))
    return plain.eval().requires_grad_(False)


def _convolutions(model: DAC) -> Iterator[nn.Module]:
    return (m for m in model.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d))


class MovingAverage:
    """An exponential moving average of a model's weights, which is validated and exported.

    The decay is at most (1 + n) / (10 + n) after n updates, so that the initial weights are soon
    forgotten.
    """

    def __init__(self, model: DAC, decay: float) -> None:
        self.decay, self.n_updates = decay, 0
        self.model: DAC = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: DAC) -> None:
        """Move towards the model's weights after a step."""
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        self.n_updates += 1
        ours, theirs = list(self.model.state_dict().values()), list(model.state_dict().values())
        torch._foreach_lerp_(ours, theirs, 1 - decay)
