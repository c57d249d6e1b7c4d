"""Builds an ONNX graph: operators, constants, and the layers of the networks.

The graph is written operator by operator, not traced. So it has only the paper's operations, every
length is free, a crop is an attribute of its convolution, the bytes do not depend on the release of
torch, and torch's own exporter and its packages are not needed.

Shapes: B batch, C channels, T time steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from audiocodec.export.description import OPSET
from audiocodec.model.layers import Chain, ResidualUnit, Snake, UpConv

IR_VERSION = 8  # read by onnxruntime 1.12, like the opset
Dimension = int | str  # a size, or the name of a free one


class Graph:
    """Collects nodes and constants; methods that add one return the name of its output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; return its name."""
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def checked(self, value: str, sizes: str, error: str) -> str:
        """Pass on `value`, int64 (1,), but fail at run time if one of `sizes` is 0.

        error: the name of the node that fails, which runtimes report.
        """
        least = self.add("ReduceMin", sizes, keepdims=1)
        is_zero = self.add("Less", least, self.constant("one", [1]))
        index = self.add(
            "Cast", is_zero, to=TensorProto.INT64
        )  # 1 is out of range for `value`, so Gather fails
        self.nodes.append(helper.make_node("Gather", [value, index], [error], error))
        return error

    def give(self, value: str, output: str) -> None:
        """Make a value an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [output], output))

    def constant(self, name: str, value: Tensor | np.ndarray | Sequence[int]) -> str:
        """Store a tensor under a name, once; a sequence becomes int64. Returns the name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(_array(value), name)
        return name

    def layer(self, layer: nn.Module, x: str, name: str) -> str:
        """Add an encoder, a decoder or a layer of them; parameters are stored under `name`.

        x: the name of the input. Returns that of the output. Raises TypeError for another layer.
        """
        match layer:
            case Snake():
                return self._snake(layer, x, name)
            case UpConv():
                pads = [layer.crop_left, layer.crop_right]
                return self._convolution("ConvTranspose", layer, x, name, pads)
            case nn.Conv1d():
                return self._convolution("Conv", layer, x, name, 2 * [int(layer.padding[0])])
            case nn.Tanh():
                return self.add("Tanh", x)
            case ResidualUnit():
                return self.add("Add", x, self._series(layer, x, name))
            case nn.Sequential() | Chain():
                return self._series(layer, x, name)
        raise TypeError(f"{name} is a {type(layer).__name__}, which has no ONNX form here")

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """The finished model, checked by onnx.checker."""
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="audiocodec",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model

    def _series(self, layer: nn.Module, x: str, name: str) -> str:
        """Add child layers in series, in the order of their module."""
        for child_name, child in layer.named_children():
            x = self.layer(child, x, f"{name}.{child_name}")
        return x

    def _snake(self, snake: Snake, x: str, name: str) -> str:
        alpha = self.constant(f"{name}.alpha", snake.alpha)
        inverse = self.constant(f"{name}.inverse", (snake.alpha + 1e-9).reciprocal())
        sine = self.add("Sin", self.add("Mul", x, alpha))
        return self.add("Add", x, self.add("Mul", self.add("Mul", sine, sine), inverse))

    def _convolution(
        self, operator: str, conv: nn.Conv1d | UpConv, x: str, name: str, pads: list[int]
    ) -> str:
        parameters = [self.constant(f"{name}.weight", conv.weight)]
        if conv.bias is not None:
            parameters.append(self.constant(f"{name}.bias", conv.bias))
        settings = {"strides": list(conv.stride), "dilations": list(conv.dilation), "pads": pads}
        return self.add(operator, x, *parameters, **settings)


def audio_of(name: str, *shape: Dimension) -> onnx.ValueInfoProto:
    """A float32 input or output of this shape."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def codes_of(name: str, *shape: Dimension) -> onnx.ValueInfoProto:
    """An int64 input or output of this shape."""
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def _array(value: Tensor | np.ndarray | Sequence[int]) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float32).contiguous().numpy()
    return value if isinstance(value, np.ndarray) else np.array(value, dtype=np.int64)
