"""The key of a listening test: which id stands for which clip or system.

The page never loads it, so listeners can work in the same folder without seeing it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiocodec.errors import CodecError
from audiocodec.files import write_file

REFERENCE, ANCHOR, SYSTEM = "reference", "anchor", "system"  # roles of conditions
MAX_BYTES = 16 * 2**20


class RatingsError(CodecError):
    """A key or ratings file that cannot be used; names the file and what is wrong in one line."""


@dataclass(frozen=True)
class KeyCondition:
    """What one id of a trial stands for."""

    role: str  # REFERENCE, ANCHOR or SYSTEM
    system: str  # as in tables: "audiocodec, 9 codebooks"
    kbps: float  # 0: reference and anchor have none


@dataclass(frozen=True)
class KeyTrial:
    """A clip and its conditions, by id."""

    trial: str
    clip: str
    kind: str  # class
    conditions: dict[str, KeyCondition]


@dataclass(frozen=True)
class Key:
    """The key of one test. In each trial, systems are in the report's order."""

    test: str  # id, which each ratings file repeats
    title: str
    trials: tuple[KeyTrial, ...]

    def by_trial(self) -> dict[str, KeyTrial]:
        """Trials by id."""
        return {trial.trial: trial for trial in self.trials}


def write_key(path: Path, key: Key) -> None:
    """Write as JSON, replacing an older key. Raises OutputError if it cannot be written."""
    write_file(path, json.dumps(asdict(key), indent=1, ensure_ascii=False))


def read_key(path: Path) -> Key:
    """Read a file of write_key. Raises RatingsError for anything else."""
    found = load_json(path)
    try:
        trials = tuple(_trial(trial) for trial in found["trials"])
        return Key(_text(found["test"]), _text(found["title"]), trials)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RatingsError(
            f"{path}: is not the key of a listening test; give listening_key.json of its folder"
        ) from error


def _trial(found: Mapping[str, Any]) -> KeyTrial:
    conditions = {
        _text(name): KeyCondition(_role(what["role"]), _text(what["system"]), float(what["kbps"]))
        for name, what in found["conditions"].items()
    }
    roles = [condition.role for condition in conditions.values()]
    if roles.count(REFERENCE) != 1 or roles.count(ANCHOR) != 1:
        raise ValueError("a trial has one hidden reference and one anchor")
    return KeyTrial(_text(found["trial"]), _text(found["clip"]), _text(found["kind"]), conditions)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _role(value: object) -> str:
    if value not in (REFERENCE, ANCHOR, SYSTEM):
        raise ValueError("no such role")
    return str(value)


def load_text(path: Path) -> str:
    """Read a text file of at most MAX_BYTES. Raises RatingsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RatingsError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise RatingsError(f"{path}: longer than {MAX_BYTES // 2**20} MiB; not a ratings file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RatingsError(f"{path}: is not UTF-8 text") from error


def load_json(path: Path) -> Any:
    """Read JSON of at most MAX_BYTES. Raises RatingsError, also if it is cut or nested too deep."""
    try:
        return json.loads(load_text(path))
    except (ValueError, RecursionError) as error:  # JSONDecodeError, or a number of 5000 digits
        reason = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise RatingsError(f"{path}: is not whole JSON: {reason}") from error
