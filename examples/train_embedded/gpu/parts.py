"""A checkpoint in parts that are small enough to bring back, and whole again."""

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
ALL_BYTES = 63 * MIB  # the log comes back too


def hand_back(checkpoint: Path, out: Path, most_bytes: int = ALL_BYTES) -> list[str]:
    """Write a checkpoint as out/state_1_of_4.part and so on; what had to be left out.

    Discriminators and optimisers are in bfloat16. What is too much all the same is left out: the
    optimiser's state of the discriminators first, then the other ones, then the discriminators.
    Raises ModelError where the rest is still too much.
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
    """Join the parts in a folder to the checkpoint `target`. Raises ModelError where one lacks."""
    found = sorted(folder.glob("state_*_of_*.part"))
    names = {f"state_{i + 1}_of_{len(found)}.part" for i in range(len(found))}
    if not found or {path.name for path in found} != names:
        have = ", ".join(path.name for path in found) or "none"
        raise ModelError(f"{folder}: not all parts of a checkpoint are there: {have}")
    with output_file(target, overwrite=True) as file:
        for path in found:
            file.write(path.read_bytes())
    checkpoints.read(target)  # the ends may come from two of them
    return target


def _write(content: bytes, out: Path) -> None:
    """All parts beside the old ones first: a run that is killed between leaves a whole set."""
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
    """Float tensors of more than one element in bfloat16, in dictionaries and lists."""
    if isinstance(value, Tensor):
        return value.bfloat16() if value.is_floating_point() and value.numel() > 1 else value
    if isinstance(value, dict):
        return {key: _halved(one) for key, one in value.items()}
    return [_halved(one) for one in value] if isinstance(value, list) else value


def _saved(state: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()
