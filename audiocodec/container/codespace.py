"""The code space of a model, by which headers, shards and codecs are compared."""

import re
from dataclasses import dataclass, fields

from audiocodec.errors import ArgumentError, DamagedHeader, ModelMismatch, quoted

RATES = 1000, 768_000  # samples per second


@dataclass(frozen=True)
class CodeSpace:
    """What gives codes their meaning; only codes of one space can be combined.

    model: a name for people, never compared. fingerprint: 32 hexadecimal digits (FORMAT.md).
    model_rate, hop: samples per second and per frame. codebook_size: entries of a codebook.
    The number of codebooks is no part of it: the first ones mean the same in every file.
    Raises ArgumentError for values out of bounds.
    """

    model: str
    fingerprint: str
    model_rate: int
    hop: int
    codebook_size: int

    def __post_init__(self) -> None:
        check_bounds(self, ("model_rate", *RATES), ("hop", 1, 65536), ("codebook_size", 2, 65536))
        if not re.fullmatch("[0-9a-f]{32}", self.fingerprint):
            raise ArgumentError(
                f"fingerprint {quoted(self.fingerprint)} is not 32 hexadecimal digits"
            )

    @property
    def space(self) -> "CodeSpace":
        """The code space alone, without the fields of a subclass."""
        return CodeSpace(**{one.name: getattr(self, one.name) for one in fields(CodeSpace)})

    @property
    def bits_per_code(self) -> int:
        """Bits that hold one code."""
        return (self.codebook_size - 1).bit_length()

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.model_rate / self.hop

    @property
    def called(self) -> str:
        """For messages: the model's name and the start of its fingerprint."""
        return called(self.model, self.fingerprint)

    def check_same(
        self, other: "CodeSpace", path: str, mismatch: type[ModelMismatch] = ModelMismatch
    ) -> None:
        """Check that `other`, read from the file `path`, is this code space.

        Raises `mismatch` if its fingerprint differs, DamagedHeader if it has the same fingerprint
        but another rate, hop or codebook size.
        """
        if other.fingerprint != self.fingerprint:
            raise mismatch(path, other.called, self.called)
        if (other.model_rate, other.hop, other.codebook_size) != (
            self.model_rate,
            self.hop,
            self.codebook_size,
        ):
            raise DamagedHeader(
                f"{path}: its header contradicts the model that it names: {other.model_rate} Hz, "
                f"hop {other.hop}, {other.codebook_size} entries, and not {self.model_rate} Hz, "
                f"hop {self.hop}, {self.codebook_size} entries"
            )


def called(model: str, fingerprint: str) -> str:
    """A code space as messages name it: 'dac_44khz' (0a1b2c3d)."""
    return f"{quoted(model)} ({fingerprint[:8]})"


def check_bounds(value: object, *bounds: tuple[str, int, int]) -> None:
    """Raises ArgumentError unless each attribute lies within its bounds."""
    for name, low, high in bounds:
        found = getattr(value, name)
        if not low <= found <= high:
            raise ArgumentError(f"{name} is {found}; it must be {low} to {high}")
