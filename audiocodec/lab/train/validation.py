"""Validates a model on held-out excerpts during training."""

from dataclasses import dataclass

import torch
from torch import Tensor

from audiocodec.lab.measures import spectral
from audiocodec.lab.measures.usage import CodebookUsage
from audiocodec.lab.measures.waveform import si_sdr
from audiocodec.model.network import DAC

ITEMS = 8  # decoded at a time
HEARD = 4  # excerpts that are kept to listen to


@dataclass(frozen=True)
class Validated:
    """Figures by name, and the first excerpts, original and decoded, (HEARD, 1, T) each."""

    figures: dict[str, float]
    originals: Tensor
    decoded: Tensor


@torch.no_grad()
def validate(model: DAC, excerpts: Tensor) -> Validated:
    """Encode and decode excerpts (B, 1, T), T a multiple of the hop, with all codebooks.

    In float32. Figures: the training's mel loss, SI-SDR in dB, entropy of each codebook in bits,
    share of its entries in use, bitrate efficiency.
    """
    config, device = model.config, next(model.parameters()).device
    usage = CodebookUsage(config.n_codebooks, config.codebook_size)
    training = model.training
    model.eval()
    decoded = []
    for part in excerpts.split(ITEMS):
        codes = model.quantizer.encode(model.encoder(part.to(device)))
        usage.update(codes)
        decoded.append(model.decoder(model.quantizer.decode(codes)).cpu())
    model.train(training)
    estimate = torch.cat(decoded)
    ratios = [si_sdr(a, b) for a, b in zip(estimate, excerpts) if b.abs().max() > 0]
    figures = {
        "mel": float(spectral.mel_loss(estimate, excerpts, config.sample_rate)),
        "si_sdr": sum(ratios) / max(1, len(ratios)),
        "efficiency": usage.efficiency(),
    }
    for i, (bits, used) in enumerate(zip(usage.entropy().tolist(), usage.used_share().tolist())):
        figures[f"entropy_{i + 1}"], figures[f"used_{i + 1}"] = bits, used
    return Validated(figures, excerpts[:HEARD], estimate[:HEARD])
