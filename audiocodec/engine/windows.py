"""Encodes and decodes in independent windows, many at a time, to keep a GPU busy.

Each window includes the frames on both sides that its own frames depend on; these are computed and
dropped, 7 to 8 percent more work in long files. Codes and samples equal those of the stream
(engine.blocks) up to the rounding of a GPU.
Results are fetched while the next windows are computed, so that copying and computing overlap.

Shapes: B batch, C channels, D latent channels, T steps (samples, or frames of latents).
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
WINDOWS = 8  # computed together: 24 s of 44.1 kHz audio, 2 to 4 GB at the published width


def window_frames(n_frames: int, batch: int) -> int:
    """Frames per window for signals of n_frames (0: unknown): all, if they fit in one batch."""
    at_once = 0 < n_frames * batch <= WINDOWS * WINDOW_FRAMES
    return n_frames if at_once else WINDOW_FRAMES


class Cut(NamedTuple):
    """Windows of one width, the same number from each signal."""

    x: Tensor  # (B windows, C, T), those of one signal adjacent
    spans: list[tuple[int, int]]  # the steps of each window to keep: the first, and how many


class WindowSplitter:
    """Splits signals that are pushed in parts into overlapping windows of equal width.

    The first window begins where the signal begins; the last ends where it ends, and keeps the
    steps that the others left. A signal shorter than a window is one window by itself.
    size: the steps to keep of a window. context: steps on each side of them. most: windows of each
    signal in one Cut.
    """

    def __init__(self, size: int, context: int, most: int) -> None:
        self.size, self.context, self.most = size, context, most
        self.width = size + 2 * context
        self.parts: list[Tensor] = []
        self.before = self.n = self.done = 0  # steps dropped, pushed, and kept in windows so far

    def push(self, part: Tensor) -> Iterator[Cut]:
        """Take (B, C, T); yield windows that are complete, `most` at a time."""
        self.parts.append(part)
        self.n += part.shape[-1]
        while self.n - self._next >= (self.most - 1) * self.size + self.width:
            yield self._cut([self._next + i * self.size for i in range(self.most)])

    def end(self) -> Iterator[Cut]:
        """Yield windows with the rest of the signals."""
        if self.n > self.done:
            last = max(0, self.n - self.width)
            yield self._cut([*range(self._next, last, self.size), last], ended=True)

    def fill(self, multiple: int) -> None:
        """Append zeros until the length is a multiple of `multiple`."""
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
        # The last window may begin before the next regular one would.
        keep_from = max(self.before, self.done - self.width)
        self.parts, self.before = [x[..., keep_from - self.before :]], keep_from
        return Cut(torch.stack(windows, dim=1).flatten(0, 1), spans)


class WindowEncoder:
    """Encodes like a StreamEncoder, but many windows at a time."""

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
        self.splitter = WindowSplitter(window_frames * self.hop, context, max(1, WINDOWS // batch))
        self.encode = CUDAGraphed(_window_encoding(model, n_codebooks, precision))
        self.transfers = TransferQueue()

    @property
    def n_samples(self) -> int:
        """Samples pushed so far, of each signal."""
        return self.input.n_samples

    @torch.no_grad()
    def push(self, samples: "Tensor | np.ndarray") -> Tensor:
        """Take samples, float (B, 1, T); return codes now ready, int64 (B, n_codebooks, frames).

        Raises what StreamEncoder.push raises.
        """
        x = on_device(self.input.checked(samples), self.device)
        return self._codes(self.splitter.push(x))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the signal and return the remaining codes; zeros fill up the last frame."""
        self.input.end()
        self.splitter.fill(self.hop)
        codes = self._codes(self.splitter.end())
        return torch.cat([codes, *self.transfers.rest()], dim=-1)

    def _codes(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [no_codes(self.input.batch, self.n_codebooks)]
        for x, spans in cuts:
            spans = [(first // self.hop, n // self.hop) for first, n in spans]
            width = self.hop * WINDOW_FRAMES + 2 * self.splitter.context
            codes = run_in_chunks(self.encode, x, width)
            parts += self.transfers.push(joined(codes, spans))
        return torch.cat(parts, dim=-1)


class WindowDecoder:
    """Decodes like a StreamDecoder, but many windows at a time.

    Only for models that decode every frame to a whole hop: not for the alignment "published" with
    odd strides.
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
        self.splitter = WindowSplitter(window_frames, context, max(1, WINDOWS // batch))
        self.decode = CUDAGraphed(
            partial(_decoded, partial(StreamDecoder, model, precision=precision))
        )
        self.transfers = TransferQueue()

    @torch.no_grad()
    def push(self, codes: "Tensor | np.ndarray") -> Tensor:
        """Take codes, int (B, n_codebooks, T); return samples that are ready, float32 (B, 1, n).

        Raises what StreamDecoder.push raises.
        """
        checked = self.input.checked(codes)
        parts = [no_samples(len(checked))]
        at_once = max(1, WINDOWS * WINDOW_FRAMES // len(checked))  # latents take memory
        for part in checked.split(at_once, dim=-1):
            parts.append(self._samples(self.splitter.push(look_up(self.quantizer, part))))
        return torch.cat(parts, dim=-1)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the signal and return the remaining samples."""
        self.input.end()
        samples = self._samples(self.splitter.end())
        return torch.cat([samples, *self.transfers.rest()], dim=-1)

    def _samples(self, cuts: Iterator[Cut]) -> Tensor:
        parts = [no_samples(self.input.batch)]
        for x, spans in cuts:
            spans = [(first * self.hop, n * self.hop) for first, n in spans]
            samples = run_in_chunks(self.decode, x, WINDOW_FRAMES + 2 * self.splitter.context)
            parts += self.transfers.push(joined(samples, spans))
        return torch.cat(parts, dim=-1)


class BatchEncoder:
    """Encodes many signals together: windows of equal width, from any of them, form a batch.

    No signal is padded to the length of another; one that is shorter than a window waits for others
    of the same length.
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
        # by width in frames: number of the signal, number of the window in it, window
        self.waiting: dict[int, list[tuple[int, int, SignalWindow]]] = {}
        self.codes: dict[int, list[Tensor | None]] = {}  # of the signals that are not complete yet
        self.n_signals = self.n_waiting = 0

    @torch.no_grad()
    def push(self, signal: "Tensor | np.ndarray") -> Iterator[Tensor]:
        """Take one signal, float (n_samples,); yield the codes of complete signals, in order.

        Codes: int64 (n_codebooks, frames). Raises what StreamEncoder.push raises.
        """
        x = on_device(SampleInput(1).checked(signal)[0, 0], self.device)
        windows = self._windows(torch.nn.functional.pad(x, (0, -len(x) % self.hop)))
        self.codes[self.n_signals] = [None] * len(windows)
        for i, window in enumerate(windows):
            width = len(window.x) // self.hop
            self.waiting.setdefault(width, []).append((self.n_signals, i, window))
            self.n_waiting += 1
            if len(self.waiting[width]) == WINDOWS:
                self._encode(width)
        self.n_signals += 1
        if self.n_waiting > 4 * WINDOWS:  # of rare lengths, whose batch may never fill
            self._encode(max(self.waiting, key=lambda width: len(self.waiting[width])))
        yield from self._complete()

    @torch.no_grad()
    def flush(self) -> Iterator[Tensor]:
        """Encode what waits; yield the codes of the remaining signals, as push() does."""
        for width in list(self.waiting):
            self._encode(width)
        yield from self._complete()

    def _windows(self, x: Tensor) -> list["SignalWindow"]:
        """The windows of a signal (n_samples,)."""
        splitter = WindowSplitter(self.size * self.hop, self.context * self.hop, WINDOWS)
        return [
            SignalWindow(window, first // self.hop, (first + n) // self.hop)
            for cut in (*splitter.push(x[None, None]), *splitter.end())
            for window, (first, n) in zip(cut.x[:, 0], cut.spans, strict=True)
        ]

    def _encode(self, width: int) -> None:
        batch = self.waiting.pop(width)
        self.n_waiting -= len(batch)
        x = torch.stack([window.x for _, _, window in batch])[:, None]
        codes = self.encode(x).cpu()
        for (signal, i, window), row in zip(batch, codes, strict=True):
            self.codes[signal][i] = row[:, window.first : window.stop]

    def _complete(self) -> Iterator[Tensor]:
        """Yield the codes of signals in order, up to the first that is not complete."""
        for signal in list(self.codes):
            parts = [part for part in self.codes[signal] if part is not None]
            if len(parts) < len(self.codes[signal]):
                return
            del self.codes[signal]
            yield torch.cat([no_codes(1, self.n_codebooks)[0], *parts], dim=-1)


class SignalWindow(NamedTuple):
    """A window of one signal, and which of its frames to keep: first to stop."""

    x: Tensor  # (samples,)
    first: int
    stop: int


def _window_encoding(
    model: DAC, n_codebooks: int | None, precision: Precision | None
) -> Callable[[Tensor], Tensor]:
    stream = partial(StreamEncoder, model, n_codebooks=n_codebooks, precision=precision)
    return partial(_encoded, stream)


def _encoded(new_stream: Callable[[int], StreamEncoder], x: Tensor) -> Tensor:
    """Windows of samples (B, 1, T) -> codes (B, N, frames), by a new stream each time."""
    return new_stream(len(x)).encode_block(x, last=True)


def _decoded(new_stream: Callable[[int], StreamDecoder], x: Tensor) -> Tensor:
    """Windows of latents (B, D, T) -> samples (B, 1, T * hop), by a new stream each time."""
    return new_stream(len(x)).step(x, last=True)


def run_in_chunks(work: CUDAGraphed, x: Tensor, width: int) -> Tensor:
    """Run `work` on x, (windows, C, T), in chunks that fit the memory of WINDOWS windows.

    width: the steps of a window of the usual size.
    """
    most = max(1, WINDOWS * width // x.shape[-1])
    if len(x) <= most:
        return work(x)
    n_whole = len(x) // most * most
    parts = [work(part) for part in x[:n_whole].split(most)]
    # directly, because a call with another shape would discard the graph
    rest = [work.work(x[n_whole:])] if n_whole < len(x) else []
    return torch.cat(parts + rest)


def joined(y: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    """Join the spans to keep of each signal's windows, (B windows, C, T) -> (B, C, total)."""
    windows = y.unflatten(0, (-1, len(spans))).unbind(1)
    parts = [y[..., first : first + n] for y, (first, n) in zip(windows, spans, strict=True)]
    return torch.cat(parts, dim=-1)


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """Copy x to the device: to a GPU from pinned memory, without waiting for the copy."""
    if device.type != "cuda" or x.is_cuda:
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


class TransferQueue:
    """Results being copied from a GPU; each is collected while the next one is computed."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Tensor, torch.cuda.Event | None]] = []

    def push(self, y: Tensor) -> list[Tensor]:
        """Start to copy a result; return those that were started before, on the CPU."""
        before = self.rest()
        self.waiting.append(_copied(y))
        return before

    def rest(self) -> list[Tensor]:
        """Wait for all results that are still being copied; return them."""
        arrived = []
        for y, event in self.waiting:
            if event is not None:
                event.synchronize()
            arrived.append(y)
        self.waiting = []
        return arrived


def _copied(y: Tensor) -> tuple[Tensor, "torch.cuda.Event | None"]:
    """A copy on the CPU, complete once the event has happened; without an event, at once."""
    if not y.is_cuda:
        return y.cpu(), None
    host = torch.empty(y.shape, dtype=y.dtype, pin_memory=True)
    host.copy_(y, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(y.device))
    return host, event
