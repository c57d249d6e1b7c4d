"""Shows what the hardware allows: a large matrix product, and the network's convolutions alone."""

import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.engine import BLOCK_FRAMES, pick_device
from audiocodec.engine.precision import computes_bfloat16
from audiocodec.lab.systems.shapes import ConvShape, layers
from audiocodec.lab.systems.workloads import TENSORS, TimedSpec, Work, Workload, codec_of, refuse
from audiocodec.model.config import ModelConfig

PRODUCT_SIDES = {"cpu": 2048, "cuda": 8192}  # sides of square matrices far larger than a cache


class Product:
    """The product of two square matrices in float32, or in bfloat16 as "product_bfloat16"."""

    def __init__(self, spec: TimedSpec) -> None:
        dtype = torch.bfloat16 if spec.system.endswith("bfloat16") else torch.float32
        device = pick_device(spec.device)
        side = product_side(device.type)
        self._a, self._b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        if workload.operation != "product":
            raise refuse(workload, "a matrix product")
        return lambda: self._a @ self._b

    def codes(self, audio: Tensor) -> Tensor | None:
        """None, as this is no codec."""
        return None


class Convolutions:
    """The convolutions of our model on one block of samples, with nothing between them.

    They compute in bfloat16 if the precision is "fast" and the device supports it.
    """

    def __init__(self, spec: TimedSpec) -> None:
        """Raises ModelError."""
        codec = codec_of(spec)
        self._config, self._device = codec.config, codec.device
        fast = spec.precision == "fast" and computes_bfloat16(codec.device)
        self._dtype = torch.bfloat16 if fast else torch.float32

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        if workload.operation not in TENSORS:
            raise refuse(workload, "the convolutions")
        network = layers(self._config, workload.operation)
        inputs: dict[tuple[int, int], Tensor] = {}
        ready = [(layer, self._random(layer), self._input(layer, inputs)) for layer in network]
        return lambda: [_convolved(*one) for one in ready]

    def codes(self, audio: Tensor) -> Tensor | None:
        """None, as this is no codec."""
        return None

    def _random(self, layer: ConvShape) -> Tensor:
        ends = (layer.c_in, layer.c_out) if layer.transposed else (layer.c_out, layer.c_in)
        return torch.randn(*ends, layer.kernel, device=self._device).to(self._dtype)

    def _input(self, layer: ConvShape, inputs: dict[tuple[int, int], Tensor]) -> Tensor:
        """Random input (1, C, T) for a layer; layers with inputs of the same shape share it."""
        n_out = int(block_samples(self._config) * layer.rate)
        reach = layer.dilation * (layer.kernel - 1)
        n_in = n_out if layer.transposed else (n_out - 1) * layer.stride + reach + 1
        if (layer.c_in, n_in) not in inputs:
            x = torch.randn(1, layer.c_in, n_in, device=self._device)
            inputs[layer.c_in, n_in] = x.to(self._dtype)
        return inputs[layer.c_in, n_in]


def product_side(device: str) -> int:
    """Rows and columns of the matrices."""
    return PRODUCT_SIDES.get(device, PRODUCT_SIDES["cpu"])


def product_flop(device: str) -> float:
    """Floating-point operations in one turn of Product."""
    return 2.0 * product_side(device) ** 3


def block_samples(config: ModelConfig) -> int:
    """Samples of audio in one turn of Convolutions."""
    return BLOCK_FRAMES * config.hop


def _convolved(layer: ConvShape, weight: Tensor, x: Tensor) -> Tensor:
    if layer.transposed:
        return F.conv_transpose1d(x, weight, stride=layer.stride)
    return F.conv1d(x, weight, stride=layer.stride, dilation=layer.dilation)
