"""Keeps decoded clips and their figures in a folder, each under a hash of all that determines it.

So a stopped run resumes, and a run of another model reuses what it shares with earlier ones. Files
appear whole: each is written under another name and then renamed.
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

    audio: Path  # FLAC, 16 bit, both measured and heard
    n_bytes: int
    encode_s: float
    decode_s: float
    codes: Path | None  # .npy, (n_codebooks, frames)


def key_of(*parts: str) -> str:
    """Hash of the texts in their order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Store:
    """A folder of decoded clips and records."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is missing. Raises OutputError."""
        self.folder = folder
        self.references, self.decoded, self.records = (
            folder / name for name in ("references", "decoded", "records")
        )
        for path in (self.references, self.decoded, self.records):
            make_folder(path)

    def find(self, key: str) -> StoredClip | None:
        """The clip that `put` stored under a key, or None."""
        record = self.find_record(key)
        if record is None:
            return None
        audio, codes = self._files(key)
        has_codes = record.pop("has_codes")
        return StoredClip(audio, codes=codes if has_codes else None, **record)

    def put(self, key: str, decoded: DecodedClip, sample_rate: int) -> StoredClip:
        """Store a decoded clip. Raises OutputError."""
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
        self.put_record(key, record)  # last, so that it implies the other files
        return StoredClip(
            audio,
            decoded.n_bytes,
            decoded.encode_s,
            decoded.decode_s,
            codes if decoded.codes is not None else None,
        )

    def find_record(self, key: str) -> dict[str, Any] | None:
        """The record that put_record stored under a key; None if it is missing or damaged."""
        try:
            return json.loads((self.records / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def put_record(self, key: str, record: dict[str, Any]) -> None:
        """Store a record of plain values. Raises OutputError."""
        write_file(self.records / f"{key}.json", json.dumps(record))

    def _files(self, key: str) -> tuple[Path, Path]:
        return self.decoded / f"{key}.flac", self.decoded / f"{key}.npy"


def _as_npy(codes: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, codes.astype(np.uint16), allow_pickle=False)
    return content.getvalue()
