"""From codes to audio: decodes the blocks of a .dac file, cuts, undoes the gain, and resamples.

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

OurFile = Reader | DacFile  # on disk, or in memory
AnyFile = OurFile | PublishedFile
Pieces = Iterator[np.ndarray]  # float32 (some samples, channels), in order
DecodeMany = Callable[[Iterable[torch.Tensor], bool], Iterator[torch.Tensor]]  # Engine.decode_many


class LostAudioWarning(UserWarning):
    """A part of a damaged file is replaced by silence, or its end is missing."""


@dataclass(frozen=True)
class DecodeRequest:
    """What to decode of a file, and how."""

    start_s: float = 0.0
    duration_s: float | None = None
    n_codebooks: int | None = None
    recover: bool = False
    progress: Progress | None = None
    rate_for: Callable[[int], int] = lambda rate: rate  # from the recording's rate to the output's

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
        """Raises ArgumentError if more codebooks are requested than the file has."""
        if self.n_codebooks is not None and self.n_codebooks > n_codebooks:
            raise ArgumentError(f"{self.n_codebooks} codebooks; the file has 1 to {n_codebooks}")

    def samples(self, sample_rate: int, n_samples: int) -> tuple[int, int]:
        """The first sample to decode, and the one after the last. Raises ArgumentError."""
        start = round(self.start_s * sample_rate)
        if start >= n_samples:
            raise ArgumentError(
                f"start at {self.start_s:g} s is not before the end, {n_samples / sample_rate:g} s"
            )
        if self.duration_s is None:
            return start, n_samples
        return start, min(n_samples, start + max(1, round(self.duration_s * sample_rate)))


def named_model(dac: AnyFile) -> str:
    """The known model that a file names.

    A file cannot make us download from the hub what the user did not name.
    Raises ContainerError for a file that names no model, or one that is not known.
    """
    if isinstance(dac, PublishedFile):
        raise ContainerError(
            f"{dac.path}: published files do not say which model made them; give it "
            "with --model (to Codec.from_pretrained): dac_44khz, dac_24khz, dac_16khz, or a file"
        )
    model = dac.header.model
    if model not in KNOWN_MODELS:
        raise ContainerError(
            f"{dac.path}: made with model {quoted(model)}, which is not a known name; give its "
            "path or hub repository with --model (to Codec.from_pretrained)"
        )
    return model


@dataclass(frozen=True)
class Decoded:
    """Audio that is decoded as `pieces` are drawn.

    n_silent: at most so many of its samples are silence in place of lost audio.
    """

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
    request: DecodeRequest,
) -> Decoded:
    """Decode a part of a file, reading only the blocks that it needs.

    new_stream: makes a decoder for a number of channels and a highest number of frames.
    The neighbouring frames on which the networks and the resampler depend are decoded as well and
    dropped, so that the part equals the same part of the whole file, up to rounding.
    Raises ContainerError for a file without frames, ArgumentError for a request beyond the file.
    """
    header = reader.header
    request.check_codebooks(header.n_codebooks)
    n_samples, n_frames = reader.extent(request.recover)
    if not n_frames:
        raise ContainerError(f"{reader.path}: holds no frames that can be decoded")
    rate = request.rate_for(header.sample_rate)
    n_out = resampled_length(n_samples, header.sample_rate, rate)
    start, stop = request.samples(rate, n_out)
    if stop == n_out:
        _warn_of_missing_end(reader, n_samples)
    rates = _rates(header.model_rate, header.sample_rate, rate)
    lengths = [resampled_length(n_samples, header.sample_rate, one) for one in rates]
    steps, in_start, in_stop = _steps(rates, lengths, start, stop)
    first = max(0, in_start // header.hop - config.decoder_context)
    last = min(n_frames, -(-in_stop // header.hop) + config.decoder_context)
    pieces = _decoded_frames(reader, new_stream, config, request, first, last)
    pieces = _window(pieces, in_start - first * header.hop, in_stop - in_start)
    if request.progress:
        pieces = _reported(pieces, request.progress, in_stop - in_start)
    scale = np.float32(1 / header.gain)
    pieces = (piece * scale for piece in pieces)
    for step in steps:
        pieces = step.apply(pieces, header.channels)
    n_lost = max(0, n_frames - reader.n_intact) if request.recover else 0
    n_silent = resampled_length(header.samples_of(n_lost), header.sample_rate, rate)
    n_silent = min(stop - start, n_silent)
    return Decoded(rate, header.channels, stop - start, pieces, header.tags, n_silent)


def _rates(model_rate: int, own_rate: int, rate: int) -> list[int]:
    """The chain of sample rates from the model to the output.

    The recording's own rate is included if it is the lowest: this removes what the decoder adds
    above the band of the recording, which is noise.
    """
    return [model_rate, own_rate, rate] if own_rate < min(model_rate, rate) else [model_rate, rate]


@dataclass(frozen=True)
class _Resampling:
    """One change of the sample rate: drops `skip` samples of its output, then gives n_samples."""

    from_rate: int
    to_rate: int
    skip: int
    n_samples: int

    def apply(self, pieces: Iterable[np.ndarray], channels: int) -> Pieces:
        n_out = self.skip + self.n_samples
        out = resampled(pieces, self.from_rate, self.to_rate, channels, n_out)
        return _window(out, self.skip, self.n_samples)


def _steps(
    rates: Sequence[int], lengths: Sequence[int], start: int, stop: int
) -> tuple[list[_Resampling], int, int]:
    """The conversions that give samples start to stop at the last rate.

    lengths: of the whole programme at each rate.
    Returns them with the start and stop of the samples that they need at the first rate.
    """
    steps: list[_Resampling] = []
    for i in range(len(rates) - 1, 0, -1):
        in_start, in_stop, skip = input_range(start, stop - start, rates[i - 1], rates[i])
        steps.insert(0, _Resampling(rates[i - 1], rates[i], skip, stop - start))
        start, stop = in_start, min(in_stop, lengths[i - 1])
    return steps, start, stop


def _decoded_frames(
    reader: OurFile,
    new_stream: Callable[[int, int], AnyDecoder],
    config: ModelConfig,
    request: DecodeRequest,
    first: int,
    last: int,
) -> Pieces:
    """Decode frames first to last, hop samples each, with silence where frames are lost."""
    channels, position = reader.header.channels, first
    decoder = _ContiguousDecoder(new_stream(channels, last - first), config, channels)
    for block in reader.blocks(recover=request.recover, first_frame=first, stop_frame=last):
        if block.first_frame > position:
            yield from decoder.flush()
            yield from _silence(config, reader, position, block.first_frame)
            decoder = _ContiguousDecoder(new_stream(channels, last - position), config, channels)
        yield decoder.push(block.codes[:, : request.n_codebooks])
        position = block.first_frame + block.codes.shape[-1]
    yield from decoder.flush()


class _ContiguousDecoder:
    """Decodes consecutive frames through one stream."""

    def __init__(self, stream: AnyDecoder, config: ModelConfig, channels: int) -> None:
        self.stream, self.hop, self.channels = stream, config.hop, channels
        self.n_missing = 0  # samples of pushed frames that have not been returned

    def push(self, codes: np.ndarray) -> np.ndarray:
        self.n_missing += codes.shape[-1] * self.hop
        return self._given(self.stream.push(torch.from_numpy(codes.astype(np.int64))))

    def flush(self) -> Pieces:
        """Yield the rest, and zeros for the few samples that the "published" alignment lacks."""
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
    """Yield `length` samples from sample `skip` on."""
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
    file: PublishedFile, decode_many: DecodeMany, config: ModelConfig, request: DecodeRequest
) -> Decoded:
    """Decode a file of the published tool as that tool does, with the exact length.

    Windows are decoded without padding and joined; then each channel is brought to the stored
    loudness, as in the published tool, so the balance between channels is not restored.
    The whole programme is held in memory.
    Raises ContainerError for windows that are too short, ArgumentError for a request beyond the
    file.
    """
    request.check_codebooks(file.codes.shape[1])
    model_rate = config.sample_rate
    n_total = resampled_length(file.n_samples, file.sample_rate, model_rate)
    windows = _windows(file, decode_many, config, request, n_total)
    if request.progress:
        windows = _reported(windows, request.progress, n_total)
    samples = np.concatenate(list(windows))
    # The file declares the length: accept a second more than was decoded, but not hours.
    most = resampled_length(len(samples), model_rate, file.sample_rate) + file.sample_rate
    rate = request.rate_for(file.sample_rate)
    n_samples = min(file.n_samples, most)
    start, stop = request.samples(rate, resampled_length(n_samples, file.sample_rate, rate))
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
    file: PublishedFile,
    decode_many: DecodeMany,
    config: ModelConfig,
    request: DecodeRequest,
    n_total: int,
) -> Pieces:
    """Decode the windows that begin within the programme, `n_total` samples at the model's rate.

    The published tool writes no others, and none much longer than the programme; further codes
    in a hostile file are skipped, so that they cost no time.
    """
    longest = -(-n_total // config.hop) + 2 * config.decoder_context
    firsts = range(0, file.codes.shape[-1], file.chunk_length)
    lengths = min(file.chunk_length, longest)
    codes = (file.codes[:, : request.n_codebooks, one : one + lengths] for one in firsts)
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
