"""Three layouts of the same parameters, made into one: our names, weight norm folded.

published      .pth of descript-audio-codec: numbered blocks, weight-normalized
transformers   DacModel's names, folded (or parametrized, if weight norm was applied again)
ours           the names of audiocodec.model
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from audiocodec.errors import ModelError
from audiocodec.model.config import ModelConfig

UNIT_PARTS = ("snake1", "conv1", "snake2", "conv2")
WEIGHT_NORM = {  # how a magnitude and a direction are called, then what they fold into
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}
_PARAMETER = re.compile(
    r"(.+)\.(weight_[gv]|parametrizations\.weight\.original[01]|weight|bias|alpha)"
)


def published_config(kwargs: Mapping[str, object]) -> ModelConfig:
    """Configuration from the constructor's arguments that a published .pth carries."""
    names = {
        "sample_rate": "sample_rate",
        "encoder_dim": "encoder_dim",
        "encoder_rates": "encoder_strides",
        "latent_dim": "latent_dim",
        "decoder_dim": "decoder_dim",
        "decoder_rates": "decoder_strides",
        "n_codebooks": "n_codebooks",
        "codebook_size": "codebook_size",
        "codebook_dim": "codebook_dim",
    }
    return _translated(kwargs, names)


def transformers_config(values: Mapping[str, object]) -> ModelConfig:
    """Configuration from DacModel's config.json; its hop_length is not trusted, nor read."""
    names = {
        "sampling_rate": "sample_rate",
        "encoder_hidden_size": "encoder_dim",
        "downsampling_ratios": "encoder_strides",
        "hidden_size": "latent_dim",
        "decoder_hidden_size": "decoder_dim",
        "upsampling_ratios": "decoder_strides",
        "n_codebooks": "n_codebooks",
        "codebook_size": "codebook_size",
        "codebook_dim": "codebook_dim",
    }
    return _translated(values, names)


def _translated(values: Mapping[str, object], names: Mapping[str, str]) -> ModelConfig:
    present = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
    return ModelConfig.from_dict({k: v for k, v in present.items() if v is not None})


def published_names(config: ModelConfig) -> dict[str, str]:
    """Module names: published -> ours."""
    return {published: ours for ours, published, _ in _modules(config)}


def transformers_names(config: ModelConfig) -> dict[str, str]:
    """Module names: transformers -> ours."""
    return {transformers: ours for ours, _, transformers in _modules(config)}


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """The same parameters under our names. Raises ModelError for one that has none."""
    result = {}
    for key, tensor in state.items():
        match = _PARAMETER.fullmatch(key)
        if match is None or match[1] not in names:
            raise ModelError(f"a parameter that this architecture does not have: {key}")
        result[f"{names[match[1]]}.{match[2]}"] = tensor
    return result


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weight norm folded: w = g v / |v|, the norm over all but the first dimension.

    In float64 on the CPU, so that the result does not depend on the machine.
    """
    result = dict(state)
    for key in state:
        for magnitude, direction in WEIGHT_NORM.items():
            if key.endswith("." + magnitude):
                prefix = key.removesuffix(magnitude)
                if prefix + direction not in result:
                    raise ModelError(f"{key} has no {prefix}{direction} beside it")
                g = result.pop(key).double()
                v = result.pop(prefix + direction).double()
                norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
                result[prefix + "weight"] = (v * (g.view_as(norm) / norm)).float()
    return result


def _modules(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """Every module that holds parameters: its name here, published, and in transformers."""
    yield from _ends("encoder", "block", len(config.encoder_strides))
    for i in range(len(config.encoder_strides)):
        stage = f"encoder.stages.{i}", f"encoder.block.{i + 1}.block", f"encoder.block.{i}"
        yield from _units(*stage, first=0)
        yield f"{stage[0]}.snake", f"{stage[1]}.3", f"{stage[2]}.snake1"
        yield f"{stage[0]}.down", f"{stage[1]}.4", f"{stage[2]}.conv1"
    for i in range(config.n_codebooks):
        for part in ("in_proj", "out_proj", "codebook"):
            theirs = f"quantizer.quantizers.{i}.{part}"
            yield f"quantizer.stages.{i}.{part}", theirs, theirs
    yield from _ends("decoder", "model", len(config.decoder_strides))
    for i in range(len(config.decoder_strides)):
        stage = f"decoder.stages.{i}", f"decoder.model.{i + 1}.block", f"decoder.block.{i}"
        yield f"{stage[0]}.snake", f"{stage[1]}.0", f"{stage[2]}.snake1"
        yield f"{stage[0]}.up", f"{stage[1]}.1", f"{stage[2]}.conv_t1"
        yield from _units(*stage, first=2)


def _ends(network: str, row: str, n_stages: int) -> Iterator[tuple[str, str, str]]:
    yield f"{network}.conv_in", f"{network}.{row}.0", f"{network}.conv1"
    yield f"{network}.snake_out", f"{network}.{row}.{n_stages + 1}", f"{network}.snake1"
    yield f"{network}.conv_out", f"{network}.{row}.{n_stages + 2}", f"{network}.conv2"


def _units(
    ours: str, published: str, transformers: str, first: int
) -> Iterator[tuple[str, str, str]]:
    for j in range(3):
        for k, part in enumerate(UNIT_PARTS):
            yield (
                f"{ours}.units.{j}.{part}",
                f"{published}.{first + j}.block.{k}",
                f"{transformers}.res_unit{j + 1}.{part}",
            )


def checked(state: dict[str, Tensor], expected: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The parameters in float32, after a look at names, shapes, storage and values.

    Raises ModelError for a parameter that is missing, too many, of a wrong shape, larger than
    what the file holds for it, or not finite.
    """
    if missing := sorted(expected.keys() - state.keys()):
        raise ModelError(f"{len(missing)} parameters are missing, {missing[0]} among them")
    if extra := sorted(state.keys() - expected.keys()):
        raise ModelError(f"{len(extra)} parameters too many, {extra[0]} among them")
    result = {}
    for name, shape in expected.items():
        tensor = state[name]
        if tensor.shape != shape:
            raise ModelError(
                f"{name} is shaped {tuple(tensor.shape)}; the configuration wants {tuple(shape)}"
            )
        if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise ModelError(f"{name} is declared larger than it is stored")
        result[name] = tensor.float().contiguous()
        if not torch.isfinite(result[name]).all():
            raise ModelError(f"{name} holds values that are not finite")
    return result
