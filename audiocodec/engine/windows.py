"""Samples to codes and back in windows that do not depend on each other, many at a time.

A GPU is filled by many windows side by side, not by one block after the other. Each window brings
as many frames around it as its own look at, which are computed and dropped: 6 to 8 percent more
work, and the codes and samples of the stream (engine.blocks), up to the rounding of a GPU.
A result is fetched when the next windows are on their way, so that copies and computing overlap.

Shapes: B batch, C channels, T steps.
May import: torch, model, engine.blocks, engine.graphs, engine.precision.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from audiocodec.engine.blocks import StreamDecoder, StreamEncoder
from audiocodec.engine.graphs import Repeated
from audiocodec.engine.precision import Precision
from audiocodec.model.network import DAC

if TYPE_CHECKING:
    import numpy as np

WINDOW_FRAMES = 256
WINDOWS = 8  # side by side: 24 s of 44.1 kHz audio, some 2 GB at the published width


class Cut(NamedTuple):
    """Windows of one shape."""

    x: Tensor  # (windows B, C, T), those of a signal one behind the other
    n: int  # windows of each signal
    drop: int  # steps before those that are wanted
    keep: int


class Cutter:
    """Cuts what is pushed into overlapping windows, as they become complete.

    size, context: steps of a window that are wanted, and those on each side of them.
    """

    def __init__(self, size: int, context: int, most: int) -> None:
        self.size, self.context, self.most = max(size, context), context, most
        self.parts: list[Tensor] = []
        self.held = self.left = 0  # steps that are held, and how many of them are context

    def push(self, part: Tensor) -> Iterator[Cut]:
        """Take (B, C, any number)."""
        self.parts.append(part)
        self.held += part.shape[-1]
        full = self.size * self.most + self.context  # behind the context at the left
        while self.held - self.left >= full:
            yield self._windows(self._joined(), self.most)

    def end(self) -> Iterator[Cut]:
        """What is left; the last window ends where the signal ends."""
        while n := max(0, self.held - self.left - self.context) // self.size:
            yield self._windows(self._joined(), n)
        if self.held > self.left:
            yield Cut(self._joined(), 1, self.left, self.held - self.left)

    def fill(self, multiple: int) -> None:
        """Zeros behind the signal, so that it is a multiple long."""
        missing = -(self.held - self.left) % multiple
        if missing:
            self.parts = [torch.nn.functional.pad(self._joined(), (0, missing))]
            self.held += missing

    def _joined(self) -> Tensor:
        self.parts = [torch.cat(self.parts, dim=-1)] if len(self.parts) > 1 else self.parts
        return self.parts[0]

    def _windows(self, x: Tensor, n: int) -> Cut:
        """The next n windows; the first of a signal has nothing before it and goes alone."""
        n = n if self.left else 1
        width = self.left + self.size + self.context
        cut = x.unfold(-1, width, self.size)[:, :, :n]  # (B, C, n, width)
        left, begin = self.left, n * self.size + self.left - self.context
        self.parts, self.held, self.left = [x[..., begin:]], self.held - begin, self.context
        return Cut(cut.transpose(1, 2).flatten(0, 1), n, left, self.size)


class WindowEncoder:
    """Samples in, codes out, like a StreamEncoder, but many windows at a time."""

    def __init__(
        self,
        model: DAC,
        batch: int = 1,
        n_codebooks: int | None = None,
        precision: Precision | None = None,
        window_frames: int = WINDOW_FRAMES,
    ) -> None:
        self.open = partial(StreamEncoder, model, n_codebooks=n_codebooks, precision=precision)
        self.stream = self.open(batch)  # knows what samples may be, and encodes none
        self.hop, reach = model.config.hop, model.config.encoder_reach
        context = -(-reach // self.hop) * self.hop
        self.cutter = Cutter(window_frames * self.hop, context, max(1, WINDOWS // batch))
        self.encode = Repeated(partial(_encoded, self.open))
        self.results = Results()

    @property
    def n_samples(self) -> int:
        """Samples that have been pushed."""
        return self.stream.n_samples

    @torch.no_grad()
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples float (B, 1, any number) -> codes int64 (B, n_codebooks, what is there).

        Raises what StreamEncoder.push raises.
        """
        x = on_device(self.stream.checked(samples), self.stream.device)
        return self._codes(self.cutter.push(x))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the signal: the codes that are left, zeros filling the last frame."""
        self.stream.end()
        self.cutter.fill(self.hop)
        codes = self._codes(self.cutter.end())
        return torch.cat([codes, *self.results.rest()], dim=-1)

    def _codes(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [self.stream.no_codes()]
        for x, n, drop, keep in cuts:
            codes = self.encode(x)
            parts += self.results.push(joined(codes, n, drop // self.hop, keep // self.hop))
        return torch.cat(parts, dim=-1)


class WindowDecoder:
    """Codes in, samples out, like a StreamDecoder, but many windows at a time.

    For models whose frames are a hop long each: not "published" ones with odd strides.
    """

    def __init__(
        self,
        model: DAC,
        batch: int = 1,
        precision: Precision | None = None,
        window_frames: int = WINDOW_FRAMES,
    ) -> None:
        self.open = partial(StreamDecoder, model, precision=precision)
        self.stream = self.open(batch)  # knows what codes may be, and decodes none
        self.hop = model.config.hop
        context = model.config.decoder_context
        self.cutter = Cutter(window_frames, context, max(1, WINDOWS // batch))
        self.decode = Repeated(partial(_decoded, self.open))
        self.results = Results()

    @torch.no_grad()
    def push(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes int (B, n_codebooks, any number) -> samples float32 (B, 1, what is there).

        Raises what StreamDecoder.push raises.
        """
        checked = self.stream.checked(codes)
        parts = [self.stream.no_samples()]
        for part in checked.split(self.cutter.size, dim=-1):  # few latents at a time
            parts.append(self._samples(self.cutter.push(self.stream.look_up(part))))
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the codes: the samples that are left."""
        self.stream.end()
        samples = self._samples(self.cutter.end())
        return torch.cat([samples, *self.results.rest()], dim=-1)

    def _samples(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [self.stream.no_samples()]
        for x, n, drop, keep in cuts:
            samples = self.decode(x)
            parts += self.results.push(joined(samples, n, drop * self.hop, keep * self.hop))
        return torch.cat(parts, dim=-1)


class ManyEncoder:
    """Codes of many signals, of which equal-shaped windows are encoded side by side.

    No signal is filled up to the length of another: each is cut so that its first and its last
    window are as long as the others. A signal shorter than a window waits for one as long.
    """

    def __init__(
        self,
        model: DAC,
        n_codebooks: int | None = None,
        precision: Precision | None = None,
        window_frames: int = WINDOW_FRAMES,
    ) -> None:
        self.open = partial(StreamEncoder, model, n_codebooks=n_codebooks, precision=precision)
        self.hop, self.size = model.config.hop, window_frames
        self.context = -(-model.config.encoder_reach // self.hop)
        self.encode = Repeated(partial(_encoded, self.open))
        self.waiting: dict[int, list[tuple[int, int, Piece]]] = {}  # by frames in a window
        self.codes: dict[int, list[Tensor | None]] = {}  # of the signals that are not given yet
        self.n_signals = self.n_waiting = 0

    @torch.no_grad()
    def push(self, signal: "Tensor | np.ndarray") -> Iterator[Tensor]:
        """Take one signal, float (n_samples,); yield codes of signals that are complete, in order.

        Codes: int64 (n_codebooks, frames). Raises what StreamEncoder.push raises.
        """
        stream = self.open(1)
        x = on_device(stream.checked(signal)[0, 0], stream.device)
        x = torch.nn.functional.pad(x, (0, -len(x) % self.hop))
        pieces = list(self._pieces(x))
        self.codes[self.n_signals] = [None] * len(pieces)
        for i, piece in enumerate(pieces):
            width = len(piece.x) // self.hop
            self.waiting.setdefault(width, []).append((self.n_signals, i, piece))
            self.n_waiting += 1
            if len(self.waiting[width]) == WINDOWS:
                self._encode(width)
        self.n_signals += 1
        if self.n_waiting > 4 * WINDOWS:  # odd lengths: no more of them may come
            self._encode(max(self.waiting, key=lambda width: len(self.waiting[width])))
        yield from self._complete()

    @torch.no_grad()
    def flush(self) -> Iterator[Tensor]:
        """Yield the codes of all other signals."""
        for width in list(self.waiting):
            self._encode(width)
        yield from self._complete()

    def _pieces(self, x: Tensor) -> Iterator["Piece"]:
        """Windows of one width, each with the frames of it that the others do not give."""
        n_frames, width = len(x) // self.hop, self.size + 2 * self.context
        done = 0
        while done < n_frames:
            first = max(0, min(done - self.context, n_frames - width))
            last = min(first + width, n_frames)
            stop = last if last == n_frames else last - self.context
            cut = x[first * self.hop : last * self.hop]
            yield Piece(cut, done - first, stop - first)
            done = stop

    def _encode(self, width: int) -> None:
        pieces = self.waiting.pop(width)
        self.n_waiting -= len(pieces)
        x = torch.stack([piece.x for _, _, piece in pieces])[:, None]
        codes = self.encode(x).cpu()
        for (signal, i, piece), row in zip(pieces, codes, strict=True):
            self.codes[signal][i] = row[:, piece.first : piece.stop]

    def _complete(self) -> Iterator[Tensor]:
        """In the order of the signals, as far as there is no gap."""
        for signal in list(self.codes):
            parts = [part for part in self.codes[signal] if part is not None]
            if len(parts) < len(self.codes[signal]):
                return
            del self.codes[signal]
            yield torch.cat([self.open(1).no_codes()[0], *parts], dim=-1)


class Piece(NamedTuple):
    """A window of a signal, and the frames of it that are wanted."""

    x: Tensor  # (samples,)
    first: int
    stop: int


def _encoded(new_stream: Callable[[int], StreamEncoder], x: Tensor) -> Tensor:
    """Codes of windows (B, 1, T); a function that holds no window or graph."""
    return new_stream(len(x)).encode_block(x, last=True)


def _decoded(new_stream: Callable[[int], StreamDecoder], x: Tensor) -> Tensor:
    """Samples of windows of latents (B, D, T), likewise."""
    return new_stream(len(x)).step(x, last=True)


def joined(y: Tensor, n: int, drop: int, keep: int) -> Tensor:
    """What is wanted of the results of n windows a signal, (windows B, C, T) -> (B, C, n keep)."""
    wanted = y[..., drop : drop + keep].unflatten(0, (-1, n))
    return wanted.transpose(1, 2).flatten(2)


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """To a GPU from memory that it can read by itself, while the caller goes on."""
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


class Results:
    """Results on their way from a GPU: each is fetched when the next ones are being computed."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def push(self, y: Tensor) -> list[Tensor]:
        """Take a result; give those that were there before."""
        before = self.rest()
        self.waiting.append(_copied(y))
        return before

    def rest(self) -> list[Tensor]:
        """All that are left."""
        arrived = []
        for y, event in self.waiting:
            if event is not None:
                event.synchronize()
            arrived.append(y)
        self.waiting = []
        return arrived


def _copied(y: Tensor) -> tuple[Tensor, "torch.cuda.Event | None"]:
    """On the CPU, once the event has come to pass."""
    if not y.is_cuda:
        return y.cpu(), None
    host = torch.empty(y.shape, dtype=y.dtype, pin_memory=True)
    host.copy_(y, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(y.device))
    return host, event
