"""Splits a checkpoint into parts small enough to download, and joins them again."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiocodec.errors import ModelError
from audiocodec.files import output_file
from audiocodec.lab.train import checkpoints
from audiocodec.lab.train.optimizers import DISCRIMINATORS

MIB = 2**20
PART_BYTES = 16 * MIB - 4096
ALL_BYTES = 63 * MIB  # leaves room for the log


def hand_back(checkpoint: Path, out: Path, most_bytes: int = ALL_BYTES) -> list[str]:
    """Write a checkpoint as out/state_1_of_4.part and so on; returns what was left out.

    Discriminators and optimisers are stored in bfloat16. If that is still too large, the optimiser
    state of the discriminators is left out, then that of the rest, then the discriminators.
    Raises ModelError where the model alone is too large.
    """
    state = checkpoints.read(checkpoint)
    state = {k: _halved(v) if k in ("optimizers", DISCRIMINATORS) else v for k, v in state.items()}
    left_out = []
    for name, leave_out in LESS.items():
        if len(content := _saved(state)) <= most_bytes:
            break
        leave_out(state)
        left_out.append(name)
    if len(content := _saved(state)) > most_bytes:
        raise ModelError(f"{checkpoint}: the model alone is more than {most_bytes / MIB:.0f} MiB")
    _write(content, out)
    return left_out


LESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "the optimiser of the discriminators": lambda state: state["optimizers"].pop(DISCRIMINATORS, 0),
    "the other optimisers": lambda state: state.update(optimizers={}),
    "the discriminators": lambda state: state.pop(DISCRIMINATORS, 0),
}


def whole(folder: Path, target: Path) -> Path:
    """Join the parts in a folder to the checkpoint `target`. Raises ModelError if one lacks."""
    found = sorted(folder.glob("state_*_of_*.part"))
    names = {f"state_{i + 1}_of_{len(found)}.part" for i in range(len(found))}
    if not found or {path.name for path in found} != names:
        have = ", ".join(path.name for path in found) or "none"
        raise ModelError(f"{folder}: not all parts of a checkpoint are there: {have}")
    with output_file(target, overwrite=True) as file:
        for path in found:
            file.write(path.read_bytes())
    checkpoints.read(target)  # parts of different checkpoints would not fit together
    return target


def _write(content: bytes, out: Path) -> None:
    """Write all new parts before deleting old ones, so that a killed run leaves a full set."""
    out.mkdir(parents=True, exist_ok=True)
    n = -(-len(content) // PART_BYTES)
    new = [(out / f"state_{i + 1}_of_{n}.part", i * PART_BYTES) for i in range(n)]
    for path, start in new:
        path.with_suffix(".new").write_bytes(content[start : start + PART_BYTES])
    for old in set(out.glob("state_*_of_*.part")) - {path for path, _ in new}:
        old.unlink()
    for path, _ in new:
        path.with_suffix(".new").rename(path)


def _halved(value: Any) -> Any:
    """Convert float tensors of more than one element, in dictionaries and lists, to bfloat16."""
    if isinstance(value, Tensor):
        return value.bfloat16() if value.is_floating_point() and value.numel() > 1 else value
    if isinstance(value, dict):
        return {key: _halved(one) for key, one in value.items()}
    return [_halved(one) for one in value] if isinstance(value, list) else value


def _saved(state: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()
