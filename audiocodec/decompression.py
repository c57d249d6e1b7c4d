"""From codes to sound: the blocks of a .dac file, decoded, cut, scaled back and resampled.

Handles our own files and published ones.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch

from audiocodec.audio import LoudnessMeter, input_range, resampled, resampled_length
from audiocodec.compression import Progress
from audiocodec.container import DacFile, PublishedFile, Reader
from audiocodec.engine import AnyDecoder
from audiocodec.errors import ArgumentError, ContainerError, quoted
from audiocodec.model.config import ModelConfig
from audiocodec.validation import check_float, check_int
from audiocodec.weights.registry import KNOWN_MODELS

OurFile = Reader | DacFile  # on disk, or in hand
AnyFile = OurFile | PublishedFile
Pieces = Iterator[np.ndarray]  # float32 (some samples, channels), in order
DecodeMany = Callable[[Iterable[torch.Tensor], bool], Iterator[torch.Tensor]]  # of an Engine


class LostAudioWarning(UserWarning):
    """A part of a damaged file that could not be decoded; silence stands in its place."""


@dataclass(frozen=True)
class Part:
    """What is wanted of a file."""

    start_s: float = 0.0
    duration_s: float | None = None
    n_codebooks: int | None = None
    recover: bool = False
    progress: Progress | None = None
    rate_for: Callable[[int], int] = lambda rate: rate  # output rate, from that of the recording

    def __post_init__(self) -> None:
        if not 0 <= check_float(self.start_s, "start") < math.inf:
            raise ArgumentError(f"start is {self.start_s} s; it must be 0 or later")
        if (
            self.duration_s is not None
            and not 0 < check_float(self.duration_s, "duration") < math.inf
        ):
            raise ArgumentError(f"duration is {self.duration_s} s; it must be more than 0")
        if self.n_codebooks is not None and check_int(self.n_codebooks, "n_codebooks") < 1:
            raise ArgumentError(f"{self.n_codebooks} codebooks; at least 1 is needed")

    def check_codebooks(self, n_codebooks: int) -> None:
        """Raises ArgumentError where the file has fewer."""
        if self.n_codebooks is not None and self.n_codebooks > n_codebooks:
            raise ArgumentError(f"{self.n_codebooks} codebooks; the file has 1 to {n_codebooks}")

    def samples(self, sample_rate: int, n_samples: int) -> tuple[int, int]:
        """First sample, and the one after the last."""
        start = round(self.start_s * sample_rate)
        if start >= n_samples:
            raise ArgumentError(
                f"start at {self.start_s:g} s is not before the end, {n_samples / sample_rate:g} s"
            )
        if self.duration_s is None:
            return start, n_samples
        return start, min(n_samples, start + max(1, round(self.duration_s * sample_rate)))


def named_model(dac: AnyFile) -> str:
    """The model that a file names, if it is one that is known here.

    A file cannot make us fetch something from the hub that the user did not name.
    Raises ContainerError for a file that names no model, or another one.
    """
    if isinstance(dac, PublishedFile):
        raise ContainerError(
            f"{dac.path}: published files do not say which model made them; give it "
            "with --model (to Codec.from_pretrained): dac_44khz, dac_24khz, dac_16khz, or a file"
        )
    model = dac.header.model
    if model not in KNOWN_MODELS:
        raise ContainerError(
            f"{dac.path}: made with model {quoted(model)}; give its place with --model (to "
            "Codec.from_pretrained)"
        )
    return model


@dataclass(frozen=True)
class Decoded:
    """Sound on its way out. n_silent: how many of its samples stand for lost ones, at most."""

    sample_rate: int
    channels: int
    n_samples: int
    pieces: Pieces
    tags: Mapping[str, str] = field(default_factory=dict)
    n_silent: int = 0


def decoded(
    reader: OurFile,
    new_stream: Callable[[int, int], AnyDecoder],
    config: ModelConfig,
    part: Part,
) -> Decoded:
    """Decode a part of a file, reading the blocks that it needs and no others.

    new_stream: of so many channels, and for so many frames at most.
    Frames around the part are decoded as well and dropped, as many as the networks and the
    resampler look around, so that the part is the same part of the whole, up to rounding.
    """
    header = reader.header
    part.check_codebooks(header.n_codebooks)
    n_samples, n_frames = reader.extent(part.recover)
    if not n_frames:
        raise ContainerError(f"{reader.path}: holds no frames that can be decoded")
    rate = part.rate_for(header.sample_rate)
    n_out = resampled_length(n_samples, header.sample_rate, rate)
    start, stop = part.samples(rate, n_out)
    if stop == n_out:
        _warn_of_missing_end(reader, n_samples)
    rates = _rates(header.model_rate, header.sample_rate, rate)
    lengths = [resampled_length(n_samples, header.sample_rate, one) for one in rates]
    steps, in_start, in_stop = _steps(rates, lengths, start, stop)
    first = max(0, in_start // header.hop - config.decoder_context)
    last = min(n_frames, -(-in_stop // header.hop) + config.decoder_context)
    pieces = _decoded_frames(reader, new_stream, config, part, first, last)
    pieces = _window(pieces, in_start - first * header.hop, in_stop - in_start)
    if part.progress:
        pieces = _reported(pieces, part.progress, in_stop - in_start)
    scale = np.float32(1 / header.gain)
    pieces = (piece * scale for piece in pieces)
    for step in steps:
        pieces = step.taken(pieces, header.channels)
    n_lost = max(0, n_frames - reader.n_intact) if part.recover else 0
    n_silent = resampled_length(header.samples_of(n_lost), header.sample_rate, rate)
    n_silent = min(stop - start, n_silent)
    return Decoded(rate, header.channels, stop - start, pieces, header.tags, n_silent)


def _rates(model_rate: int, own_rate: int, rate: int) -> list[int]:
    """The rates that the sound takes: that of the recording too, where it is the lowest.

    What the decoder adds above the band of the recording is noise.
    """
    return [model_rate, own_rate, rate] if own_rate < min(model_rate, rate) else [model_rate, rate]


@dataclass(frozen=True)
class _Step:
    """One conversion of a part of the sound."""

    from_rate: int
    to_rate: int
    skip: int
    n_samples: int

    def taken(self, pieces: Iterable[np.ndarray], channels: int) -> Pieces:
        n_out = self.skip + self.n_samples
        out = resampled(pieces, self.from_rate, self.to_rate, channels, n_out)
        return _window(out, self.skip, self.n_samples)


def _steps(
    rates: Sequence[int], lengths: Sequence[int], start: int, stop: int
) -> tuple[list[_Step], int, int]:
    """How samples start to stop at the last rate are made, and from which ones at the first.

    lengths: of the whole sound at each rate.
    """
    steps: list[_Step] = []
    for i in range(len(rates) - 1, 0, -1):
        in_start, in_stop, skip = input_range(start, stop - start, rates[i - 1], rates[i])
        steps.insert(0, _Step(rates[i - 1], rates[i], skip, stop - start))
        start, stop = in_start, min(in_stop, lengths[i - 1])
    return steps, start, stop


def _decoded_frames(
    reader: OurFile,
    new_stream: Callable[[int, int], AnyDecoder],
    config: ModelConfig,
    part: Part,
    first: int,
    last: int,
) -> Pieces:
    """The samples of frames first to last, hop each; silence where frames are lost."""
    channels, position = reader.header.channels, first
    run = _Run(new_stream(channels, last - first), config, channels)
    for block in reader.blocks(recover=part.recover, first_frame=first, stop_frame=last):
        if block.first_frame > position:
            yield from run.ended()
            yield from _silence(config, reader, position, block.first_frame)
            run = _Run(new_stream(channels, last - position), config, channels)
        yield run.push(block.codes[:, : part.n_codebooks])
        position = block.first_frame + block.codes.shape[-1]
    yield from run.ended()


class _Run:
    """Frames without a gap, through one decoder stream."""

    def __init__(self, stream: AnyDecoder, config: ModelConfig, channels: int) -> None:
        self.stream, self.hop, self.channels = stream, config.hop, channels
        self.n_missing = 0  # samples of the frames that have been pushed

    def push(self, codes: np.ndarray) -> np.ndarray:
        self.n_missing += codes.shape[-1] * self.hop
        return self._given(self.stream.push(torch.from_numpy(codes.astype(np.int64))))

    def ended(self) -> Pieces:
        """The rest; zeros for the few samples that the "published" alignment lacks."""
        yield self._given(self.stream.flush())
        yield np.zeros((self.n_missing, self.channels), np.float32)

    def _given(self, samples: torch.Tensor) -> np.ndarray:
        self.n_missing -= samples.shape[-1]
        return samples[:, 0].T.numpy()


def _warn_of_missing_end(reader: OurFile, n_samples: int) -> None:
    if reader.n_samples is not None and reader.n_samples <= n_samples:
        return
    rate = reader.header.sample_rate
    stop = "its end" if reader.n_samples is None else f"{reader.n_samples / rate:.2f} s"
    warnings.warn(
        f"{reader.path}: {n_samples / rate:.2f} s to {stop} is missing",
        LostAudioWarning,
        stacklevel=2,
    )


def _silence(config: ModelConfig, reader: OurFile, first: int, last: int) -> Pieces:
    start_s, stop_s = first / config.frame_rate, last / config.frame_rate
    warnings.warn(
        f"{reader.path}: {start_s:.2f} s to {stop_s:.2f} s is lost; silence stands in its place",
        LostAudioWarning,
        stacklevel=2,
    )
    frame = np.zeros((config.hop, reader.header.channels), np.float32)
    for _ in range(first, last):
        yield frame


def _window(pieces: Iterable[np.ndarray], skip: int, length: int) -> Pieces:
    """The samples from `skip` on, `length` of them."""
    for piece in pieces:
        kept = piece[skip : skip + length]
        skip = max(0, skip - len(piece))
        length -= len(kept)
        yield kept
        if not length:
            return


def _reported(pieces: Pieces, progress: Progress, n_total: int) -> Pieces:
    n_done = 0
    for piece in pieces:
        yield piece
        n_done += len(piece)
        progress(n_done, n_total)


def decoded_published(
    file: PublishedFile, decode_many: DecodeMany, config: ModelConfig, part: Part
) -> Decoded:
    """Decode a file of the published tool to what that tool decodes, with its exact length.

    Windows are decoded without padding and joined; then each channel is brought to the stored
    loudness, which the published tool does too, so the balance of its files is not restored.
    The whole is held in memory.
    """
    part.check_codebooks(file.codes.shape[1])
    model_rate = config.sample_rate
    n_total = resampled_length(file.n_samples, file.sample_rate, model_rate)
    windows = _windows(file, decode_many, config, part, n_total)
    if part.progress:
        windows = _reported(windows, part.progress, n_total)
    samples = np.concatenate(list(windows))
    # The length is the file's word; a few samples may be missing, but not hours.
    most = resampled_length(len(samples), model_rate, file.sample_rate) + file.sample_rate
    rate = part.rate_for(file.sample_rate)
    n_samples = min(file.n_samples, most)
    start, stop = part.samples(rate, resampled_length(n_samples, file.sample_rate, rate))
    for channel in samples.T:
        meter = LoudnessMeter(model_rate, 1)
        meter.push(channel[:, None])
        channel *= np.float32(10 ** ((file.input_db - meter.integrated()) / 20))
    pieces: Pieces = iter([samples])
    for from_rate, to_rate in pairwise(_rates(model_rate, file.sample_rate, rate)):
        n_out = resampled_length(n_samples, file.sample_rate, to_rate)
        pieces = resampled(pieces, from_rate, to_rate, file.channels, n_out)
    return Decoded(rate, file.channels, stop - start, _window(pieces, start, stop - start))


def _windows(
    file: PublishedFile, decode_many: DecodeMany, config: ModelConfig, part: Part, n_total: int
) -> Pieces:
    """The windows that begin before the end of the sound, `n_total` samples at the model's rate.

    Those are all that the published tool writes, and none is much longer than the sound; a file
    that holds more codes than that costs no more time.
    """
    longest = -(-n_total // config.hop) + 2 * config.decoder_context
    firsts = range(0, file.codes.shape[-1], file.chunk_length)
    lengths = min(file.chunk_length, longest)
    codes = (file.codes[:, : part.n_codebooks, one : one + lengths] for one in firsts)
    windows = (torch.from_numpy(window.astype(np.int64)) for window in codes)
    for decoded_window in decode_many(windows, file.padding):
        samples = decoded_window[:, 0].T.numpy().copy()
        if not len(samples):
            raise ContainerError(
                f"{file.path}: its windows of {file.chunk_length} frames are too short to decode"
            )
        yield samples
        n_total -= len(samples)
        if n_total <= 0:
            return
