"""Downloads a model from the Hugging Face Hub, or finds it in the cache if there is no network."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypedDict

from audiocodec.errors import ModelError, one_line
from audiocodec.weights.registry import DEFAULT_MODEL
from audiocodec.weights.sources import (
    CONFIG_FILE,
    MAX_INDEX_BYTES,
    WEIGHTS_FILES,
    read_json,
    shard_names,
)

TIMEOUT_S = 5.0  # for an answer from the hub, unless HF_HUB_ETAG_TIMEOUT is set
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubOptions(TypedDict, total=False):
    """How to reach the hub, as huggingface_hub takes it."""

    token: str | bool | None
    """An access token, True for the stored one, or False for none."""
    cache_dir: str | Path | None
    """The cache folder, instead of huggingface_hub's default."""
    local_files_only: bool
    """Use the cache only and do not contact the hub."""


def fetch(hub_id: str, revision: str | None, options: HubOptions) -> Path:
    """Download a model and return its folder in the cache, with all files of one commit.

    If the hub does not answer within the timeout, what the cache has is used. Raises ModelError.
    """
    asked, where = options, f"{hub_id} at revision {revision}" if revision else hub_id
    from_cache: HubOptions = {**options, "local_files_only": True}
    with quiet_hub():
        try:
            if revision and COMMIT.fullmatch(revision):  # a commit never changes: the cache will do
                with suppress(FileNotFoundError):
                    return _downloaded(hub_id, revision, from_cache)
            if options.get("local_files_only") or not _is_reachable(hub_id, revision, options):
                options = from_cache
            return _downloaded(hub_id, revision, options)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error
        except FileNotFoundError as error:
            raise ModelError(f"{where}: {_not_cached(hub_id, revision, asked)}") from error
        except Exception as error:  # any, since huggingface_hub's HTTP library varies
            raise ModelError(
                f"{where}: cannot be downloaded: {type(error).__name__}: {one_line(error)}; check "
                "the name and the revision, and for a private or gated repository run "
                "`hf auth login`"
            ) from error


def _is_reachable(hub_id: str, revision: str | None, options: HubOptions) -> bool:
    """Whether the hub answers, even with a refusal. A download would retry for 23 s."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    is_default = constants.HF_HUB_ETAG_TIMEOUT == constants.DEFAULT_ETAG_TIMEOUT
    timeout = TIMEOUT_S if is_default else constants.HF_HUB_ETAG_TIMEOUT
    try:
        url = hf_hub_url(hub_id, CONFIG_FILE, revision=revision)
        get_hf_file_metadata(url, token=options.get("token"), timeout=timeout)
    except HfHubHTTPError as error:
        return error.response is not None and error.response.status_code < 500
    except LocalTokenNotFoundError:
        raise
    except Exception:  # any, since huggingface_hub's HTTP library varies
        return False
    return True


def _downloaded(hub_id: str, revision: str | None, options: HubOptions) -> Path:
    """Download the files that the cache lacks.

    Raises ModelError, or with local_files_only FileNotFoundError.
    """
    config = _file(hub_id, CONFIG_FILE, revision, options)
    if config is None:
        raise _lacks(CONFIG_FILE, options)
    # all files from one commit, even if the branch moves meanwhile
    get = partial(_file, hub_id, revision=config.parent.name, options=options)
    for name in WEIGHTS_FILES:
        if get(name) is not None:
            return config.parent
        if (index := get(f"{name}.index.json")) is not None:
            for shard in shard_names(read_json(index, MAX_INDEX_BYTES)):
                if get(shard) is None:
                    raise _lacks(shard, options)
            return config.parent
    raise _lacks(" or ".join(WEIGHTS_FILES), options)


def _file(hub_id: str, name: str, revision: str | None, options: HubOptions) -> Path | None:
    """A file in the cache. None if the repository lacks it, or with local_files_only the cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(hub_id, name, revision=revision, **options))
    except EntryNotFoundError as error:
        if isinstance(error, FileNotFoundError) and not options.get("local_files_only"):
            raise  # the hub answered before, but does not any more
        return None


def _lacks(what: str, options: HubOptions) -> Exception:
    if options.get("local_files_only"):
        return FileNotFoundError(what)
    return ModelError(
        f"has no {what}; if it holds a published .pth file, download that and give its path"
    )


def _not_cached(hub_id: str, revision: str | None, options: HubOptions) -> str:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(
        hub_id, CONFIG_FILE, cache_dir=options.get("cache_dir"), revision=revision or "main"
    )
    part = "only a part of it is in the cache" if cached else "it is not in the cache"
    if options.get("local_files_only"):
        return f"{part}, and local_files_only=True forbids to contact the hub"
    return (
        f"{part} and the hub cannot be reached (no network, or HF_HUB_OFFLINE is set); connect "
        f"once, give a folder on disk, or use the built-in {DEFAULT_MODEL}"
    )


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Hide huggingface_hub's warnings in this thread, unless its log level is below warning."""
    thread, logger = threading.get_ident(), logging.getLogger("huggingface_hub")

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno > logging.WARNING

    handlers = list(logger.handlers) if logger.getEffectiveLevel() >= logging.WARNING else []
    for handler in handlers:
        handler.addFilter(is_wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_wanted)
