"""Checks that ONNX files compute what torch does, on short and long noise."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.nn import functional as F

from audiocodec.codec import Codec
from audiocodec.errors import ModelError

AUDIO_TOLERANCE = 2e-4  # of full scale; random networks amplify the rounding on both sides
ANGLE_TOLERANCE = 1e-4  # in the cosine: how much worse than the best an entry may be
LONG_FRAMES = 40  # more than the networks' context on both sides


class Agreement(NamedTuple):
    """How well onnxruntime agrees with torch."""

    n_codes: int  # that were compared
    equal_codes: float  # share of them, 0 to 1
    audio_error: float  # greatest difference, full scale 1.0

    def __str__(self) -> str:
        return (
            f"{self.equal_codes:.2%} of {self.n_codes} codes equal to torch's, audio within "
            f"{self.audio_error:.1e} of full scale"
        )


def verified(codec: Codec, encoder: Path, decoder: Path) -> Agreement:
    """Compare on lengths around one frame and on many frames. Raises ModelError if they differ.

    The last bits of a latent depend on the order of additions. A different code is accepted if its
    entry is as near as the best one up to that rounding, and only then.
    """
    to_codes, to_audio = _session(encoder), _session(decoder)
    equal, errors = [], []
    for n_samples, batch in _sizes(codec.hop):
        audio = _noise(batch, n_samples)
        codes = _run(to_codes, "codes", audio=audio)
        expected = codec.encode(audio)
        if codes.shape != expected.shape or not are_nearest(codec, audio, codes):
            raise ModelError(
                f"{encoder.name} of {codec.name} gives other codes than torch for {n_samples} "
                "samples and was not kept; please report this"
            )
        equal.append(codes == expected)
        for n in {1, codec.n_codebooks}:
            ours, theirs = (
                codec.decode(expected[:, :n]),
                _run(to_audio, "audio", codes=expected[:, :n]),
            )
            errors.append(_difference(ours, theirs))
    if not max(errors) <= AUDIO_TOLERANCE:
        raise ModelError(
            f"{decoder.name} of {codec.name} differs from torch by {max(errors):.1e} of full "
            "scale and was not kept; please report this"
        )
    joined = np.concatenate([part.ravel() for part in equal])
    return Agreement(joined.size, float(joined.mean()), max(errors))


def _sizes(hop: int) -> list[tuple[int, int]]:
    """Pairs of (samples, batch)."""
    return [(1, 1), (max(1, hop - 1), 3), (hop, 1), (hop + 1, 1), (LONG_FRAMES * hop + 1, 2)]


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, output: str, **inputs: np.ndarray) -> np.ndarray:
    return session.run([output], inputs)[0]


def _noise(batch: int, n_samples: int) -> np.ndarray:
    noise = np.random.default_rng(n_samples).standard_normal((batch, 1, n_samples))
    return (0.1 * noise).astype(np.float32)


@torch.no_grad()
def are_nearest(codec: Codec, audio: np.ndarray, codes: np.ndarray) -> bool:
    """Whether each code's entry is nearest to the residual, up to rounding.

    audio: float32 (batch, 1, n_samples); codes: int64 (batch, n_codebooks, frames).
    """
    wav = F.pad(torch.from_numpy(audio), (0, -audio.shape[-1] % codec.hop))
    residual = codec.model.encoder(wav)
    for stage, row in zip(codec.model.quantizer.stages, torch.from_numpy(codes).unbind(1)):
        cosines = _cosines(stage.in_proj(residual), stage.codebook.weight)
        chosen = cosines.gather(-1, row[..., None]).squeeze(-1)
        if not (cosines.amax(dim=-1) - chosen <= ANGLE_TOLERANCE).all():
            return False
        residual = residual - stage.out_proj(stage.entries(row))
    return True


def _cosines(projected: Tensor, entries: Tensor) -> Tensor:
    """Cosines between vectors (B, d, T) and entries (K, d): (B, T, K)."""
    return F.normalize(projected.transpose(1, 2), dim=-1) @ F.normalize(entries).T


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The greatest difference; infinite for different shapes, NaN if there is any NaN."""
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")
