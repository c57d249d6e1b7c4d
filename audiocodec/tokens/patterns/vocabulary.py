"""Maps codes to tokens, and names the special tokens, which stand for no code."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from audiocodec.errors import ArgumentError, CodesError


class SpecialToken(IntEnum):
    """What a place without a code holds; below 0, where a place with a code has its codebook.

    The ids that a model reads are those of Vocabulary.
    """

    BOS = -1  # the first step, in every stream
    EOS = -2  # once in a stream, where the frame after the last one would begin
    PAD = -3  # after the end
    MASK = -4  # no code yet: a delay, or a step that belongs to other codebooks


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a model: code `c` of codebook `k` is the token `offsets[k] + c`.

    offsets: one per codebook. pad, mask, bos, eos: ids of the special tokens, which may be equal to
    each other (MusicGen has one for all), but not to a code's. None for `bos` or `eos`: sequences
    have no such step.
    Raises ArgumentError for values out of range.
    """

    codebook_size: int
    offsets: tuple[int, ...]
    pad: int
    mask: int
    bos: int | None = None
    eos: int | None = None

    def __post_init__(self) -> None:
        if self.codebook_size < 1 or not self.offsets or min(self.offsets) < 0:
            raise ArgumentError(
                f"a vocabulary with codebooks of {self.codebook_size} codes at the offsets "
                f"{self.offsets}; it needs codebooks, codes, and offsets of 0 or more"
            )
        for name, token in self._specials().items():
            if token < 0 or any(0 <= token - first < self.codebook_size for first in self.offsets):
                raise ArgumentError(f"{name}={token} must be 0 or more, and no code's token")

    @classmethod
    def shared(cls, n_codebooks: int, codebook_size: int = 1024, first: int = 0) -> "Vocabulary":
        """All codebooks share the tokens from `first`; bos, eos, pad and mask follow them."""
        return cls._with_specials(codebook_size, (first,) * n_codebooks)

    @classmethod
    def disjoint(cls, n_codebooks: int, codebook_size: int = 1024, first: int = 0) -> "Vocabulary":
        """Each codebook has tokens of its own, from `first`; bos, eos, pad and mask follow them.

        `first` is the size of the vocabulary that a text model has already.
        """
        offsets = tuple(first + k * codebook_size for k in range(n_codebooks))
        return cls._with_specials(codebook_size, offsets)

    @classmethod
    def _with_specials(cls, codebook_size: int, offsets: tuple[int, ...]) -> "Vocabulary":
        free = max(offsets, default=0) + codebook_size
        return cls(codebook_size, offsets, bos=free, eos=free + 1, pad=free + 2, mask=free + 3)

    def _specials(self) -> dict[str, int]:
        named = {"bos": self.bos, "eos": self.eos, "pad": self.pad, "mask": self.mask}
        return {name: token for name, token in named.items() if token is not None}

    @property
    def n_codebooks(self) -> int:
        """Number of codebooks."""
        return len(self.offsets)

    @property
    def size(self) -> int:
        """The highest token plus 1: the rows that an embedding needs."""
        return 1 + max(max(self.offsets) + self.codebook_size - 1, *self._specials().values())

    def fill(self, cells: np.ndarray) -> np.ndarray:
        """Ids of special tokens, int64, in the shape of cells; the mask's for a codebook.

        cells: int64, any shape, each a codebook or a SpecialToken.
        """
        specials = [self.mask, self.bos, self.eos, self.pad, self.mask]  # at -SpecialToken
        ids = np.array([self.mask if token is None else token for token in specials], np.int64)
        return ids[-np.minimum(cells, 0)]

    def allowed(self, cells: Sequence[int] | np.ndarray) -> np.ndarray:
        """Which tokens a model may draw in places that hold such cells.

        cells: (n,), each a codebook or a SpecialToken. Returns bool (n, size).
        """
        codebooks, token = np.asarray(cells, np.int64)[:, None], np.arange(self.size)
        code = token - np.array(self.offsets, np.int64)[np.maximum(codebooks, 0)]
        special = token == self.fill(codebooks)
        return np.where(codebooks >= 0, (code >= 0) & (code < self.codebook_size), special)

    def tokens_of(self, codes: np.ndarray) -> np.ndarray:
        """The tokens of codes, both int64 (..., n_codebooks, frames).

        Raises CodesError for a code out of range.
        """
        wrong = (codes < 0) | (codes >= self.codebook_size)
        if wrong.any():
            *_, k, frame = place = tuple(np.argwhere(wrong)[0])
            raise CodesError(
                f"code {codes[place]} in codebook {k}, frame {frame} is not 0 to "
                f"{self.codebook_size - 1}"
            )
        return codes + np.array(self.offsets, np.int64)[:, None]

    def codes_of(
        self, tokens: np.ndarray, codebooks: Sequence[int], first_frame: int = 0
    ) -> np.ndarray:
        """The codes of tokens, both int64 (..., n, frames).

        codebooks: of the n rows. first_frame: number of the first frame, for messages.
        Raises CodesError for a token that is no code of its codebook.
        """
        offsets = np.array([self.offsets[k] for k in codebooks], np.int64)[:, None]
        wrong = (tokens < offsets) | (tokens >= offsets + self.codebook_size)
        if wrong.any():
            *_, row, frame = place = tuple(np.argwhere(wrong)[0])
            k, token = codebooks[row], int(tokens[place])
            names = "/".join(name for name, special in self._specials().items() if special == token)
            raise CodesError(
                f"token {token}{names and f' ({names})'} in the place of codebook {k}, frame "
                f"{first_frame + frame}; its tokens are {self.offsets[k]} to "
                f"{self.offsets[k] + self.codebook_size - 1}"
            )
        return tokens - offsets
