"""`audiocodec models`: lists the models that --model knows by name."""

from pathlib import Path

import argbind

from audiocodec.errors import ArgumentError
from audiocodec.weights.registry import DEFAULT_MODEL, KNOWN_MODELS


@argbind.bind(without_prefix=True, positional=True, group="models")
def models(debug: bool = False) -> int:
    """List the built-in model and those known on the hub.

    Parameters
    ----------
    debug : bool
        print the traceback of an error
    """
    print(f"{'name':18}{'rate':>9}{'codebooks':>11}{'kbps':>7}  from")
    for model in KNOWN_MODELS.values():
        c = model.config
        place = model.hub_id or model.url
        origin = f"{place}: {model.note}" if place else model.note
        print(
            f"{model.name:18}{c.sample_rate:>6} Hz{c.n_codebooks:>6} x {c.codebook_size}"
            f"{c.kbps:>6.2f}  {origin}"
        )
    print("\nAny hub repository (owner/name), folder or .pth file of this architecture works too.")
    return 0


def revision_of(model: str, revision: str) -> str | None:
    """The revision of a model to load. Raises ArgumentError for a model that has none."""
    if not revision:
        return None
    is_here = model not in KNOWN_MODELS and model and Path(model).exists()
    if model == DEFAULT_MODEL or is_here:
        place = "a folder or file on this disk" if is_here else "built in"
        raise ArgumentError(
            f"--revision {revision}: {model} is {place}; only models on the hub have revisions"
        )
    return revision
