"""Finds the files of a model by its name, hub repository, folder or file."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from audiocodec.errors import ArgumentError, ModelError
from audiocodec.weights.hub import HubOptions, fetch
from audiocodec.weights.registry import DEFAULT_MODEL, KNOWN_MODELS

BUILTIN = Path(__file__).with_name("builtin")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Located:
    """A model on this disk. name: under which it can be loaded on any machine, None for a path."""

    path: Path
    name: str | None


def resolve(
    name_or_path: str | os.PathLike[str],
    revision: str | None = None,
    options: HubOptions | None = None,
) -> Located:
    """Find a model: a known name, else a path that exists, else a hub repository.

    revision: a branch, tag or commit of the hub repository. options: how to reach the hub.
    Raises ModelError, which says what was tried and what to do, and ArgumentError for a revision of
    a model that is not on the hub.
    """
    given = os.fspath(name_or_path)
    path = Path(given)
    is_builtin = given == DEFAULT_MODEL
    if is_builtin or (given not in KNOWN_MODELS and path.exists()):
        if revision is not None:
            place = "built in" if is_builtin else "on this disk"
            raise ArgumentError(
                f"{given}: is {place} and has no revision {revision}; leave the revision out"
            )
        return Located(BUILTIN, DEFAULT_MODEL) if is_builtin else Located(path, None)
    known = KNOWN_MODELS.get(given)
    if known is not None and known.hub_id is None:
        raise ModelError(
            f"{given}: these weights are not on the hub; download them from {known.url} "
            "and give the file's path instead of the name"
        )
    hub_id = known.hub_id if known is not None and known.hub_id else given
    if not _HUB_ID.fullmatch(hub_id) or path.suffix in (".pth", ".safetensors"):
        raise ModelError(
            f"{given}: no such file or folder, and not the name of a model; "
            f"known names are {', '.join(KNOWN_MODELS)}, hub repositories look like owner/name"
        )
    return Located(fetch(hub_id, revision, options or {}), _public_name(hub_id))


def _public_name(hub_id: str) -> str:
    return next((m.name for m in KNOWN_MODELS.values() if m.hub_id == hub_id), hub_id)
