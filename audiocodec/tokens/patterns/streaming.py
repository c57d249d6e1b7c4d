"""Inverts a pattern while a model generates tokens: returns frames once they are complete."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from audiocodec.errors import CodesError
from audiocodec.tokens.patterns.arrays import Array, like, numpy_of
from audiocodec.tokens.patterns.layout import Layout
from audiocodec.tokens.patterns.vocabulary import SpecialToken, Vocabulary

if TYPE_CHECKING:
    from audiocodec.tokens.patterns.pattern import Pattern


class PatternStream:
    """Inverts one sequence step by step: all pushes and one flush equal `invert` of the whole.

    Push all steps that `apply` would make, including bos: the prompt first, then each drawn step.
    Attributes: n_steps (pushed so far), n_out (frames returned), n_frames (None until known).
    """

    def __init__(self, pattern: "Pattern", vocabulary: Vocabulary, n_frames: int | None) -> None:
        self.pattern, self.vocabulary, self.n_frames = pattern, vocabulary, n_frames
        self.n_steps = self.n_out = 0
        # codes of incomplete frames, one row per codebook; each row begins at frame n_out
        self._waiting = [np.empty(0, np.int64) for _ in pattern.places]
        self._nothing: np.ndarray | Tensor = np.empty((pattern.n_codebooks, 0), np.int64)
        self._layout: Layout | None = None

    def push(self, tokens: Array) -> Array:
        """Push the next step (S,) or steps (S, any); returns k new frames, (n_codebooks, k).

        Raises CodesError for tokens of a wrong shape, or one that cannot be a code in its place;
        the stream is then unchanged, so that another token can be pushed.
        """
        steps = self._steps(tokens)
        n_steps = self.n_steps + steps.shape[1]
        n_frames = self._end(steps) if self.n_frames is None else self.n_frames
        new = self._new_codes(steps, n_frames)
        self._waiting = [np.concatenate(pair) for pair in zip(self._waiting, new)]
        self.n_steps, self.n_frames = n_steps, n_frames
        frames = like(self._take(), tokens)
        self._nothing = frames[:, :0]
        return frames

    def flush(self) -> np.ndarray | Tensor:
        """End the stream; drops incomplete frames and returns an empty array, (n_codebooks, 0).

        Raises CodesError if the number of frames is known and some are missing.
        """
        if self.n_frames is not None and self.n_out < self.n_frames:
            raise CodesError(
                f"the tokens end after {self.n_out} of {self.n_frames} frames; push the other steps"
            )
        return self._nothing

    @property
    def done(self) -> bool:
        """Whether all frames were returned, so that no more tokens need to be drawn."""
        return self.n_out == self.n_frames

    def allowed(self) -> np.ndarray:
        """Which tokens are allowed at the next step: numpy bool (S, vocabulary size).

        A place without a code allows its special token only.
        """
        cells = self._next_cells()
        allowed = self.vocabulary.allowed(cells)
        stream = self.pattern.places[leader := self.pattern.leader].stream
        if self.n_frames is None and cells[stream] == leader and self.vocabulary.eos is not None:
            allowed[stream, self.vocabulary.eos] = True
        return allowed

    def _next_cells(self) -> np.ndarray:
        """Codebook or SpecialToken of each stream at the next step (S,), as far as known."""
        cells = np.full(self.pattern.n_streams, SpecialToken.MASK, np.int64)
        if self.n_frames is not None:
            if self._layout is None:
                self._layout = self.pattern.layout(self.n_frames, self.vocabulary)
            past = self.n_steps >= self._layout.n_steps
            return cells * 0 + SpecialToken.PAD if past else self._layout.codebook[:, self.n_steps]
        if self.n_steps == 0 and self.vocabulary.bos is not None:
            return cells * 0 + SpecialToken.BOS
        now, then = (
            self.pattern.received(self.n_steps + ahead, None, self.vocabulary) for ahead in (0, 1)
        )
        for k in np.flatnonzero(then > now):
            cells[self.pattern.places[k].stream] = k
        return cells

    def _steps(self, tokens: np.ndarray | Tensor) -> np.ndarray:
        """The tokens as int64 (S, any)."""
        steps = numpy_of(tokens, "tokens")
        if steps.ndim == 1:
            steps = steps[:, None]
        if steps.ndim != 2 or len(steps) != self.pattern.n_streams:
            raise CodesError(
                f"tokens of shape {tuple(tokens.shape)}; a stream takes "
                f"({self.pattern.n_streams},) or ({self.pattern.n_streams}, steps)"
            )
        return steps

    def _received(self, steps: np.ndarray, n_frames: int | None) -> np.ndarray:
        n_steps = self.n_steps + steps.shape[1]
        return self.pattern.received(n_steps, n_frames, self.vocabulary)

    def _row(self, steps: np.ndarray, k: int, end: int, n_frames: int | None) -> np.ndarray:
        """The tokens of codebook k, up to frame `end`, among new steps (S, any)."""
        stream, _, period, _ = self.pattern.places[k]
        start = self.pattern.starts(n_frames, self.vocabulary)[k]
        frames = np.arange(self._first(k), end)
        return steps[stream, start + period * frames - self.n_steps]

    def _first(self, k: int) -> int:
        """The first frame whose code of codebook k is missing."""
        return self.n_out + len(self._waiting[k])

    def _end(self, steps: np.ndarray) -> int | None:
        """The number of frames, if the new steps hold the leader's end token."""
        leader = self.pattern.leader
        row = self._row(steps, leader, self._received(steps, None)[leader], None)
        ended = row == self.pattern.end_token(self.vocabulary)
        return self._first(leader) + int(ended.argmax()) if ended.any() else None

    def _new_codes(self, steps: np.ndarray, n_frames: int | None) -> list[np.ndarray]:
        ends = self._received(steps, n_frames)
        rows = [self._row(steps, k, end, n_frames) for k, end in enumerate(ends)]
        return [
            self.vocabulary.codes_of(row[None], [k], self._first(k))[0]
            for k, row in enumerate(rows)
        ]

    def _take(self) -> np.ndarray:
        """Take out the frames that have the codes of all codebooks."""
        n = min(map(len, self._waiting))
        frames = np.stack([row[:n] for row in self._waiting])
        self._waiting = [row[n:] for row in self._waiting]
        self.n_out += n
        return frames
