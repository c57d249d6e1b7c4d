"""A row of tokens: the codes of one recording, and all that decoding them needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from audiocodec.container import DacFile
from audiocodec.errors import CodesError

Value: TypeAlias = str | int | float | bool | None  # of a carried column


@dataclass(frozen=True, eq=False)
class TokenRow:
    """The codes of one recording.

    id: unique in a job. source: the recording, as a person would name it.
    sample_rate, channels, n_samples: of the recording; n_samples counts per channel.
    codes: uint16 (channels, n_codebooks, frames).
    model: a name for people; fingerprint: 32 hexadecimal digits that name the code space.
    gain: linear, applied before encoding; decoding divides by it.
    columns: carried along from the manifest.
    Raises CodesError for codes of another type or shape.
    """

    id: str
    source: str
    sample_rate: int
    channels: int
    n_codebooks: int
    frames: int
    n_samples: int
    codes: np.ndarray
    model: str
    fingerprint: str
    gain: float = 1.0
    columns: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (self.channels, self.n_codebooks, self.frames)
        if self.codes.dtype != np.uint16 or self.codes.shape != expected:
            raise CodesError(
                f"codes are {self.codes.dtype} shaped {self.codes.shape}; the row wants uint16 "
                f"shaped {expected}"
            )

    @classmethod
    def of_dac(
        cls, dac: DacFile, id: str, source: str, columns: Mapping[str, Value] | None = None
    ) -> "TokenRow":
        """The row of a .dac file, without its tags; ShardHeader.dac() is the inverse."""
        header = dac.header
        channels, n_codebooks, frames = dac.codes.shape
        return cls(
            id=id,
            source=source,
            sample_rate=header.sample_rate,
            channels=channels,
            n_codebooks=n_codebooks,
            frames=frames,
            n_samples=dac.extent()[0],
            codes=dac.codes.astype(np.uint16, copy=False),
            model=header.model,
            fingerprint=header.fingerprint,
            gain=header.gain,
            columns=dict(columns or {}),
        )
