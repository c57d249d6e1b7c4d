"""What neural codecs share: fetching, a hash of the weights, and the road through a network.

They run on the CPU, in float32, on the threads that torch has been given.
"""

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiocodec.lab.evaluate.systems.base import Decoded, Setting, Unavailable, fitted
from audiocodec.lab.measures.signals import Samples, at_rate

Model = TypeVar("Model")


@dataclass(frozen=True)
class Encoded:
    """What a network made of a clip."""

    state: Any  # that it decodes
    n_bits: int  # of its codes without gaps, and of all else that decoding needs
    codes: NDArray[np.integer] | None  # (n_codebooks, frames)


class NeuralCodec(ABC):
    """A System that is a network without a file format: its bytes are those of the packed codes.

    So there is no header, no length, no gain in them, as there is in a file; a few bytes a clip.
    """

    name: str
    identity: str
    settings: tuple[Setting, ...]
    codebook_size: int
    sample_rate: int  # of the network
    in_programs = False

    @abstractmethod
    def encode(self, audio: Tensor, setting: Setting) -> Encoded:
        """Codes of audio (1, 1, n_samples) at the network's rate."""

    @abstractmethod
    def decode(self, state: Any) -> Tensor:
        """Mono audio (n_samples or a few more,) at the network's rate."""

    @torch.inference_mode()
    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> Decoded:
        """Encode and decode mono audio (n_samples,); resampling counts in the seconds."""
        start = perf_counter()
        wav = np.ascontiguousarray(at_rate(audio, sample_rate, self.sample_rate))
        encoded = self.encode(torch.from_numpy(wav)[None, None], setting)
        middle = perf_counter()
        decoded = self.decode(encoded.state)[: len(wav)].numpy()
        decoded = fitted(at_rate(decoded, self.sample_rate, sample_rate), len(audio))
        end = perf_counter()
        n_bytes = (encoded.n_bits + 7) // 8
        return Decoded(decoded, n_bytes, middle - start, end - middle, encoded.codes)


def package(name: str) -> Any:
    """A package that audiocodec does without. Raises Unavailable that says how to install it."""
    try:
        with warnings.catch_warnings():  # what it uses that is out of date is not ours to mend
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        raise Unavailable(f"the package {name} is missing: pip install {name}") from error


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
