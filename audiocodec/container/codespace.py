"""What gives codes their meaning, as a value: headers, shards and codecs are compared by it."""

import re
from dataclasses import dataclass, fields

from audiocodec.errors import ArgumentError, DamagedHeader, ModelMismatch, quoted

RATES = 1000, 768_000  # samples a second


@dataclass(frozen=True)
class CodeSpace:
    """The code space of a model: codes of one space go together, codes of two never do.

    model: a name for people, which decides nothing; fingerprint: 32 hexadecimal digits.
    model_rate, hop: samples a second and samples a frame. codebook_size: entries of a codebook.
    How many codebooks a file uses is its own matter: the first ones mean the same in every file.
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
        """The code space alone, of what is more than that."""
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
        """For messages: the name and the beginning of the fingerprint."""
        return called(self.model, self.fingerprint)

    def check_same(
        self, other: "CodeSpace", path: str, mismatch: type[ModelMismatch] = ModelMismatch
    ) -> None:
        """Raises `mismatch` where `other`, that of the file `path`, is another code space.

        Raises DamagedHeader where it has the same fingerprint, but contradicts this one.
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
    """What a code space is called in messages: 'dac_44khz' (0a1b2c3d)."""
    return f"{quoted(model)} ({fingerprint[:8]})"


def check_bounds(value: object, *bounds: tuple[str, int, int]) -> None:
    """Raises ArgumentError unless each attribute lies within its bounds."""
    for name, low, high in bounds:
        found = getattr(value, name)
        if not low <= found <= high:
            raise ArgumentError(f"{name} is {found}; it must be {low} to {high}")
