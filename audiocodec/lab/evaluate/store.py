"""Decoded clips and their figures in a folder, each under a hash of all that it follows from.

So a run that was stopped goes on, and another run, of another model too, finds what it shares
with earlier ones. What is found is whole: every file is written beside and then renamed.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiocodec.files import make_folder, write_file
from audiocodec.lab.evaluate.clips import write_clip
from audiocodec.lab.systems.base import DecodedClip


@dataclass(frozen=True)
class StoredClip:
    """A decoded clip in the store."""

    audio: Path  # FLAC, 16 bit: what is measured is what can be heard
    n_bytes: int
    encode_s: float
    decode_s: float
    codes: Path | None  # .npy, (n_codebooks, frames)


def key_of(*parts: str) -> str:
    """Hash of texts, in order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Store:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where it is missing. Raises OutputError."""
        self.folder = folder
        self.references, self.decoded, self.records = (
            folder / name for name in ("references", "decoded", "records")
        )
        for path in (self.references, self.decoded, self.records):
            make_folder(path)

    def find(self, key: str) -> StoredClip | None:
        """What `put` kept under a key."""
        record = self.find_record(key)
        if record is None:
            return None
        audio, codes = self._files(key)
        has_codes = record.pop("has_codes")
        return StoredClip(audio, codes=codes if has_codes else None, **record)

    def put(self, key: str, decoded: DecodedClip, sample_rate: int) -> StoredClip:
        """Keep a decoded clip. Raises OutputError."""
        audio, codes = self._files(key)
        write_clip(audio, decoded.audio, sample_rate)
        if decoded.codes is not None:
            write_file(codes, _as_npy(decoded.codes))
        record = {
            "n_bytes": decoded.n_bytes,
            "encode_s": decoded.encode_s,
            "decode_s": decoded.decode_s,
            "has_codes": decoded.codes is not None,
        }
        self.put_record(key, record)  # last: where it lies, the others do
        return StoredClip(
            audio,
            decoded.n_bytes,
            decoded.encode_s,
            decoded.decode_s,
            codes if decoded.codes is not None else None,
        )

    def find_record(self, key: str) -> dict[str, Any] | None:
        """What put_record kept under a key; None for a damaged one, too."""
        try:
            return json.loads((self.records / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def put_record(self, key: str, record: dict[str, Any]) -> None:
        """Keep plain values. Raises OutputError."""
        write_file(self.records / f"{key}.json", json.dumps(record))

    def _files(self, key: str) -> tuple[Path, Path]:
        return self.decoded / f"{key}.flac", self.decoded / f"{key}.npy"


def _as_npy(codes: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, codes.astype(np.uint16), allow_pickle=False)
    return content.getvalue()
