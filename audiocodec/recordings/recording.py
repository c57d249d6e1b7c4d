"""One recording: a sound file, a member of a tar, or an excerpt of either."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class Recording:
    """A recording that a folder, a manifest or a tar lists. Its file is not opened.

    id: the same in every listing of the same input: the path within the folder or tar, or the one
        in the manifest, with the start of the excerpt.
    source: its name in messages. path: the file to open, a sound file or a tar.
    member: the name of the sound file in the tar, if path is one; offset, n_bytes: its position
        in the decompressed tar.
    start, duration: of the excerpt, in seconds; without duration it goes to the end.
    kind: its class, such as speech or music; group: a part of the class; "" where not stated.
    columns: what the manifest, or the JSON file beside the sound in a tar, states about it.
    problem: why it cannot be used, if listing found a reason.
    """

    id: str
    source: str
    path: Path
    member: str | None = None
    offset: int = 0
    n_bytes: int = 0
    start: float = 0.0
    duration: float | None = None
    kind: str = ""
    group: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)
    problem: str | None = None

    @property
    def name(self) -> str:
        """The file name of the sound, without folders."""
        return self.path.name if self.member is None else PurePosixPath(self.member).name

    @property
    def place(self) -> str:
        """The path of its file, or of the tar and the member in it; for messages."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole sound file rather than an excerpt."""
        return self.start == 0 and self.duration is None
