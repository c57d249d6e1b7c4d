"""Checks for optional packages, and names the extra that installs them."""

from collections.abc import Sequence
from importlib.util import find_spec

from audiocodec.errors import ArgumentError


def check_installed(purpose: str, extra: str, packages: Sequence[str]) -> None:
    """Raises ArgumentError, which says how to install them, if packages are missing.

    purpose: what needs them. extra: the extra of audiocodec that installs them all.
    """
    if absent := [name for name in packages if find_spec(name) is None]:
        raise ArgumentError(f"{purpose} needs {', '.join(absent)}: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'audiocodec[{extra}]'"
