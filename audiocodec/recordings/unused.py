"""Warns once of files that look like recordings and were not used, with reasons and first names."""

import warnings

NAMES = 3  # named for each reason
HIDDEN = "hidden"
NOT_ORDINARY = "not an ordinary file"
DANGLING = "a link that leads nowhere"
NEEDS_FFMPEG = "needs PyAV, pip install 'audiocodec[av]'"
METADATA_PREFIX = "._"  # of the files that macOS puts beside others


class UnusedFilesWarning(UserWarning):
    """Files that look like input and were not used."""


class UnusedFiles:
    """Collects the files of one folder or tar that were not used."""

    def __init__(self, place: object) -> None:
        self.place = place
        self._names: dict[str, list[str]] = {}  # by reason

    def add(self, name: str, reason: str) -> None:
        """Note a file, by its name within the place, and the reason why it was not used."""
        self._names.setdefault(reason, []).append(name)

    def tell(self, kind: str) -> None:
        """Warn of the files, if any, in one line; kind: what they are, such as ".dac file"."""
        if not self._names:
            return
        reasons = "; ".join(f"{reason}: {first(names)}" for reason, names in self._names.items())
        n_files = sum(map(len, self._names.values()))
        plural = "" if n_files == 1 else "s"
        message = f"{self.place}: not used: {n_files} {kind}{plural} ({reasons})"
        warnings.warn(message, UnusedFilesWarning, stacklevel=3)


def first(names: list[str]) -> str:
    """The first few names, and the number of the others."""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def is_hidden(name: str) -> bool:
    """Whether the name of a file or folder begins with a dot."""
    return name.startswith(".") and name not in (".", "..")
