"""One recording: a sound file, a member of a tar, or an excerpt of either."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class Recording:
    """A recording as a folder, a manifest or a tar names it. Making one opens no file.

    id: the same in every listing of the same input: its path within a folder or a tar, or as the
        manifest has it, with the start of the excerpt.
    source: what to call it in messages. path: the file to open, a sound file or a tar.
    member: the sound file within the tar, if it is one; offset, n_bytes: where it lies there,
        unpacked.
    start, duration: of the excerpt, in seconds; without duration it goes to the end.
    kind: its class, as speech or music; group: a part of its class; "" where neither is told.
    columns: what the manifest, or the JSON file beside the sound in a tar, says of it.
    problem: why it cannot be used, where listing has found that out.
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
        """The name of its sound file, without folders."""
        return self.path.name if self.member is None else PurePosixPath(self.member).name

    @property
    def place(self) -> str:
        """Where it lies, for messages: the path of its file, or of the tar and the member in it."""
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its sound file."""
        return self.start == 0 and self.duration is None
