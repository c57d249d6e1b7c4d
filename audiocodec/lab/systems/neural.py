"""What neural codecs share: loading, a hash of their weights, and the way through the network.

In evaluation they run on the CPU, in float32, with torch's number of threads. In benchmarks they
have seeded weights and take batches, which come from the CPU and return there.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiocodec.lab.measures.signals import Samples, at_rate
from audiocodec.lab.systems.base import DecodedClip, Setting, Unavailable, fitted, package
from audiocodec.lab.systems.workloads import (
    TENSORS,
    Work,
    Workload,
    noise,
    refuse,
    refuse_too_large,
)

Model = TypeVar("Model")


@dataclass(frozen=True)
class PackedCodes:
    """The codes of a clip as a file would hold them."""

    n_bits: int  # of the codes without gaps, and of all else that decoding needs
    codes: NDArray[np.integer] | None  # (n_codebooks, frames); None: no such array


class NeuralCodec(ABC):
    """A network without a file format, whose bytes are those of the packed codes.

    They lack the header, length and gain that a file has, a few bytes per clip.
    """

    name: str
    identity: str
    settings: tuple[Setting, ...]
    codebook_size: int
    sample_rate: int  # of the network
    channels = 1  # of its input
    device = torch.device("cpu")
    in_programs = False
    timed_title: str
    operations: ClassVar[tuple[str, ...]] = TENSORS

    @classmethod
    @abstractmethod
    def pretrained(cls, weights: str) -> "NeuralCodec":
        """Load it from a hub repository or folder. Raises Unavailable."""

    @classmethod
    def from_argument(cls, argument: str) -> "NeuralCodec":
        """See System; the argument names weights."""
        return cls.pretrained(*filter(None, [argument]))

    @abstractmethod
    def encode(self, audio: Tensor, setting: Setting) -> Any:
        """Encode audio (batch, channels, n_samples) at the network's rate into a state for decode.

        setting: one of `settings`.
        """

    @abstractmethod
    def decode(self, state: Any) -> Tensor:
        """Decode to audio (batch, channels, n_samples or a few more) at the network's rate."""

    @abstractmethod
    def codes_in(self, state: Any) -> Sequence[Tensor]:
        """The tensors of codes in a state from encode()."""

    @abstractmethod
    def packed(self, state: Any) -> PackedCodes:
        """The packed codes in the state of a single clip."""

    @torch.inference_mode()
    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode and decode mono audio (n_samples,); the times include resampling."""
        start = perf_counter()
        wav = np.ascontiguousarray(at_rate(audio, sample_rate, self.sample_rate))
        state = self.encode(torch.from_numpy(wav).expand(1, self.channels, -1), setting)
        packed = self.packed(state)
        middle = perf_counter()
        decoded = self.decode(state)[0].mean(dim=0)[: len(wav)].numpy()
        decoded = fitted(at_rate(decoded, self.sample_rate, sample_rate), len(audio))
        end = perf_counter()
        n_bytes = (packed.n_bits + 7) // 8
        return DecodedClip(decoded, n_bytes, middle - start, end - middle, packed.codes)

    def prepare(self, workload: Workload) -> Work:
        """See TimedSystem."""
        if workload.operation not in TENSORS:
            raise refuse(workload, self.timed_title)
        n_bytes = self.bytes_per_second(workload.operation) * workload.audio_s * workload.batch
        refuse_too_large(n_bytes, self.device)
        wav = noise(round(workload.audio_s * self.sample_rate), workload.batch, self.channels)
        if workload.operation == "encode":
            return lambda: self._encoded_on_cpu(wav)
        state = self.encode(wav.to(self.device), self.timed_setting)
        return lambda: self.decode(state).cpu()

    def codes(self, audio: Tensor) -> Tensor | None:
        """None, as its codes do not mean what ours mean."""
        return None

    @property
    def timed_setting(self) -> Setting:
        """The setting in benchmarks: all codebooks, unless a subclass says otherwise."""
        return self.settings[-1]

    def bytes_per_second(self, operation: str) -> float:
        """Approximate bytes held at once per second of audio; 0 if they do not grow with it."""
        return 0.0

    def _encoded_on_cpu(self, wav: Tensor) -> list[Tensor]:
        state = self.encode(wav.to(self.device), self.timed_setting)
        return [codes.cpu() for codes in self.codes_in(state)]


def weights_of(source: str, load: Callable[[bool], Model]) -> Model:
    """Load a model from a folder, the hub's cache or the hub, the network last.

    load: loads the model; its argument says whether it may use only what is on this disk.
    Raises Unavailable, naming the source and the reason.
    """
    try:
        if Path(source).exists():
            return load(True)
        try:
            return load(True)
        except Exception:  # the cache does not hold it, or only parts of it
            return load(False)
    # Packages raise errors of their own for weights that are missing, cut off or of another model;
    # in each case this system cannot run.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(
            f"{source}: its weights cannot be loaded ({reason}); connect once, or give a folder"
        ) from error


def from_transformers(model_class: str, source: str) -> Any:
    """Load a model of transformers, ready to run. Raises Unavailable."""
    transformers = package("transformers")

    def load(on_disk: bool) -> Any:
        transformers.logging.disable_progress_bar()  # the whole evaluation has one already
        model, notes = getattr(transformers, model_class).from_pretrained(
            source, local_files_only=on_disk, output_loading_info=True
        )
        # transformers would fill missing weights with random numbers
        if missing := set(notes["missing_keys"]) & {name for name, _ in model.named_parameters()}:
            raise ValueError(f"no {min(missing)} of a {model_class} there")
        return model.eval().to(torch.float32)

    return weights_of(source, load)


def fingerprint(model: nn.Module) -> str:
    """32 hex characters that identify all weights by name, type, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def spread(n_codebooks: int) -> tuple[int, ...]:
    """Counts for a rate-distortion curve: one, a third, two thirds and all of the codebooks."""
    thirds = {1, *(-(-n_codebooks * k // 3) for k in (1, 2, 3))}
    return tuple(sorted(thirds))


def named(name: str, source: str, default: str) -> str:
    """A system's name in tables, with the weights' name unless they are the default ones."""
    return name if source == default else f"{name} {Path(source).name}"
