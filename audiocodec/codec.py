"""Codec: the one module that joins all stages from a waveform to a .dac file and back.

    compress:    file -> samples -> model-rate samples -> blocks -> codes -> .dac
    decompress:  the same steps backwards

compression.py and decompression.py hold the two directions.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from audiocodec.audio import AudioSource, CutAudioWarning, audio_output, file_rate, open_audio
from audiocodec.audio.arrays import checked_rate
from audiocodec.compression import Measured, Progress, codes_of, measure, model_blocks
from audiocodec.container import (
    CodeSpace,
    DacFile,
    Header,
    PublishedFile,
    Writer,
    check_readable,
    dac_output,
    open_dac,
)
from audiocodec.decompression import (
    AnyFile,
    Decoded,
    DecodeRequest,
    LostAudioWarning,
    decoded,
    decoded_published,
    named_model,
)
from audiocodec.engine import (
    BLOCK_FRAMES,
    Engine,
    Precision,
    StreamDecoder,
    StreamEncoder,
    as_tensor,
    channels_hint,
    kernels,
    pick_device,
)
from audiocodec.errors import ArgumentError
from audiocodec.files import (
    check_apart,
    check_space,
    is_seekable,
    name_of,
    open_binary,
    spooled,
)
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.validation import check_float, check_int
from audiocodec.weights.card import model_card
from audiocodec.weights.hub import HubOptions
from audiocodec.weights.registry import DEFAULT_MODEL
from audiocodec.weights.resolve import resolve
from audiocodec.weights.store import load_model, save_model
from audiocodec.weights.upload import upload

__all__ = ["Audio", "Codec", "CutAudioWarning", "LostAudioWarning"]

Source = str | os.PathLike[str] | BinaryIO
Wave = TypeVar("Wave", np.ndarray, Tensor)


class Audio(NamedTuple):
    """Decoded audio; unpacks as `samples, sample_rate = codec.decompress(...)`."""

    samples: np.ndarray  # float32 (n_samples, channels), full scale 1.0
    sample_rate: int


class Codec:
    """A model that is ready to compress and decompress.

    Attributes: config (ModelConfig), name, fingerprint (of the code space), device.
    Make one with Codec.from_pretrained().
    """

    def __init__(
        self, model: DAC, name: str, device: str = "auto", precision: str = "exact"
    ) -> None:
        exactness, place = Precision(precision), pick_device(device)
        self.config: ModelConfig = model.config
        self.name, self.fingerprint = name, model.fingerprint()
        self.model = model.eval().requires_grad_(False).to(place)
        self.engine = Engine(self.model, exactness)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
        revision: str | None = None,
        device: str = "auto",
        *,
        precision: str = "exact",
        alignment: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> "Codec":
        """Load a model.

        name_or_path: a known name (`audiocodec models` lists them), a hub repository
            "owner/name", a folder, or a file: model.safetensors, pytorch_model.bin or a
            published .pth; also of Parler-TTS, a composite model or a training run.
        revision: branch, tag or commit of the hub repository.
        device: "auto" (CUDA, else MPS, else CPU) or a torch device.
        precision: "exact" (float32, no TF32: the same tokens everywhere) or "fast"
            (bfloat16 or TF32 where the device supports them).
        alignment: "aligned" or "published", instead of the model's own (see ModelConfig).
        token, cache_dir: for the hub, as huggingface_hub takes them.
        local_files_only: take a hub model from the cache, without contacting the hub.
        Raises ModelError, which says what was tried, and ArgumentError for a wrong argument.
        """
        hub = HubOptions(token=token, cache_dir=cache_dir, local_files_only=local_files_only)
        located = resolve(name_or_path, revision, hub)
        model, own_name = load_model(located.path, alignment)
        name = located.name or own_name or located.path.stem
        return cls(model, name, device, precision)

    @classmethod
    def for_file(
        cls, source: Source | DacFile, device: str = "auto", *, precision: str = "exact"
    ) -> "Codec":
        """Load the model that a .dac file names.

        source: a path, a seekable binary file object, or a DacFile.
        device, precision: as in from_pretrained.
        Only known models (`audiocodec models` lists them) are loaded: a file cannot make this
        library download anything else.
        Raises ContainerError for a file that is not ours or names no known model, ModelError, and
        ModelMismatch if the model of that name is not the one that made the codes.
        """
        with _opened(source) as dac:
            codec = cls.from_pretrained(named_model(dac), device=device, precision=precision)
            codec.space.check_same(dac.header, dac.path)  # type: ignore[union-attr]
        return codec

    def __repr__(self) -> str:
        c = self.config
        return (
            f"Codec({self.name!r}, {c.sample_rate} Hz, {c.n_codebooks} codebooks of "
            f"{c.codebook_size} at {c.frame_rate:.2f} frames/s = {c.kbps:.2f} kbps, "
            f"device={self.device}, precision={self.precision.name}, "
            f"kernels={kernels.kind(self.device)})"
        )

    @property
    def device(self) -> torch.device:
        """The device on which the model runs."""
        return self.engine.device

    @property
    def precision(self) -> Precision:
        """The precision of its arithmetic."""
        return self.engine.precision

    def to(self, device: str | torch.device) -> "Codec":
        """Move the model to a device and return the codec.

        Raises ArgumentError for a device that cannot be used.
        """
        self.model.to(pick_device(device))
        return self

    @property
    def sample_rate(self) -> int:
        """Samples per second that encode() takes and decode() returns."""
        return self.config.sample_rate

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return self.config.hop

    @property
    def space(self) -> CodeSpace:
        """What gives the model's codes their meaning, as stored in file headers."""
        config = self.config
        return CodeSpace(
            self.name, self.fingerprint, config.sample_rate, config.hop, config.codebook_size
        )

    @property
    def n_codebooks(self) -> int:
        """The number of codebooks of the model."""
        return self.config.n_codebooks

    # Tensors

    def encode(self, wav: Wave, n_codebooks: int | None = None) -> Wave:
        """Turn samples into codes.

        wav: float (batch, 1, n_samples) or (n_samples,), at the model's rate, full scale 1.0.
        n_codebooks: only the first ones; all by default.
        Returns int64 (batch, n_codebooks, frames), frames = ceil(n_samples / hop); an array for
        an array, a tensor for a tensor. Zeros fill up the last frame.
        Raises ArgumentError for another shape, no samples, and samples that are not finite or lie
        beyond a million times full scale.
        Source: arXiv 2306.06546, sections 3.1 and 3.2.
        """
        x = as_tensor(wav, "samples")
        if x.ndim not in (1, 3) or 0 in x.shape or channels_hint(x):
            raise ArgumentError(
                f"samples are shaped {tuple(x.shape)}; they must be (batch, 1, n_samples) or "
                "(n_samples,), and not empty" + channels_hint(x)
            )
        frames = self.config.n_frames(x.shape[-1])
        stream = self.engine.encoder(len(x) if x.ndim == 3 else 1, n_codebooks, frames)
        codes = torch.cat([stream.push(x), stream.flush()], dim=-1)
        return codes.to(wav.device) if isinstance(wav, Tensor) else codes.numpy()

    def encode_many(
        self, signals: Iterable[np.ndarray | Tensor], n_codebooks: int | None = None
    ) -> Iterator[Tensor]:
        """Turn many signals into codes, one after the other in their order.

        signals: each float (n_samples,), at the model's rate; consumed as needed.
        n_codebooks: only the first ones; all by default.
        Yields int64 (n_codebooks, frames) on the CPU, the result of encode() for each signal;
        an empty signal has no frames. A GPU encodes windows of several signals together, and never
        pads a signal to the length of another.
        Raises ArgumentError for another shape, and for samples that are not finite.
        """
        return self.engine.encode_many(signals, n_codebooks)

    def decode(self, codes: Wave, n_samples: int | None = None) -> Wave:
        """Turn codes into samples.

        codes: whole numbers (batch, n_codebooks, frames), of the first codebooks or of all.
        n_samples: the length of the encoded signal; the result is cut to it.
        Returns float32 (batch, 1, frames * hop) or (batch, 1, n_samples); an array for an array,
        a tensor for a tensor.
        Raises CodesError for codes that this model cannot have made, ArgumentError for more samples
        than the codes have.
        Source: arXiv 2306.06546, section 3.1.
        """
        x = self.model.quantizer.checked(as_tensor(codes, "codes"))
        stream = self.engine.decoder(len(x), x.shape[-1])
        wav = torch.cat([stream.push(x), stream.flush()], dim=-1)
        if n_samples is not None:
            most = x.shape[-1] * self.hop  # published models with odd strides give a little less
            if not 0 <= check_int(n_samples, "n_samples") <= most:
                raise ArgumentError(f"{n_samples} samples; the codes have 0 to {most}")
            wav = wav[..., :n_samples]
        return wav.to(codes.device) if isinstance(codes, Tensor) else wav.numpy()

    def stream_encoder(
        self, channels: int = 1, n_codebooks: int | None = None, block_frames: int = BLOCK_FRAMES
    ) -> StreamEncoder:
        """Encode live: push(samples) -> codes, flush() -> the last codes.

        channels: signals encoded together; push takes (channels, 1, any number).
        n_codebooks: only the first ones; all by default.
        block_frames: frames computed together. Fewer give less latency (attribute `latency`, in
        samples) at a higher cost; rounding may then differ, so that few codes differ from a file's.
        Audio is encoded as it is, without the loudness normalization of compress().
        Raises ArgumentError for a wrong argument.
        """
        return self.engine.stream_encoder(channels, n_codebooks, block_frames)

    def stream_decoder(self, channels: int = 1, block_frames: int = BLOCK_FRAMES) -> StreamDecoder:
        """Decode live: push(codes) -> samples, flush() -> the last samples.

        channels: signals decoded together; push takes (channels, n_codebooks, any number).
        Raises ArgumentError for a wrong argument.
        """
        return self.engine.stream_decoder(channels, block_frames)

    # Files

    @overload
    def compress(
        self, source: Source | np.ndarray, target: None = None, **settings: Any
    ) -> DacFile: ...

    @overload
    def compress(self, source: Source | np.ndarray, target: Source, **settings: Any) -> Header: ...

    # The overloads leave the settings open: they only state the type of the result.
    def compress(  # type: ignore[misc]  # noqa: PLR0913 - the verb people come for
        self,
        source: Source | np.ndarray,
        target: Source | None = None,
        *,
        sample_rate: int | None = None,
        track: int | None = None,
        n_codebooks: int | None = None,
        kbps: float | None = None,
        normalize: bool = True,
        tags: Mapping[str, str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> DacFile | Header:
        """Compress a sound file, or an array of samples, to a .dac file.

        source: a path, a binary file object, which is read from its start, or samples (n_samples,)
            or (n_samples, channels) with their sample_rate. A pipe is first copied to a temporary
            file, because the length and the loudness must be known before encoding starts.
        track: which audio track of a video, from 1; the first by default.
        target: a path or a binary file object, also a pipe. With a target, the Header is returned;
            without, the DacFile, which has codes, header, save() and to_bytes().
        n_codebooks, or kbps: how many codebooks, or the highest nominal bit rate of all channels
            together; all codebooks by default.
        normalize: bring the programme to -16 LUFS (ITU-R BS.1770), all channels by one gain that
            keeps peaks within full scale; decompress() undoes the gain.
        tags: replace those of the source.
        progress: called with the samples done and the total, at the model's rate.
        Raises AudioError for a source that cannot be used, OutputExists, OutputError,
        ArgumentError. Warns with CutAudioWarning if a part of the file is missing.
        Memory does not grow with the length, unless the DacFile is returned.
        """
        check_apart([source], target)
        if isinstance(source, Tensor) and source.dtype == torch.bfloat16:  # numpy has no such type
            source = source.float()
        output = nullcontext() if target is None else dac_output(target, overwrite)
        with open_audio(source, sample_rate, track=track) as audio, output as file:
            n_used = self._chosen_codebooks(n_codebooks, kbps, audio.channels)
            measured = measure(audio, self.sample_rate, normalize)
            header = self.header_for(audio, measured, n_used, tags)
            stream = self.engine.encoder(audio.channels, n_used, header.n_frames or 0)
            pieces = codes_of(model_blocks(audio, header), header, stream, progress)
            if file is None:
                return DacFile(header, np.concatenate(list(pieces), axis=-1))
            with Writer(file, header) as writer:
                for codes in pieces:
                    writer.write(codes)
            return header

    def header_for(
        self,
        audio: AudioSource,
        measured: Measured,
        n_codebooks: int,
        tags: Mapping[str, str] | None,
    ) -> Header:
        """The header of a .dac file of this programme. tags: replace those of the source."""
        if not isinstance(tags, Mapping | None):
            raise ArgumentError(f"tags: {tags!r} is not a mapping of names to values")
        return Header(
            **vars(self.space),
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            n_samples=measured.n_samples,
            n_codebooks=n_codebooks,
            gain=measured.gain,
            alignment=self.config.alignment,
            tags=dict(audio.tags if tags is None else tags),
        )

    @overload
    def decompress(
        self, source: Source | DacFile, target: None = None, **settings: Any
    ) -> Audio: ...

    @overload
    def decompress(self, source: Source | DacFile, target: Source, **settings: Any) -> None: ...

    def decompress(  # type: ignore[misc]  # noqa: PLR0913 - as compress
        self,
        source: Source | DacFile,
        target: Source | None = None,
        *,
        start: float = 0.0,
        duration: float | None = None,
        n_codebooks: int | None = None,
        recover: bool = False,
        rate: int | None = None,
        subtype: str | None = None,
        format: str | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Audio | None:
        """Decompress a .dac file, ours or a published one, to a sound file or to samples.

        source: a path, a binary file object, which is read from its start, a pipe, or a DacFile.
        target: a path (.wav, .flac, .ogg, ...) or a binary file object (wav unless `format`
            says otherwise). Without one, Audio(samples, sample_rate) is returned.
        start, duration: seconds; only the blocks that are needed are read.
        n_codebooks: decode with the first ones only.
        recover: put silence where blocks are damaged, with a LostAudioWarning for each place.
        rate: of the output, Hz; by default that of the recording, or 48 kHz for an Opus file
            if Opus does not support that rate.
        subtype, format: of the sound file, such as PCM_24 or FLOAT, and FLAC or OGG.
        overwrite: replace a target that exists.
        progress: called with the samples done and the total, at the model's rate.
        Raises ModelMismatch for codes of another model, ContainerError for a file that cannot be
        used, OutputExists, OutputError, ArgumentError. Warns with LostAudioWarning if a part of the
        audio is lost.
        """
        if target is None and (subtype or format):
            raise ArgumentError("subtype and format need a sound file to write; name a target")
        rate_for = _output_rate(rate, target, subtype=subtype, format=format)
        request = DecodeRequest(start, duration, n_codebooks, recover, progress, rate_for)
        check_apart([source], target)
        with _opened(source) as dac:
            decoded = self._decoded(dac, request)
            check_space(target, decoded.n_silent * decoded.channels * 2)  # of 16-bit samples
            if target is None:
                return Audio(np.concatenate(list(decoded.pieces)), decoded.sample_rate)
            with audio_output(
                target,
                decoded.sample_rate,
                decoded.channels,
                subtype=subtype,
                format=format,
                overwrite=overwrite,
                n_samples=decoded.n_samples,
                tags=decoded.tags,
            ) as output:
                for piece in decoded.pieces:
                    output.write(piece)
        return None

    # Weights

    def save_pretrained(self, folder: str | os.PathLike[str], half: bool = False) -> None:
        """Write config.json, model.safetensors and a model card, README.md, to a folder.

        half: store float16, at half the size; a few codes may then differ.
        The folder is made if it is missing. A model in it is replaced, as other libraries for the
        hub do; other files in it stay.
        Raises OutputError if it cannot be written.
        """
        card = model_card(self.config, self.name, self.fingerprint)
        save_model(self.model, Path(folder), self.name, half, card)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model to the Hugging Face Hub and return the URL of the commit.

        Raises ModelError if the hub refuses or cannot be reached.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return upload(Path(folder), repo_id, private, token)

    def _chosen_codebooks(self, n_codebooks: int | None, kbps: float | None, channels: int) -> int:
        if kbps is None:
            return self.engine.checked_codebooks(n_codebooks)
        if n_codebooks is not None:
            raise ArgumentError("give either a number of codebooks or a bit rate, not both")
        each = self.config.kbps_of(1) * channels
        if not check_float(kbps, "kbps") >= each:
            raise ArgumentError(
                f"{kbps:g} kbps is too little: {self.name} needs at least {each:.2f} kbps for "
                f"{channels} channel(s)"
            )
        return int(min(self.n_codebooks, kbps / each + 1e-9))

    def _decoded(self, dac: AnyFile, request: DecodeRequest) -> Decoded:
        """Start to decode a .dac file of either kind. Raises ModelMismatch for another model's."""
        if isinstance(dac, PublishedFile):
            return decoded_published(dac, self.engine.decode_many, self.config, request)
        self.space.check_same(dac.header, dac.path)
        return decoded(dac, self.engine.decoder, self.config, request)


def _output_rate(
    rate: int | None, target: Source | None, **kind: str | None
) -> Callable[[int], int]:
    """A function from the rate of the recording to that of the output. Raises ArgumentError."""
    if rate is not None:
        checked = checked_rate("rate", rate)
        return lambda _: checked
    if target is None:
        return lambda own: own
    return lambda own: file_rate(target, own, **kind)


@contextmanager
def _opened(source: Source | DacFile) -> Iterator[AnyFile]:
    """Open a .dac file of either kind: a path, a file object, a pipe, or a DacFile."""
    if isinstance(source, DacFile):
        yield source
    elif isinstance(source, str | os.PathLike):
        with open_binary(source) as file:
            yield open_dac(file, name_of(source))
    else:
        check_readable(source)
        if is_seekable(source):
            source.seek(0)
            yield open_dac(source, name_of(source))
            return
        with spooled(source) as file:
            yield open_dac(file, name_of(source))
