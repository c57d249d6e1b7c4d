"""A pattern: an exact, invertible mapping from codes to streams of tokens."""

from bisect import bisect_left
from dataclasses import dataclass
from math import prod
from numbers import Integral

import numpy as np

from audiocodec.errors import ArgumentError, CodesError
from audiocodec.tokens.patterns.arrays import Array, like, numpy_of
from audiocodec.tokens.patterns.layout import Layout, Place, lay, starts
from audiocodec.tokens.patterns.streaming import PatternStream
from audiocodec.tokens.patterns.vocabulary import Vocabulary

LONGEST = 2**24  # frames or steps, two days of audio; more is taken for a mistake


@dataclass(frozen=True)
class Pattern:
    """The places of all codebooks. `delay`, `flatten` and others make the published patterns.

    Letters: T frames, S streams, N steps. Arrays are of numpy or torch, integers of any width;
    results are int64, of the same kind and on the same device.
    Raises ArgumentError for places that overlap or leave gaps between streams.
    """

    places: tuple[Place, ...]  # one per codebook

    def __post_init__(self) -> None:
        streams = {place.stream for place in self.places}
        if not streams or streams != set(range(len(streams))):
            raise ArgumentError(
                f"streams {sorted(streams)}; they must be 0, 1 and so on, without gaps"
            )
        if not any(place.blocks == 0 for place in self.places):
            raise ArgumentError("no codebook of the pattern starts at once (with blocks=0)")
        slots = set()
        for k, place in enumerate(self.places):
            stream, offset, period, blocks = place
            whole = all(isinstance(number, Integral) for number in place)
            if not whole or min(offset, period - 1, blocks) < 0 or max(place) >= LONGEST:
                raise ArgumentError(
                    f"codebook {k} at offset={offset}, period={period}, blocks={blocks}; "
                    f"integers are needed: 0 or more, period 1 or more, all below {LONGEST}"
                )
            slots.add((stream, blocks, offset % period))
        if len(slots) < len(self.places):
            raise ArgumentError("two codebooks of the pattern share their places in a stream")

    @property
    def n_codebooks(self) -> int:
        """Codebooks of a frame."""
        return len(self.places)

    @property
    def n_streams(self) -> int:
        """Tokens of a step."""
        return 1 + max(place.stream for place in self.places)

    @property
    def leader(self) -> int:
        """The codebook whose code comes first in a frame, and whose eos ends the sequence."""
        return min(
            range(self.n_codebooks), key=lambda k: (self.places[k].blocks, self.places[k].offset)
        )

    def end_token(self, vocabulary: Vocabulary) -> int | None:
        """The leader's token that ends the frames: eos, or pad in a vocabulary without eos.

        Other streams are not looked at for it, so a model that draws all streams at once need not
        make them agree. None if other codebooks need the number of frames before that token comes.
        """
        leader = self.places[self.leader]
        late = [place for place in self.places if place.blocks]
        if vocabulary.eos is None:
            return None if late else vocabulary.pad
        in_time = all(p.blocks >= leader.period and p.offset >= leader.offset for p in late)
        return vocabulary.eos if in_time else None

    def layout(self, n_frames: int, vocabulary: Vocabulary) -> Layout:
        """The places of all codes and special tokens; its masks are for the loss.

        Raises ArgumentError for a vocabulary or a number of frames that does not fit.
        """
        self.check(vocabulary, n_frames)
        bos, eos = vocabulary.bos is not None, vocabulary.eos is not None
        return lay(self.places, n_frames, bos, eos)

    def apply(self, codes: Array, vocabulary: Vocabulary) -> Array:
        """Turn codes (..., n_codebooks, T) into tokens (..., S, N).

        Raises CodesError for codes of a wrong shape or out of range, ArgumentError for a
        vocabulary with another number of codebooks.
        """
        values: np.ndarray = numpy_of(codes, "codes")
        if values.ndim < 2 or values.shape[-2] != self.n_codebooks:
            raise CodesError(
                f"codes of shape {values.shape}; the pattern takes "
                f"(..., {self.n_codebooks}, frames)"
            )
        layout = self.layout(values.shape[-1], vocabulary)
        tokens = np.empty((*values.shape[:-2], layout.n_streams, layout.n_steps), np.int64)
        tokens[...] = vocabulary.fill(layout.codebook)
        tokens[..., layout.streams, layout.steps] = vocabulary.tokens_of(values)
        return like(tokens, codes)

    def invert(self, tokens: Array, vocabulary: Vocabulary, n_frames: int | None = None) -> Array:
        """Turn tokens (..., S, N) back into codes (..., n_codebooks, T).

        Of a sequence that is cut, returns the complete frames. Places without a code are ignored,
        except for the leader's end token. n_frames: number of frames, for sequences that do not
        show it.
        Raises CodesError for tokens of a wrong shape, or that cannot be codes in their place,
        ArgumentError for a vocabulary with another number of codebooks.
        """
        values: np.ndarray = numpy_of(tokens, "tokens")
        if values.ndim < 2 or values.shape[-2] != self.n_streams:
            raise CodesError(
                f"tokens of shape {values.shape}; the pattern takes (..., {self.n_streams}, steps)"
            )
        self.check(vocabulary, n_frames)
        n_steps = values.shape[-1]
        if n_frames is None:
            n_frames = self._n_frames(values, vocabulary)
            n_complete = int(self.received(n_steps, n_frames, vocabulary).min())
        elif self.received(n_steps, n_frames, vocabulary).min() != n_frames:
            raise CodesError(f"{n_steps} steps do not hold {n_frames} frames of the pattern")
        else:
            n_complete = n_frames
        stream, _, period, _ = np.array(self.places, np.int64).T[..., None]
        start = self.starts(n_frames, vocabulary)[:, None]
        found = values[..., stream, start + period * np.arange(n_complete)]
        return like(vocabulary.codes_of(found, range(self.n_codebooks)), tokens)

    def stream(self, vocabulary: Vocabulary, n_frames: int | None = None) -> PatternStream:
        """A stream that inverts tokens while they are made; give `n_frames` if it is known.

        Raises ArgumentError if the pattern needs n_frames and no end token will show it.
        """
        self.check(vocabulary, n_frames)
        if n_frames is None and self.end_token(vocabulary) is None:
            raise ArgumentError("the steps of this pattern depend on n_frames; give it")
        return PatternStream(self, vocabulary, n_frames)

    def starts(self, n_frames: int | None, vocabulary: Vocabulary) -> np.ndarray:
        """The step of frame 0 of each codebook, int64 (n_codebooks,)."""
        bos, eos = vocabulary.bos is not None, vocabulary.eos is not None
        return starts(self.places, n_frames or 0, bos, eos)

    def received(self, n_steps: int, n_frames: int | None, vocabulary: Vocabulary) -> np.ndarray:
        """How many codes of each codebook the first n_steps steps hold, int64 (n_codebooks,).

        n_frames: None if not yet known; then codebooks that come after whole passes count as 0.
        """
        _, _, period, blocks = np.array(self.places, np.int64).T
        n_codes = np.maximum((n_steps - 1 - self.starts(n_frames, vocabulary)) // period + 1, 0)
        if n_frames is None:
            return np.where(blocks > 0, 0, n_codes)
        return np.minimum(n_codes, n_frames)

    def check(self, vocabulary: Vocabulary, n_frames: int | None = None) -> None:
        """Raises ArgumentError for a vocabulary or a number of frames that does not fit."""
        if vocabulary.n_codebooks != self.n_codebooks:
            raise ArgumentError(
                f"the pattern has {self.n_codebooks} codebooks, the vocabulary "
                f"{vocabulary.n_codebooks}; they must be the same"
            )
        if n_frames is not None and not 0 <= n_frames < LONGEST:
            raise ArgumentError(f"n_frames={n_frames}; it must be 0 to {LONGEST - 1}")

    def _n_frames(self, tokens: np.ndarray, vocabulary: Vocabulary) -> int | None:
        """Number of frames of tokens (..., S, N); None if they are cut before their end token."""
        n_steps = tokens.shape[-1]
        token = self.end_token(vocabulary)
        if token is not None:
            return self._end(tokens, vocabulary, token)

        def steps_of(n_frames: int) -> int:
            return self.layout(n_frames, vocabulary).n_steps

        most = self.n_streams * n_steps // self.n_codebooks
        n_frames = bisect_left(range(most), n_steps, key=steps_of)
        if steps_of(n_frames) != n_steps:
            raise CodesError(
                f"{n_steps} steps are no whole sequence of this pattern; give n_frames, the "
                "number of frames they hold"
            )
        return n_frames

    def _end(self, tokens: np.ndarray, vocabulary: Vocabulary, token: int) -> int | None:
        """The frame at which the leader of all rows has the end token; None if none has it."""
        stream, offset, period, _ = self.places[self.leader]
        first = offset + (vocabulary.bos is not None)
        ended = tokens[..., stream, first::period] == token
        rows = ended.reshape(prod(ended.shape[:-1]), ended.shape[-1])  # of any batch
        ends = {int(row.argmax()) if row.any() else None for row in rows}
        if len(ends) > 1:
            raise CodesError("the rows end at different frames; invert them one by one")
        return ends.pop() if ends else None
