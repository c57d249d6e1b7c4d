"""Reads a model from a folder or a file, whatever its layout, and writes our own."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from audiocodec.errors import ArgumentError, ModelError, OutputError
from audiocodec.files import make_folder
from audiocodec.model.config import ALIGNMENTS, ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights import layouts

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FORMAT = "audiocodec"
MAX_CONFIG_BYTES = 2**20


def load_model(path: Path, alignment: str | None = None) -> tuple[DAC, str | None]:
    """Read a model: a folder or model.safetensors with config.json beside it, or a .pth file.

    alignment overrides that of the configuration (see ModelConfig).
    Returns the model, in float32 on the CPU, and the name it carries, if any.
    Raises ModelError, naming the file, for anything that is not a model of this architecture,
    ArgumentError for another alignment than there are.
    """
    if alignment not in (None, *ALIGNMENTS):
        raise ArgumentError(f"alignment {alignment!r} is none of {', '.join(ALIGNMENTS)}")
    try:
        if path.is_dir() or path.suffix == ".safetensors":
            config, state, name = _read_folder(path if path.is_dir() else path.parent, path)
        else:
            config, state, name = _read_published(path)
        if alignment is not None:
            config = replace(config, alignment=alignment)
        return _built(config, state), name
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error.__cause__


def save_model(
    model: DAC, folder: Path, name: str, half: bool = False, card: str | None = None
) -> None:
    """Write config.json and model.safetensors in our own layout; float16 if `half`.

    card: text of a README.md beside them. The folder is made where it is missing. A model that is
    in it is replaced, as in the libraries for the hub; other files in it stay.
    Raises OutputError where the folder or a file cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    values = {"format": FORMAT, "name": name, **model.config.to_dict()}
    try:
        make_folder(folder)
        save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt"})
        (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        if card is not None:
            (folder / CARD_FILE).write_text(card, encoding="utf-8")
    except (OSError, ValueError, SafetensorError) as error:  # ValueError: a name with a NUL
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{str(folder)!r}: a model cannot be written there: {reason}") from error


def _built(config: ModelConfig, state: dict[str, Tensor]) -> DAC:
    with torch.device("meta"):  # takes no memory, whatever the configuration claims
        model = DAC(config)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict(layouts.checked(state, expected), assign=True)
    return model.eval().requires_grad_(False)


def _read_folder(folder: Path, path: Path) -> tuple[ModelConfig, dict[str, Tensor], str | None]:
    values = _read_config(folder / CONFIG_FILE)
    weights = folder / WEIGHTS_FILE if path == folder else path
    try:
        state = load_file(weights)
    except FileNotFoundError as error:
        raise ModelError(f"no {WEIGHTS_FILE} beside {CONFIG_FILE}") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights.name} cannot be read: {error}") from error
    if values.get("format") == FORMAT:
        name = values.get("name")
        own = {k: v for k, v in values.items() if k not in ("format", "name")}
        return ModelConfig.from_dict(own), state, name if isinstance(name, str) else None
    if values.get("model_type") == "dac":
        config = layouts.transformers_config(values)
        state = layouts.renamed(state, layouts.transformers_names(config))
        return config, layouts.folded(state), None
    raise ModelError(
        f"{CONFIG_FILE} describes neither an audiocodec model nor a DacModel of transformers"
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelError(f"{path.name} is larger than {MAX_CONFIG_BYTES} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"no {path.name} there; a model is a folder with one") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path.name} does not hold an object")
    return values


def _read_published(path: Path) -> tuple[ModelConfig, dict[str, Tensor], str | None]:
    """Read {"state_dict", "metadata": {"kwargs"}}, tensors and plain values only."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state, kwargs = content["state_dict"], content["metadata"]["kwargs"]
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"not a published weights file, or not a safe one: {reason}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError("has no state_dict and metadata of the published layout") from error
    if not isinstance(kwargs, Mapping) or not _is_state(state):
        raise ModelError("has no state_dict and metadata of the published layout")
    config = layouts.published_config(kwargs)
    state = layouts.renamed(state, layouts.published_names(config))
    return config, layouts.folded(state), None


def _is_state(state: object) -> bool:
    return isinstance(state, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    )
