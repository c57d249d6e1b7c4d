"""Converts three layouts of the same parameters to ours, with weight norm folded.

published      descript-audio-codec: numbered blocks, weight-normalized
transformers   DacModel's names, folded (or parametrized, if weight norm was applied again)
ours           the names of audiocodec.model

Names may have a prefix, from a wrapper (`model.`, `module.`) or a composite model
(`audio_encoder.`). Names, shapes and types are checked before any parameter is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from audiocodec.errors import ModelError, quoted
from audiocodec.model.config import ModelConfig

UNIT_PARTS = ("snake1", "conv1", "snake2", "conv2")
WEIGHT_NORM = {  # name of the magnitude: name of the direction
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}
_PARAMETER = re.compile(
    r"(.+)\.(weight_[gv]|parametrizations\.weight\.original[01]|weight|bias|alpha)"
)
OUR_CODEBOOK = "quantizer.stages.0.codebook.weight"
THEIR_CODEBOOK = "quantizer.quantizers.0.codebook.weight"  # published, and in transformers
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

# our setting: its names in published files, transformers and Parler-TTS
SETTINGS = {
    "sample_rate": ("sample_rate", "sampling_rate"),
    "encoder_dim": ("encoder_dim", "encoder_hidden_size"),
    "encoder_strides": ("encoder_rates", "downsampling_ratios"),
    "latent_dim": ("latent_dim", "hidden_size"),
    "decoder_dim": ("decoder_dim", "decoder_hidden_size"),
    "decoder_strides": ("decoder_rates", "upsampling_ratios"),
    "n_codebooks": ("n_codebooks", "num_codebooks"),
    "codebook_size": ("codebook_size",),
    "codebook_dim": ("codebook_dim",),
}
DAC_MODEL_RATE = 16000  # default sample rate of transformers' DacModel


class StoredParameter(Protocol):
    """A parameter in a file that has not been read yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file declares it."""

    @property
    def dtype(self) -> torch.dtype:
        """As the file declares it."""

    def read(self) -> Tensor:
        """Read the tensor. Raises ModelError if the file holds less than it declares."""


def describes_codec(values: Mapping[str, Any]) -> bool:
    """Whether the values have the settings that only a codec of this architecture has."""
    needed = SETTINGS["sample_rate"], SETTINGS["n_codebooks"]
    return all(any(name in values for name in names) for names in needed)


def translated_config(values: Mapping[str, Any]) -> ModelConfig:
    """Our configuration from the settings of published files, transformers or Parler-TTS.

    Settings that the networks do not need are ignored, also hop_length, which is often wrong.
    Raises ModelError for settings that are out of bounds or do not fit together.
    """
    given = {name: value for name, value in values.items() if value is not None}
    known = {
        ours: next(given[name] for name in names if name in given)
        for ours, names in SETTINGS.items()
        if not given.keys().isdisjoint(names)
    }
    known["codebook_dim"] = _one_width(known.get("codebook_dim", ModelConfig.codebook_dim))
    return ModelConfig.from_dict(known)


def _one_width(codebook_dim: Any) -> Any:
    """One width from a list with a width for each codebook. Raises ModelError if they differ."""
    if not isinstance(codebook_dim, list | tuple) or not codebook_dim:
        return codebook_dim
    if any(width != codebook_dim[0] for width in codebook_dim):
        raise ModelError(f"codebook_dim is {quoted(codebook_dim)}; codebooks must be equally wide")
    return codebook_dim[0]


def codec_prefix(names: Mapping[str, object]) -> str:
    """The prefix of the codec's parameter names, "" if there is none.

    Raises ModelError if there is no codec of this architecture, or several.
    """
    anchors = OUR_CODEBOOK, THEIR_CODEBOOK
    found = {key.removesuffix(end) for key in names for end in anchors if key.endswith(end)}
    prefixes = sorted(prefix for prefix in found if not prefix or prefix.endswith("."))
    if not prefixes:
        raise ModelError(
            f"it holds no Descript Audio Codec: {THEIR_CODEBOOK} is missing among its "
            f"{len(names)} parameters"
        )
    if len(prefixes) > 1:
        raise ModelError(
            f"it holds {len(prefixes)} codecs, under {quoted(prefixes)}; give a file with one"
        )
    return prefixes[0]


def published_names(config: ModelConfig) -> dict[str, str]:
    """Module names: published -> ours."""
    return {published: ours for ours, published, _ in _modules(config)}


def transformers_names(config: ModelConfig) -> dict[str, str]:
    """Module names: transformers -> ours."""
    return {transformers: ours for ours, _, transformers in _modules(config)}


def is_ours(state: Mapping[str, object]) -> bool:
    """Whether the parameters, without prefix, have our names."""
    return OUR_CODEBOOK in state


def is_transformers(state: Mapping[str, object]) -> bool:
    """Whether the parameters, without prefix, have the names of transformers' DacModel."""
    return any(key.startswith("encoder.conv1.") for key in state)


def renamed(
    state: Mapping[str, StoredParameter], config: ModelConfig
) -> dict[str, StoredParameter]:
    """The same parameters under our names. Raises ModelError for one that has none."""
    if is_ours(state):
        return dict(state)
    names = (transformers_names if is_transformers(state) else published_names)(config)
    result = {}
    for key, tensor in state.items():
        match = _PARAMETER.fullmatch(key)
        if match is None or match[1] not in names:
            raise ModelError(f"it has a parameter that this architecture lacks: {quoted(key)}")
        result[f"{names[match[1]]}.{match[2]}"] = tensor
    return result


def _modules(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """Every module with parameters: our name, the published one, and that of transformers."""
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


def assembled(
    state: Mapping[str, StoredParameter], expected: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Read the parameters of a model, in float32, with weight norm folded.

    expected: name and shape of each. Names, shapes and types are checked before anything is read.
    Raises ModelError for a parameter that is missing, superfluous, of another shape or type, larger
    than what is stored, or not finite.
    """
    parts = {name: _parts(name, state) for name in expected}
    if missing := sorted(name for name, keys in parts.items() if not keys):
        raise ModelError(f"{len(missing)} parameters are missing, among them {quoted(missing[0])}")
    if extra := sorted(state.keys() - {key for keys in parts.values() for key in keys}):
        raise ModelError(f"it has {len(extra)} parameters too many, among them {quoted(extra[0])}")
    for name, shape in expected.items():
        _check_declared([state[key] for key in parts[name]], name, tuple(shape))
    return {name: _read([state[key] for key in keys], name) for name, keys in parts.items()}


def _parts(name: str, state: Mapping[str, StoredParameter]) -> tuple[str, ...]:
    """The stored keys of a parameter: its own, or (magnitude, direction); () if it is missing."""
    if name in state:
        return (name,)
    module = name.removesuffix("weight")
    for magnitude, direction in WEIGHT_NORM.items():
        keys = module + magnitude, module + direction
        if name.endswith(".weight") and all(key in state for key in keys):
            return keys
    return ()


def _check_declared(parts: list[StoredParameter], name: str, shape: tuple[int, ...]) -> None:
    magnitudes = [part.shape for part in parts[:-1]]
    if parts[-1].shape != shape or magnitudes not in ([], [(shape[0], *[1] * (len(shape) - 1))]):
        raise ModelError(
            f"{name} is shaped {' and '.join(quoted(part.shape) for part in parts)}; the "
            f"configuration wants {shape}"
        )
    for part in parts:
        if part.dtype not in FLOATS:
            raise ModelError(f"{name} holds {part.dtype}, not floating-point numbers")


def _read(parts: list[StoredParameter], name: str) -> Tensor:
    tensors = [part.read() for part in parts]
    result = folded(*tensors) if len(tensors) == 2 else tensors[0].float()
    if not torch.isfinite(result).all():
        raise ModelError(f"{name} holds values that are not finite")
    return result


def folded(magnitude: Tensor, direction: Tensor) -> Tensor:
    """Fold weight norm: w = g v / |v|, the norm over all dimensions but the first.

    magnitude: (n, 1, ...). direction: (n, ...). Returns float32 shaped like direction, computed in
    float64 on the CPU, so that it does not depend on the machine.
    """
    v = direction.double()
    norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
    return (v * (magnitude.double().view_as(norm) / norm)).float()
