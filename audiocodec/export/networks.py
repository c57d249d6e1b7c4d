"""The two ONNX graphs: samples to codes, and codes to samples.

Shapes: B batch, D latent channels, d codebook channels, K codebook size, N codebooks, T frames.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from torch import Tensor
from torch.nn import functional as F

from audiocodec.export.graph import Graph, audio_of, codes_of
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import ResidualQuantizer, VectorQuantizer


def encoder_model(model: DAC, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph from audio, float32 (batch, 1, samples), to codes, int64 (batch, N, frames).

    frames = ceil(samples / hop); zeros fill up the last frame. Source: arXiv 2306.06546, section 3.
    """
    graph = Graph("encoder")
    padded = _whole_frames(graph, "audio", model.config.hop)
    latents = graph.layer(model.encoder, padded, "encoder")
    graph.give(_encode(graph, model.quantizer, latents), "codes")
    return graph.model(
        [audio_of("audio", "batch", 1, "samples")],
        [codes_of("codes", "batch", model.config.n_codebooks, "frames")],
        metadata,
    )


def decoder_model(model: DAC, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph from codes, int64 (batch, codebooks, frames), to audio, (batch, 1, samples).

    codebooks: the first ones, 1 to N of them; their number is free, like every length.
    samples = frames * hop, less what the "published" alignment leaves out (see ModelConfig).
    """
    graph = Graph("decoder")
    latents = _decode(graph, model.quantizer, "codes")
    graph.give(graph.layer(model.decoder, latents, "decoder"), "audio")
    return graph.model(
        [codes_of("codes", "batch", "codebooks", "frames")],
        [audio_of("audio", "batch", 1, "samples")],
        metadata,
    )


def _whole_frames(graph: Graph, audio: str, hop: int) -> str:
    """Append zeros, up to a multiple of the hop."""
    n_samples = graph.add("Gather", graph.add("Shape", audio), graph.constant("third", [2]))
    missing = graph.add("Mod", graph.add("Neg", n_samples), graph.constant("hop", [hop]))
    missing = graph.checked(missing, n_samples, "audio_has_no_samples")
    before = graph.constant("nothing_before", [0, 0, 0, 0, 0])
    return graph.add("Pad", audio, graph.add("Concat", before, missing, axis=0))


def _encode(graph: Graph, quantizer: ResidualQuantizer, residual: str) -> str:
    """(B, D, T) -> codes (B, N, T), as ResidualQuantizer.encode."""
    rows: list[str] = []
    for i, stage in enumerate(quantizer.stages):
        rows.append(_nearest(graph, stage, residual, i))
        if i + 1 < len(quantizer.stages):
            residual = graph.add("Sub", residual, _part(graph, stage, rows[-1], i))
    second = graph.constant("second", [1])
    return graph.add("Concat", *(graph.add("Unsqueeze", row, second) for row in rows), axis=1)


def _nearest(graph: Graph, stage: VectorQuantizer, residual: str, i: int) -> str:
    """(B, D, T) -> codes (B, T): the entry at the smallest angle."""
    projected = graph.layer(stage.in_proj, residual, f"stages.{i}.in_proj")
    vectors = graph.add("Transpose", projected, perm=[0, 2, 1])
    length = graph.add("ReduceL2", vectors, axes=[-1], keepdims=1)
    # F.normalize divides by no less
    bound = graph.constant("least", np.array(1e-12, dtype=np.float32))
    units = graph.add("Div", vectors, graph.add("Max", length, bound))
    entries = graph.constant(f"stages.{i}.directions", F.normalize(stage.codebook.weight).T)
    return graph.add("ArgMax", graph.add("MatMul", units, entries), axis=-1, keepdims=0)


def _part(graph: Graph, stage: VectorQuantizer, codes: str, i: int) -> str:
    """Codes (B, T) -> this stage's part of the latents (B, D, T)."""
    table = graph.constant(f"stages.{i}.codebook", stage.codebook.weight)
    entries = graph.add("Transpose", graph.add("Gather", table, codes), perm=[0, 2, 1])
    return graph.layer(stage.out_proj, entries, f"stages.{i}.out_proj")


def _decode(graph: Graph, quantizer: ResidualQuantizer, codes: str) -> str:
    """Codes (B, n, T) of the first n codebooks -> latents (B, D, T), summed in float64.

    All stages are computed together, so that n is free: a product with the first n projections,
    stacked below each other, adds up the stages.
    """
    stages = quantizer.stages
    shape = graph.add("Shape", codes)
    n = graph.add("Gather", shape, graph.constant("second", [1]))
    n = graph.checked(n, shape, "codes_have_no_frames")
    order = graph.constant("order", np.arange(len(stages), dtype=np.int64)[:, None])
    which = graph.add("Expand", _first(graph, order, n), shape)
    last = graph.constant("last", [-1])
    places = [graph.add("Unsqueeze", index, last) for index in (which, codes)]
    tables = graph.constant("codebooks", np.stack([_wide(s.codebook.weight) for s in stages]))
    # indexed by stage and code, so that no code out of range reads from the next codebook
    entries = graph.add("GatherND", tables, graph.add("Concat", *places, axis=-1))  # (B, n, T, d)
    flat = graph.constant("flat", [0, 0, -1])
    beside = graph.add("Transpose", entries, perm=[0, 2, 1, 3])
    beside = graph.add("Reshape", beside, flat)  # (B, T, n d)
    columns = np.concatenate([_wide(stage.out_proj.weight[..., 0].T) for stage in stages])
    width = graph.constant("width", [len(columns) // len(stages)])
    n_rows = graph.add("Mul", n, width)
    weight = _first(graph, graph.constant("out_projs", columns), n_rows)
    latents = graph.add("Add", graph.add("MatMul", beside, weight), _bias(graph, stages, n))
    latents = graph.add("Cast", latents, to=onnx.TensorProto.FLOAT)
    return graph.add("Transpose", latents, perm=[0, 2, 1])


def _bias(graph: Graph, stages: Sequence[VectorQuantizer], n: str) -> str:
    """The sum of the biases of the first n projections, float64 (1, D)."""
    biases = [
        np.zeros(len(s.out_proj.weight)) if s.out_proj.bias is None else _wide(s.out_proj.bias)
        for s in stages
    ]
    sums = graph.constant("out_biases", np.cumsum(biases, axis=0))
    return graph.add("Gather", sums, graph.add("Sub", n, graph.constant("one", [1])))


def _first(graph: Graph, table: str, n: str) -> str:
    """The first n rows of a table. n: int64 (1,)."""
    return graph.add("Slice", table, graph.constant("start", [0]), n)


def _wide(value: Tensor) -> np.ndarray:
    return value.detach().to("cpu").double().numpy()
