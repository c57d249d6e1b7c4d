"""Fetches a model from the Hugging Face Hub, or from its cache where the hub cannot be reached."""

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

TIMEOUT_S = 5.0  # until the hub counts as out of reach; HF_HUB_ETAG_TIMEOUT sets another
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubOptions(TypedDict, total=False):
    """How to reach the hub, as huggingface_hub takes it."""

    token: str | bool | None
    """An access token; True for the stored one, False for none."""
    cache_dir: str | Path | None
    """The folder of the cache, instead of huggingface_hub's."""
    local_files_only: bool
    """Take what the cache has and do not ask the hub."""


def fetch(hub_id: str, revision: str | None, options: HubOptions) -> Path:
    """The folder in the hub's cache that holds a model, all its files of one commit.

    The hub is asked once; where it does not answer soon, the cache decides. Raises ModelError.
    """
    asked, where = options, f"{hub_id} at revision {revision}" if revision else hub_id
    from_cache: HubOptions = {**options, "local_files_only": True}
    with quiet_hub():
        try:
            if revision and COMMIT.fullmatch(revision):  # never changes: no need to ask
                with suppress(FileNotFoundError):
                    return _downloaded(hub_id, revision, from_cache)
            if options.get("local_files_only") or not _is_reachable(hub_id, revision, options):
                options = from_cache
            return _downloaded(hub_id, revision, options)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error
        except FileNotFoundError as error:
            raise ModelError(f"{where}: {_not_cached(hub_id, revision, asked)}") from error
        except Exception as error:  # of whatever library the hub's own uses for HTTP
            raise ModelError(
                f"{where}: cannot be had from the hub: {type(error).__name__}: {one_line(error)}; "
                "check the name and the revision, and for a private or gated repository run "
                "`hf auth login`"
            ) from error


def _is_reachable(hub_id: str, revision: str | None, options: HubOptions) -> bool:
    """Whether the hub answers, be it with a refusal. Asked once: a download tries for 23 s."""
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
    except Exception:  # of whatever library the hub's own uses for HTTP
        return False
    return True


def _downloaded(hub_id: str, revision: str | None, options: HubOptions) -> Path:
    """Download what the cache lacks. Raises ModelError, FileNotFoundError if only it is asked."""
    config = _file(hub_id, CONFIG_FILE, revision, options)
    if config is None:
        raise _lacks(CONFIG_FILE, options)
    # all files from one commit, even if the branch moves in between
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
    """A file in the cache; None where the repository has none, or the cache if only it is asked."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(hub_id, name, revision=revision, **options))
    except EntryNotFoundError as error:
        if isinstance(error, FileNotFoundError) and not options.get("local_files_only"):
            raise  # the hub answered a moment ago, and does not any more
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
        return f"{part}, and local_files_only=True keeps from asking the hub"
    return (
        f"{part} and the hub cannot be reached (no network, or HF_HUB_OFFLINE is set); connect "
        f"once, give a folder on disk, or use the built-in {DEFAULT_MODEL}"
    )


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep the hub's warnings of this thread back, unless its user asked for more than those."""
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
