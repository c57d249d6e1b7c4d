"""The systems beside ours. None fetches anything: weights do not change how long it takes.

Those of the Descript Audio Codec get our weights, the others seeded ones of their published shape.
Samples and codes come from the CPU and go back there, as with ours.
"""

import math
import warnings
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiocodec.audio import LoudnessMeter, normalizing_gain, open_audio, write_audio
from audiocodec.engine import pick_device
from audiocodec.lab.speed.plain import PlainDac, Windows, renamed
from audiocodec.lab.speed.shapes import bytes_per_second
from audiocodec.lab.speed.system import (
    FILES,
    Cell,
    Spec,
    Unavailable,
    Work,
    codec_of,
    n_frames,
    noise,
    noise_file,
    random_codes,
    refuse,
    refuse_too_large,
)
from audiocodec.model.config import ModelConfig
from audiocodec.model.network import DAC
from audiocodec.weights.layouts import published_names, transformers_names

ENCODEC_48KHZ: dict[str, Any] = {  # config.json of facebook/encodec_48khz
    "sampling_rate": 48000,
    "audio_channels": 2,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
    "target_bandwidths": [3.0, 6.0, 12.0, 24.0],
}
ENCODEC_KBPS = 6.0  # 4 codebooks of 10 bits, for both channels
SNAC_44KHZ: dict[
    str, Any
] = {  # token rates, codebooks and 54.5 M parameters of its model card follow from these
    "sampling_rate": 44100,
    "encoder_dim": 64,
    "encoder_rates": [2, 3, 8, 8],
    "decoder_dim": 1536,
    "decoder_rates": [8, 8, 3, 2],
    "attn_window_size": 32,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [8, 4, 2, 1],
}


class WholePass(ABC):
    """A network of this family that takes a signal as a whole; a subclass says how."""

    name = "a whole pass"
    package_name = ""  # that it needs

    def __init__(self, spec: Spec) -> None:
        """Raises ModelError for the model, Unavailable where a package is missing."""
        self.package: Any = package_of(self.package_name) if self.package_name else None
        self.spec, self.device = spec, pick_device(spec.device)
        model = codec_of(spec).model.cpu()
        self.config: ModelConfig = model.config
        self.network: Any = self.made(model).to(self.device)

    @abstractmethod
    def made(self, model: DAC) -> Any:
        """The network, with the weights of ours."""

    @abstractmethod
    def encode(self, audio: Tensor) -> Tensor:
        """Samples (B, 1, whole hops) -> codes (B, N, frames)."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, N, frames) -> samples."""

    def prepare(self, cell: Cell) -> Work:
        """See System."""
        each = bytes_per_second(self.config, cell.operation)
        refuse_too_large(cell.audio_s * cell.batch * each, self.device)
        if cell.operation == "encode":
            wav = noise(n_frames(self.config, cell) * self.config.hop, cell.batch)
            return lambda: self.encode(wav.to(self.device)).cpu()
        if cell.operation == "decode":
            codes = random_codes(self.config, cell)
            return lambda: self.decode(codes.to(self.device)).cpu()
        raise refuse(cell, self.name)

    def codes(self, audio: Tensor) -> Tensor | None:
        """See System."""
        whole = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % self.config.hop))
        return self.encode(whole.to(self.device)).cpu()


class Published(WholePass):
    """The published forward pass, weight norm removed."""

    name = "published"

    def made(self, model: DAC) -> Any:
        """See WholePass."""
        return PlainDac.like(model)

    def encode(self, audio: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.encode(audio)

    def decode(self, codes: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.decode(codes)


class Transformers(WholePass):
    """DacModel of transformers."""

    name = package_name = "transformers"

    def made(self, model: DAC) -> Any:
        """See WholePass."""
        package, c = self.package, model.config
        config = package.DacConfig(
            encoder_hidden_size=c.encoder_dim,
            downsampling_ratios=list(c.encoder_strides),
            decoder_hidden_size=c.decoder_dim,
            n_codebooks=c.n_codebooks,
            codebook_size=c.codebook_size,
            codebook_dim=c.codebook_dim,
            sampling_rate=c.sample_rate,
            hidden_size=c.latent_dim,
            upsampling_ratios=list(c.decoder_strides),
        )
        network = package.DacModel(config)
        names = {ours: theirs for theirs, ours in transformers_names(c).items()}
        network.load_state_dict(renamed(model.state_dict(), names), assign=True)
        return network.eval()

    def encode(self, audio: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.encode(audio).audio_codes

    def decode(self, codes: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.decode(audio_codes=codes).audio_values


class Dac(WholePass):
    """descript-audio-codec, as a user calls it: its weight norm is computed in every pass."""

    name = package_name = "dac"

    def made(self, model: DAC) -> Any:
        """See WholePass."""
        package, c = self.package, model.config
        network = package.DAC(
            encoder_dim=c.encoder_dim,
            encoder_rates=list(c.encoder_strides),
            latent_dim=c.latent_dim,
            decoder_dim=c.decoder_dim,
            decoder_rates=list(c.decoder_strides),
            n_codebooks=c.n_codebooks,
            codebook_size=c.codebook_size,
            codebook_dim=c.codebook_dim,
            sample_rate=c.sample_rate,
        )
        names = {ours: theirs for theirs, ours in published_names(c).items()}
        network.load_state_dict(_with_weight_norm(renamed(model.state_dict(), names)))
        return network.eval()

    def encode(self, audio: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.encode(audio)[1]

    def decode(self, codes: Tensor) -> Tensor:
        """See WholePass."""
        return self.network.decode(self.network.quantizer.from_codes(codes)[0])

    def prepare(self, cell: Cell) -> Work:
        """See System. Files are cut into windows of a second, its compress()'s own default."""
        if cell.operation not in FILES:
            return super().prepare(cell)
        source = noise_file(self.spec, self.config.sample_rate, cell.audio_s)
        target = Path(self.spec.folder, "dac.dac")
        if cell.operation == "compress":
            return lambda: self.network.compress(source).save(target)
        self.network.compress(source).save(target)
        return lambda: self.network.decompress(target).write(target.with_suffix(".wav"))


class StandIn(Published):
    """A stand-in for compress and decompress of descript-audio-codec, where that is missing.

    The same steps: the whole file into memory, its loudness, windows of a second with padding off
    in every layer, one after the other; and back, with the loudness of the result measured. It
    makes the same codes. It is a little faster: no weight norm, our loudness meter, a plain array.
    """

    name = "stand-in"

    def __init__(self, spec: Spec) -> None:
        """See WholePass."""
        super().__init__(spec)
        self._windows = Windows(self.config)

    def prepare(self, cell: Cell) -> Work:
        """See System."""
        padded = cell.audio_s * self.config.sample_rate <= self._windows.n_samples
        self.network.pad(padded)
        target = Path(self.spec.folder, "stand-in.npy")
        if cell.operation == "compress":
            source = noise_file(self.spec, self.config.sample_rate, cell.audio_s)
            return lambda: self._compress(source, target, padded)
        if cell.operation == "decompress":
            np.save(target, self._codes_of(cell, padded))
            n_samples = math.ceil(cell.audio_s * self.config.sample_rate)
            return lambda: self._decompress(target, n_samples, padded)
        raise refuse(cell, self.name)

    def codes(self, audio: Tensor) -> Tensor | None:
        """None: its windows have frames of their own."""
        return None

    def _codes_of(self, cell: Cell, padded: bool) -> np.ndarray:
        n_windows = math.ceil(cell.audio_s * self.config.sample_rate / self._windows.step)
        frames = n_frames(self.config, cell) if padded else n_windows * self._windows.n_frames
        duration_s = frames * self.config.hop / self.config.sample_rate
        codes = random_codes(self.config, Cell(cell.operation, duration_s))
        return codes[..., :frames].numpy().astype(np.uint16)

    def _compress(self, source: Path, target: Path, padded: bool) -> None:
        with open_audio(source) as audio:
            samples = np.concatenate(list(audio.blocks()))
        meter = LoudnessMeter(self.config.sample_rate, 1)
        meter.push(samples)
        samples = samples * np.float32(normalizing_gain(meter.integrated(), meter.peak))
        wav = torch.from_numpy(samples.T.copy())[None]
        fill = (0, -wav.shape[-1] % self.config.hop)
        windows = [torch.nn.functional.pad(wav, fill)] if padded else self._windows.of(wav)
        parts = [self.encode(window.to(self.device)).cpu() for window in windows]
        np.save(target, torch.cat(parts, dim=-1).numpy().astype(np.uint16))

    def _decompress(self, source: Path, n_samples: int, padded: bool) -> None:
        codes = torch.from_numpy(np.load(source).astype(np.int64))
        windows = [codes] if padded else codes.split(self._windows.n_frames, dim=-1)
        parts = [self.decode(window.to(self.device)).cpu() for window in windows]
        samples = torch.cat(parts, dim=-1)[0, :, :n_samples].T.numpy()
        meter = LoudnessMeter(self.config.sample_rate, 1)
        meter.push(samples)
        samples = samples * np.float32(normalizing_gain(meter.integrated(), meter.peak))
        write_audio(source.with_suffix(".wav"), samples, self.config.sample_rate, overwrite=True)


class Encodec:
    """EnCodec at 48 kHz by transformers: a second of audio has two channels, in chunks of 1 s."""

    def __init__(self, spec: Spec) -> None:
        """Raises Unavailable."""
        package = package_of("transformers")
        torch.manual_seed(0)
        self._device = pick_device(spec.device)
        model = package.EncodecModel(package.EncodecConfig(**ENCODEC_48KHZ))
        self._model: Any = model.eval().to(self._device)

    def prepare(self, cell: Cell) -> Work:
        """See System."""
        wav = noise(round(cell.audio_s * 48000), cell.batch, channels=2).to(self._device)
        if cell.operation == "encode":
            return lambda: self._encode(wav).audio_codes.cpu()
        if cell.operation == "decode":
            done = self._encode(wav)
            codes, scales, fill = done.audio_codes, done.audio_scales, done.last_frame_pad_length
            decode = self._model.decode
            return lambda: decode(codes, scales, last_frame_pad_length=fill).audio_values.cpu()
        raise refuse(cell, "encodec")

    def _encode(self, wav: Tensor) -> Any:
        return self._model.encode(wav, bandwidth=ENCODEC_KBPS)

    def codes(self, audio: Tensor) -> Tensor | None:
        """None: another codec."""
        return None


class Snac:
    """SNAC at 44.1 kHz by its own package, which computes its weight norm in every pass."""

    def __init__(self, spec: Spec) -> None:
        """Raises Unavailable."""
        package = package_of("snac")
        torch.manual_seed(0)
        self._device = pick_device(spec.device)
        self._model: Any = package.SNAC(**SNAC_44KHZ).eval().to(self._device)

    def prepare(self, cell: Cell) -> Work:
        """See System. About as much memory as the published codec: the same widths."""
        each = bytes_per_second(ModelConfig(), cell.operation)
        refuse_too_large(cell.audio_s * cell.batch * each, self._device)
        model, n_samples = self._model, round(cell.audio_s * 44100)
        if cell.operation == "encode":
            wav = noise(n_samples, cell.batch)
            return lambda: [codes.cpu() for codes in model.encode(wav.to(self._device))]
        if cell.operation == "decode":
            whole = math.lcm(SNAC_44KHZ["vq_strides"][0], SNAC_44KHZ["attn_window_size"])
            n_frames = math.ceil(n_samples / int(model.hop_length) / whole) * whole
            codes = [
                torch.randint(model.codebook_size, (cell.batch, n_frames // stride))
                for stride in model.vq_strides
            ]
            return lambda: model.decode([part.to(self._device) for part in codes]).cpu()
        raise refuse(cell, "snac")

    def codes(self, audio: Tensor) -> Tensor | None:
        """None: another codec."""
        return None


def package_of(name: str) -> Any:
    """A package that audiocodec does without. Raises Unavailable."""
    try:
        with warnings.catch_warnings():  # what it uses that is out of date is not ours to mend
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise Unavailable(f"the package {name} cannot be used: {error}") from error


def _with_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions as magnitude and direction, as descript-audio-codec stores them."""
    result = {}
    for key, tensor in state.items():
        if key.endswith(".weight") and "codebook" not in key:
            result[f"{key}_v"] = tensor
            result[f"{key}_g"] = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
        else:
            result[key] = tensor
    return result
