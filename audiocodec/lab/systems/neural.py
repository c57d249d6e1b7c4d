"""What neural codecs share: fetching, a hash of the weights, and the road through a network.

Evaluated, they run on the CPU, in float32, on the threads that torch has been given. Timed, they
have seeded weights and take batches; samples and codes come from the CPU and go back there.
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
    """The codes of a clip, as a file would hold them."""

    n_bits: int  # without gaps, and of all else that decoding needs
    codes: NDArray[np.integer] | None  # (n_codebooks, frames); None: no such array


class NeuralCodec(ABC):
    """A network without a file format: its bytes are those of the packed codes.

    So there is no header, no length, no gain in them, as there is in a file; a few bytes a clip.
    """

    name: str
    identity: str
    settings: tuple[Setting, ...]
    codebook_size: int
    sample_rate: int  # of the network
    channels = 1  # that it takes
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
        """What decode() takes, of audio (batch, channels, n_samples) at the network's rate."""

    @abstractmethod
    def decode(self, state: Any) -> Tensor:
        """Audio (batch, channels, n_samples or a few more) at the network's rate."""

    @abstractmethod
    def codes_in(self, state: Any) -> Sequence[Tensor]:
        """The codes in what encode() gave, in as many tensors as it has."""

    @abstractmethod
    def packed(self, state: Any) -> PackedCodes:
        """What a file would hold of one clip."""

    @torch.inference_mode()
    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode and decode mono audio (n_samples,); resampling counts in the seconds."""
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
        """None: another codec than ours."""
        return None

    @property
    def timed_setting(self) -> Setting:
        """The setting of a benchmark: all codebooks, unless a subclass says otherwise."""
        return self.settings[-1]

    def bytes_per_second(self, operation: str) -> float:
        """About what it holds at once for each second of audio; 0: does not grow with it."""
        return 0.0

    def _encoded_on_cpu(self, wav: Tensor) -> list[Tensor]:
        state = self.encode(wav.to(self.device), self.timed_setting)
        return [codes.cpu() for codes in self.codes_in(state)]


def weights_of(source: str, load: Callable[[bool], Model]) -> Model:
    """Load from a folder or a hub repository; from the hub's cache first, to ask no network.

    load: takes whether only what is on this disk may be used.
    Raises Unavailable, naming the source and the reason.
    """
    try:
        if Path(source).exists():
            return load(True)
        try:
            return load(True)
        except Exception:  # not in the cache, or a part of it only
            return load(False)
    # Packages raise their own errors for weights that are missing, cut, or of another model;
    # whichever it is, this system cannot run.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(
            f"{source}: its weights cannot be had ({reason}); connect once, or give a folder"
        ) from error


def from_transformers(model_class: str, source: str) -> Any:
    """A model of transformers, ready to run. Raises Unavailable."""
    transformers = package("transformers")

    def load(on_disk: bool) -> Any:
        transformers.logging.disable_progress_bar()  # there is one for the whole evaluation
        model, notes = getattr(transformers, model_class).from_pretrained(
            source, local_files_only=on_disk, output_loading_info=True
        )
        # transformers fills what is missing with random numbers
        if missing := set(notes["missing_keys"]) & {name for name, _ in model.named_parameters()}:
            raise ValueError(f"no {min(missing)} of a {model_class} there")
        return model.eval().to(torch.float32)

    return weights_of(source, load)


def fingerprint(model: nn.Module) -> str:
    """32 hex characters that name all weights: names, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def spread(n_codebooks: int) -> tuple[int, ...]:
    """Counts that show a curve: one, a third, two thirds and all of the codebooks."""
    thirds = {1, *(-(-n_codebooks * k // 3) for k in (1, 2, 3))}
    return tuple(sorted(thirds))


def named(name: str, source: str, default: str) -> str:
    """What tables call a system: by its name, with that of the weights where they are others."""
    return name if source == default else f"{name} {Path(source).name}"
