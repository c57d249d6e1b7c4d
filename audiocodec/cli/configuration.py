"""Flags from YAML files for --args.load: read safely, checked; a file may include others."""

from argparse import Action
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml  # a dependency of argbind

from audiocodec.errors import ArgumentError, one_line, quoted

LOAD = "args.load"
INCLUDE = "$include"  # argbind's keyword
SHIPPED = Path(__file__).parents[1] / "lab" / "train" / "conf"
MAX_BYTES = 2**20
DEEPEST = 8  # levels of nested includes


def settings_of(name: str, actions: Iterable[Action]) -> dict[str, Any]:
    """Values of a configuration file by flag.

    name: path of a YAML file, or name of a shipped one, with or without .yml and the folder conf/.
    Raises ArgumentError for an unreadable file, an unknown flag or a value of the wrong type.
    """
    path = _found(name)
    by_dest = {a.dest: a for a in actions if a.dest not in (LOAD, "help")}
    values = {key.replace("-", "_"): value for key, value in _read(path, DEEPEST).items()}
    if unknown := sorted(set(values) - set(by_dest)):
        raise ArgumentError(f"{path}: unknown settings {', '.join(unknown)}")
    return {key: _fitted(path, by_dest[key], value) for key, value in values.items()}


def _found(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    inside = SHIPPED / name.removeprefix("conf/")
    for shipped in (inside, inside.with_name(f"{inside.name}.yml")):
        if shipped.is_file() and shipped.resolve().is_relative_to(SHIPPED.resolve()):
            return shipped
    known = sorted(p.relative_to(SHIPPED).with_suffix("") for p in SHIPPED.rglob("*.yml"))
    names = ", ".join(path.as_posix() for path in known)
    raise ArgumentError(f"{name}: no such configuration file; shipped ones are {names}")


def _read(path: Path, depth: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        values = yaml.safe_load(content.decode())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = one_line(" ".join(str(error).split()))
        raise ArgumentError(f"{path}: not a readable configuration: {reason}") from error
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise ArgumentError(f"{path}: not a readable configuration: it must map flags to values")
    own = dict(values)
    included = own.pop(INCLUDE, [])
    merged: dict[str, Any] = {}
    if not isinstance(included, str | list):
        raise ArgumentError(f"{path}: {INCLUDE} is {quoted(included)}; it must name files")
    for other in [included] if isinstance(included, str) else included:
        if depth == 0:
            raise ArgumentError(f"{path}: includes are circular or nested too deeply")
        merged |= _read(path.parent / str(other), depth - 1)
    return merged | own


def _fitted(path: Path, action: Action, value: Any) -> Any:
    """The value as its flag's type; YAML reads 1e-4 as a string and 2 as an integer."""
    if action.nargs == 0:
        if isinstance(value, bool):
            return value
        raise ArgumentError(f"{path}: {action.dest} is {quoted(value)}; it must be true or false")
    try:
        if value is None or isinstance(value, bool | list | dict):
            raise ValueError
        return action.type(str(value))  # type: ignore[operator, misc]
    except (ValueError, TypeError) as error:
        kind = getattr(action.type, "__name__", "value")
        raise ArgumentError(
            f"{path}: {action.dest} is {quoted(value)}; it must be a {kind}"
        ) from error
