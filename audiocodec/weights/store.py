"""Reads a model in any supported layout, and writes it in ours."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from audiocodec.errors import ArgumentError, ModelError, OutputError, quoted
from audiocodec.files import make_folder
from audiocodec.model.config import ALIGNMENTS, ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.layouts import assembled
from audiocodec.weights.sources import CONFIG_FILE, FORMAT, WEIGHTS_FILE, State, open_source

CARD_FILE = "README.md"


def load_model(path: Path, alignment: str | None = None) -> tuple[DAC, str | None]:
    """Read a model from a folder or a file in any of the layouts (see weights.sources).

    alignment: overrides that of the configuration (see ModelConfig).
    Returns the model, in float32 on the CPU, and the name stored with it, if any.
    Raises ModelError, with the path, for anything that is not a model of this architecture,
    ArgumentError for an unknown alignment.
    """
    if alignment not in (None, *ALIGNMENTS):
        raise ArgumentError(f"alignment {quoted(alignment)} is none of {', '.join(ALIGNMENTS)}")
    try:
        source = open_source(path)
        if alignment is not None:
            source = replace(source, config=replace(source.config, alignment=alignment))
        return _built(source.config, source.state), source.name
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error.__cause__


def save_model(
    model: DAC, folder: Path, name: str, half: bool = False, card: str | None = None
) -> None:
    """Write config.json and model.safetensors in our own layout; float16 if `half`.

    card: the text of README.md. The folder is made if it is missing. A model in it is replaced, as
    other libraries for the hub do; other files in it stay.
    Raises OutputError if the folder or a file cannot be written.
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


def _built(config: ModelConfig, state: State) -> DAC:
    with torch.device("meta"):  # takes no memory, even for a huge configuration
        model = DAC(config)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict(assembled(state, expected), assign=True)
    return model.eval().requires_grad_(False)
