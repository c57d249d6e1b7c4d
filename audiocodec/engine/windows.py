"""Samples to codes and back in windows that do not depend on each other, many at a time.

A GPU is filled by many windows side by side, not by one block after the other. Each window brings
as many frames around it as its own look at, which are computed and dropped: 7 to 8 percent more
work in long files. Codes and samples are those of the stream (engine.blocks), up to the rounding
of a GPU.
A result is fetched when the next windows are on their way, so that copies and computing overlap.

Shapes: B batch, C channels, T steps.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from audiocodec.engine.blocks import (
    StreamDecoder,
    StreamEncoder,
    look_up,
    no_codes,
    no_samples,
)
from audiocodec.engine.cuda_graphs import CUDAGraphed
from audiocodec.engine.inputs import CodeInput, SampleInput
from audiocodec.engine.precision import Precision
from audiocodec.model.network import DAC

if TYPE_CHECKING:
    import numpy as np

WINDOW_FRAMES = 256
WINDOWS = 8  # side by side: 24 s of 44.1 kHz audio, 2 to 4 GB at the published width


def window_frames(n_frames: int, batch: int) -> int:
    """For signals of so many frames, 0 for unknown: at once, if no more than a batch of windows."""
    at_once = 0 < n_frames * batch <= WINDOWS * WINDOW_FRAMES
    return n_frames if at_once else WINDOW_FRAMES


class Cut(NamedTuple):
    """Windows of one width, as many of each signal."""

    x: Tensor  # (windows B, C, T), those of a signal one behind the other
    spans: list[tuple[int, int]]  # the steps of each that are wanted: the first, and how many


class WindowSplitter:
    """Cuts what is pushed into overlapping windows, as they become complete.

    All are as wide: the first begins and the last ends where the signal does, and gives what the
    others leave over. A signal that is not as long as a window is one by itself.
    size, context: steps of a window that are wanted, and those on each side of them.
    """

    def __init__(self, size: int, context: int, most: int) -> None:
        self.size, self.context, self.most = size, context, most
        self.width = size + 2 * context
        self.parts: list[Tensor] = []
        self.before = self.n = self.done = 0  # steps let go of, pushed, and given

    def push(self, part: Tensor) -> Iterator[Cut]:
        """Take (B, C, any number)."""
        self.parts.append(part)
        self.n += part.shape[-1]
        while self.n - self._next >= (self.most - 1) * self.size + self.width:
            yield self._cut([self._next + i * self.size for i in range(self.most)])

    def end(self) -> Iterator[Cut]:
        """What is left."""
        if self.n > self.done:
            last = max(0, self.n - self.width)
            yield self._cut([*range(self._next, last, self.size), last], ended=True)

    def fill(self, multiple: int) -> None:
        """Zeros behind the signal, so that it is a multiple long."""
        missing = -self.n % multiple
        if missing:
            self.parts = [torch.nn.functional.pad(self._joined(), (0, missing))]
            self.n += missing

    @property
    def _next(self) -> int:
        """Where the next window begins."""
        return max(0, self.done - self.context)

    def _joined(self) -> Tensor:
        self.parts = [torch.cat(self.parts, dim=-1)] if len(self.parts) > 1 else self.parts
        return self.parts[0]

    def _cut(self, starts: list[int], ended: bool = False) -> Cut:
        x, windows, spans = self._joined(), [], []
        for start in starts:
            windows.append(x[..., start - self.before : start - self.before + self.width])
            is_last = ended and start == starts[-1]
            stop = self.n if is_last else start + self.width - self.context
            spans.append((self.done - start, stop - self.done))
            self.done = stop
        # A last window may reach back behind what the next one would need.
        keep_from = max(self.before, self.done - self.width)
        self.parts, self.before = [x[..., keep_from - self.before :]], keep_from
        return Cut(torch.stack(windows, dim=1).flatten(0, 1), spans)


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
        self.input, self.device = SampleInput(batch), model.device
        self.n_codebooks = n_codebooks or model.config.n_codebooks
        self.hop, reach = model.config.hop, model.config.encoder_reach
        context = -(-reach // self.hop) * self.hop
        self.cutter = WindowSplitter(window_frames * self.hop, context, max(1, WINDOWS // batch))
        self.encode = CUDAGraphed(_window_encoding(model, n_codebooks, precision))
        self.results = Results()

    @property
    def n_samples(self) -> int:
        """Samples that have been pushed."""
        return self.input.n_samples

    @torch.no_grad()
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Samples float (B, 1, any number) -> codes int64 (B, n_codebooks, what is there).

        Raises what StreamEncoder.push raises.
        """
        x = on_device(self.input.checked(samples), self.device)
        return self._codes(self.cutter.push(x))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the signal: the codes that are left, zeros filling the last frame."""
        self.input.end()
        self.cutter.fill(self.hop)
        codes = self._codes(self.cutter.end())
        return torch.cat([codes, *self.results.rest()], dim=-1)

    def _codes(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [no_codes(self.input.batch, self.n_codebooks)]
        for x, spans in cuts:
            spans = [(first // self.hop, n // self.hop) for first, n in spans]
            codes = in_turns(self.encode, x, self.hop * WINDOW_FRAMES + 2 * self.cutter.context)
            parts += self.results.push(joined(codes, spans))
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
        self.input, self.quantizer = CodeInput(batch, model.quantizer), model.quantizer
        self.hop = model.config.hop
        context = model.config.decoder_context
        self.cutter = WindowSplitter(window_frames, context, max(1, WINDOWS // batch))
        self.decode = CUDAGraphed(
            partial(_decoded, partial(StreamDecoder, model, precision=precision))
        )
        self.results = Results()

    @torch.no_grad()
    def push(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Codes int (B, n_codebooks, any number) -> samples float32 (B, 1, what is there).

        Raises what StreamDecoder.push raises.
        """
        checked = self.input.checked(codes)
        parts = [no_samples(len(checked))]
        at_once = max(1, WINDOWS * WINDOW_FRAMES // len(checked))  # latents take memory
        for part in checked.split(at_once, dim=-1):
            parts.append(self._samples(self.cutter.push(look_up(self.quantizer, part))))
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the codes: the samples that are left."""
        self.input.end()
        samples = self._samples(self.cutter.end())
        return torch.cat([samples, *self.results.rest()], dim=-1)

    def _samples(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [no_samples(self.input.batch)]
        for x, spans in cuts:
            spans = [(first * self.hop, n * self.hop) for first, n in spans]
            samples = in_turns(self.decode, x, WINDOW_FRAMES + 2 * self.cutter.context)
            parts += self.results.push(joined(samples, spans))
        return torch.cat(parts, dim=-1)


class BatchEncoder:
    """Codes of many signals, of which equal-shaped windows are encoded side by side.

    No signal is filled up to the length of another. A signal shorter than a window waits for one
    as long.
    """

    def __init__(
        self,
        model: DAC,
        n_codebooks: int | None = None,
        precision: Precision | None = None,
        window_frames: int = WINDOW_FRAMES,
    ) -> None:
        self.device = model.device
        self.n_codebooks = n_codebooks or model.config.n_codebooks
        self.hop, self.size = model.config.hop, window_frames
        self.context = -(-model.config.encoder_reach // self.hop)
        self.encode = CUDAGraphed(_window_encoding(model, n_codebooks, precision))
        self.waiting: dict[int, list[tuple[int, int, Piece]]] = {}  # by frames in a window
        self.codes: dict[int, list[Tensor | None]] = {}  # of the signals that are not given yet
        self.n_signals = self.n_waiting = 0

    @torch.no_grad()
    def push(self, signal: "Tensor | np.ndarray") -> Iterator[Tensor]:
        """Take one signal, float (n_samples,); yield codes of signals that are complete, in order.

        Codes: int64 (n_codebooks, frames). Raises what StreamEncoder.push raises.
        """
        x = on_device(SampleInput(1).checked(signal)[0, 0], self.device)
        pieces = self._pieces(torch.nn.functional.pad(x, (0, -len(x) % self.hop)))
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

    def _pieces(self, x: Tensor) -> list["Piece"]:
        """Windows, each with the frames of it that the others do not give."""
        cutter = WindowSplitter(self.size * self.hop, self.context * self.hop, WINDOWS)
        return [
            Piece(window, first // self.hop, (first + n) // self.hop)
            for cut in (*cutter.push(x[None, None]), *cutter.end())
            for window, (first, n) in zip(cut.x[:, 0], cut.spans, strict=True)
        ]

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
            yield torch.cat([no_codes(1, self.n_codebooks)[0], *parts], dim=-1)


class Piece(NamedTuple):
    """A window of a signal, and the frames of it that are wanted."""

    x: Tensor  # (samples,)
    first: int
    stop: int


def _window_encoding(
    model: DAC, n_codebooks: int | None, precision: Precision | None
) -> Callable[[Tensor], Tensor]:
    stream = partial(StreamEncoder, model, n_codebooks=n_codebooks, precision=precision)
    return partial(_encoded, stream)


def _encoded(new_stream: Callable[[int], StreamEncoder], x: Tensor) -> Tensor:
    """Codes of windows (B, 1, T); a function that holds no window or graph."""
    return new_stream(len(x)).encode_block(x, last=True)


def _decoded(new_stream: Callable[[int], StreamDecoder], x: Tensor) -> Tensor:
    """Samples of windows of latents (B, D, T), likewise."""
    return new_stream(len(x)).step(x, last=True)


def in_turns(work: CUDAGraphed, x: Tensor, width: int) -> Tensor:
    """Do it to no more items at once than what WINDOWS of this width amount to."""
    most = max(1, WINDOWS * width // x.shape[-1])
    if len(x) <= most:
        return work(x)
    n_whole = len(x) // most * most
    parts = [work(part) for part in x[:n_whole].split(most)]
    rest = [work.work(x[n_whole:])] if n_whole < len(x) else []  # does not end the recording
    return torch.cat(parts + rest)


def joined(y: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """What is wanted of the results of each signal's windows, (windows B, C, T) -> (B, C, all)."""
    windows = y.unflatten(0, (-1, len(spans))).unbind(1)
    parts = [y[..., first : first + n] for y, (first, n) in zip(windows, spans, strict=True)]
    return torch.cat(parts, dim=-1)


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
