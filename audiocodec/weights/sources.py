"""Finds and opens the files of a model in any supported layout; tensors are read later.

These are config.json beside model.safetensors or pytorch_model.bin, whole or in shards with an
index, and weights.pth of the published package, alone or in the folder of a training run.
"""

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from audiocodec.errors import ModelError, one_line, quoted
from audiocodec.model.config import ModelConfig
from audiocodec.weights import layouts
from audiocodec.weights.torch_files import StoredTensor, read_torch_file

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
WEIGHTS_FILES = (WEIGHTS_FILE, "pytorch_model.bin")
FORMAT, TRAINING_FORMAT = "audiocodec", "audiocodec-training"
RUN_FILES = ("weights.pth", "dac/weights.pth", "best/dac/weights.pth", "latest/dac/weights.pth")
MODEL_TYPES = ("dac", "dac_on_the_hub")  # transformers and Parler-TTS
MAX_CONFIG_BYTES = 2**20
MAX_NAME = 200  # characters; the model's .dac files contain it
MAX_INDEX_BYTES, MAX_HEADER_BYTES = 2**21, 2**22  # about 100 for a tensor
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "C64": torch.complex64, "I64": torch.int64, "I32": torch.int32, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip

State = Mapping[str, layouts.StoredParameter]


@dataclass(frozen=True)
class Source:
    """A model in files. state: parameters by our names. name: the one stored with it, if any."""

    config: ModelConfig
    state: State
    name: str | None = None


def open_source(path: Path) -> Source:
    """Open a model by its folder or one of its files.

    Raises ModelError, without the path, for anything that is not a model of this architecture.
    """
    if path.suffix == ".json" and path.is_file():  # the weights are beside it
        path = path.parent
    if path.is_dir():
        return _open_folder(path)
    if path.suffix == ".safetensors":
        return _described(read_json(path.with_name(CONFIG_FILE)), _safetensors(path))
    return _open_torch_file(path)


def shard_names(index: Mapping[str, Any]) -> list[str]:
    """The shards that hold the codec, from an index; a composite model has others.

    Raises ModelError for an index that does not name files of the same folder.
    """
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(map(_is_file_name, places.values())):
        raise ModelError("its index of shards does not name files of the same folder")
    prefix = layouts.codec_prefix(places)
    return sorted({file for key, file in places.items() if key.startswith(prefix)})


def read_json(path: Path, max_bytes: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Read a JSON object from a file of bounded size. Raises ModelError with the file's name."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path.name} is not an ordinary file")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise ModelError(f"{path.name} is larger than {max_bytes} bytes")
        values = json.loads(content.decode())
    except FileNotFoundError as error:
        raise ModelError(f"no {path.name} there; a model folder has one") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path.name} does not hold a JSON object")
    return values


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"\w[\w.-]{,199}", name) is not None


def _open_folder(folder: Path) -> Source:
    if not (folder / CONFIG_FILE).exists():
        for name in RUN_FILES:
            if (folder / name).is_file():
                return _open_torch_file(folder / name)
        raise ModelError(f"no {CONFIG_FILE} there; a model folder has one{_hint(folder)}")
    values = read_json(folder / CONFIG_FILE)
    for name in WEIGHTS_FILES:
        if (folder / name).exists():
            return _described(values, _tensors(folder / name))
        if (index := folder / f"{name}.index.json").exists():
            shards = shard_names(read_json(index, MAX_INDEX_BYTES))
            tensors = [item for shard in shards for item in _tensors(folder / shard).items()]
            return _described(values, dict(tensors))
    raise ModelError(f"no {' or '.join(WEIGHTS_FILES)} beside {CONFIG_FILE}{_hint(folder)}")


def _hint(folder: Path) -> str:
    """A hint at what to give instead of this folder, or ""."""
    if (folder / "model" / CONFIG_FILE).is_file():
        return "; give its folder `model`"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    found = [n for n in names if n.endswith((".pth", ".pt", ".ckpt", ".bin", ".safetensors"))]
    return f"; give the file if {quoted(found[0])} is a published one" if found else ""


def _open_torch_file(path: Path) -> Source:
    """Open {"state_dict", "metadata": {"kwargs"}}, as published, or a file beside a config.json."""
    content = read_torch_file(path)
    if not isinstance(content, dict):
        raise ModelError("it has no state_dict and metadata as published files do")
    if str(content.get("format")).startswith(TRAINING_FORMAT):
        raise ModelError(
            "it is a checkpoint of audiocodec train; give the folder `model` beside it"
        )
    metadata = content.get("metadata")
    kwargs = metadata.get("kwargs") if isinstance(metadata, dict) else None
    state = _state(content)
    if isinstance(kwargs, dict):
        return _described(kwargs, state)
    if not path.with_name(CONFIG_FILE).exists():
        raise ModelError(
            "it has no metadata with the settings of its networks; give a weights.pth as the "
            f"published package saves it, or put the {CONFIG_FILE} of the model beside it"
        )
    return _described(read_json(path.with_name(CONFIG_FILE)), state)


def _tensors(path: Path) -> State:
    try:
        return (
            _safetensors(path) if path.suffix == ".safetensors" else _state(read_torch_file(path))
        )
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from error


def _state(content: Any) -> State:
    """The parameters in a torch.save file: its content itself, or the state_dict in it."""
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ModelError("it has no state_dict of parameters")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, StoredTensor):
            raise ModelError(f"it has no state_dict of parameters: {quoted(key)} is not one")
    return state


@dataclass(frozen=True)
class _SafeTensor:
    file: Any  # safe_open
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def read(self) -> Tensor:
        try:
            tensor: Tensor = self.file.get_tensor(self.name)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ModelError(f"{quoted(self.name)} cannot be read: {one_line(error)}") from error
        return tensor


def _safetensors(path: Path) -> State:
    """The parameters in a safetensors file; checks first that its header is not too large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path.name} is not an ordinary file")
        with path.open("rb") as raw:
            n_bytes = int.from_bytes(raw.read(8), "little")
        if n_bytes > MAX_HEADER_BYTES:
            raise ModelError(f"{path.name} cannot be read: its header claims {n_bytes} bytes")
        file: Any = safe_open(path, framework="pt")
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {
            name: _SafeTensor(file, name, tuple(one.get_shape()), _dtype(one.get_dtype()))
            for name, one in slices.items()
        }
    except FileNotFoundError as error:
        raise ModelError(f"no {path.name} there") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} cannot be read: {one_line(error)}") from error


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise ModelError(f"it has a parameter of type {quoted(name)}, which is not supported")
    return DTYPES[name]


def _described(values: Mapping[str, Any], state: State) -> Source:
    """Make a Source of settings and parameters, which may have a prefix."""
    is_own = values.get("format") == FORMAT
    settings = _own_settings(values) if is_own else _codec_settings(values)
    config = ModelConfig.from_dict(settings) if is_own else layouts.translated_config(settings)
    prefix = layouts.codec_prefix(state)
    own = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
    if layouts.is_transformers(own) and "sampling_rate" not in settings:
        config = replace(config, sample_rate=layouts.DAC_MODEL_RATE)
    name = values.get("name") if is_own else None
    is_name = isinstance(name, str) and name.isprintable() and len(name) <= MAX_NAME
    return Source(config, layouts.renamed(own, config), name if is_name else None)


def _own_settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {k: v for k, v in values.items() if k not in ("format", "name")}


def _codec_settings(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The codec's settings: the values themselves, or a part of a composite configuration."""
    inner = [value for value in values.values() if isinstance(value, dict)]
    for settings in (values, *inner):
        if settings.get("model_type") in MODEL_TYPES or layouts.describes_codec(settings):
            return settings
    raise ModelError(
        f"{CONFIG_FILE} describes neither an audiocodec model nor a Descript Audio Codec of "
        "transformers, Parler-TTS or a composite model"
    )
