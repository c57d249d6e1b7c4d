"""Initializes a network as a linear codec, in closed form from real audio.

From random weights, training on a spectral loss gives shaped noise for thousands of steps. But
every layer can hold a linear transform, so it starts with the best known one:

1. Residual units start close to the identity, and Snake close to linear (small alpha).
2. Encoder, stage by stage: the first convolution is a bank of delays with pre-emphasis, each
   strided one the principal components of the windows it sees.
3. Quantizer, stage by stage on the residual: projections onto the principal directions, plus a
   constant last coordinate that lets a look-up by angle tell loud from quiet; codebooks by
   k-means with that same look-up.
4. Decoder, stage by stage: least squares from the quantized features to the encoder's features
   at the same resolution, and finally to the audio.
"""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.codebooks import k_means
from audiocodec.model.decoder import DecoderStage
from audiocodec.model.encoder import EncoderStage
from audiocodec.model.layers import ResidualUnit, Snake, UpConv
from audiocodec.model.network import DAC
from audiocodec.model.quantizer import ResidualQuantizer, VectorQuantizer

ALPHA = 0.2  # of Snake: x + 0.2 x^2 near zero
RMS = 0.3  # of the features, small enough for Snake to be nearly linear
UNIT_SCALE = 0.05  # of the last convolution of a residual unit
PRE_EMPHASIS = 0.85  # of the input, so that speech formants are not lost under bass
MAX_ROWS = 200_000  # used for a regression or covariance
RIDGE = 1e-4

Stage = TypeVar("Stage", bound=nn.Module)


@torch.no_grad()
def linear_init(model: DAC, audio: Tensor, seed: int = 0) -> None:
    """Set all weights of `model` from audio (B, 1, T), half a minute to some minutes in all.

    A decoder that is wider than the encoder keeps random weights in the additional channels. Raises
    ArgumentError where the decoder is narrower or does not mirror the encoder's strides.
    """
    config = model.config
    widest = config.encoder_dim << len(config.encoder_strides)
    if (
        config.decoder_dim < max(widest, config.latent_dim)
        or config.decoder_strides != config.encoder_strides[::-1]
    ):
        raise ArgumentError(
            "the linear start needs a decoder that mirrors the encoder: the same strides "
            f"backwards, and decoder_dim at least {max(widest, config.latent_dim)} for this encoder"
        )
    generator = torch.Generator().manual_seed(seed)
    audio = audio[..., : audio.shape[-1] // config.hop * config.hop]
    for module in model.modules():
        if isinstance(module, Snake):
            module.alpha.fill_(ALPHA)
        elif isinstance(module, ResidualUnit):
            module.conv2.weight.mul_(UNIT_SCALE)
            _bias(module.conv2).zero_()
    latents, features = _fit_encoder(model, audio, generator)
    quantized = fit_quantizer(model.quantizer, latents, generator)
    _fit_decoder(model, quantized, features, audio, generator)


def _fit_encoder(
    model: DAC, audio: Tensor, generator: torch.Generator
) -> tuple[Tensor, list[Tensor]]:
    """Set the encoder; returns latents and the features before each strided convolution."""
    encoder, features = model.encoder, []
    _set_shifts(encoder.conv_in, RMS / float(_emphasized(audio).std()), generator)
    x = encoder.conv_in(audio)
    for stage in _stages(encoder.stages, EncoderStage):
        x = stage.snake(stage.units(x))
        features.append(x)
        _set_principal(stage.down, x, generator)
        x = stage.down(x)
    _set_identity(encoder.conv_out)
    return encoder.conv_out(encoder.snake_out(x)), features


def _emphasized(audio: Tensor) -> Tensor:
    return audio[..., 1:] - PRE_EMPHASIS * audio[..., :-1]


def _set_shifts(conv: nn.Conv1d, gain: float, generator: torch.Generator) -> None:
    """Channel j shifts the pre-emphasized signal by j samples; further channels are random."""
    weight = 0.02 * torch.randn(conv.weight.shape, generator=generator)
    for j in range(min(conv.kernel_size[0], conv.out_channels)):
        weight[j, 0, j] += 1
        if j:
            weight[j, 0, j - 1] -= PRE_EMPHASIS
    conv.weight.copy_(weight * gain)
    _bias(conv).zero_()


def _set_principal(conv: nn.Conv1d, x: Tensor, generator: torch.Generator) -> None:
    """Set a convolution to the principal components of the windows of x (B, C, T) it sees."""
    rows = _sample(_windows(x, conv), generator)
    mean, directions, variances = _principal(rows)
    n = conv.out_channels
    scale = 0.5 * RMS / float(variances[:n].mean().sqrt())
    conv.weight.copy_((directions[:, :n].T * scale).reshape(conv.weight.shape))
    _bias(conv).copy_(-(directions[:, :n].T @ mean) * scale)


def _set_identity(conv: nn.Conv1d) -> None:
    """Copy input channels to output channels of the same index; further ones stay random."""
    n = min(conv.in_channels, conv.out_channels)
    conv.weight[:n] = 0
    conv.weight[range(n), range(n), conv.kernel_size[0] // 2] = 1
    _bias(conv).zero_()


def fit_quantizer(
    quantizer: ResidualQuantizer, latents: Tensor, generator: torch.Generator
) -> Tensor:
    """Set projections and codebooks from latents (B, D, T); returns quantized latents (B, D, T)."""
    rest = latents.transpose(1, 2).reshape(-1, latents.shape[1])
    total = torch.zeros_like(rest)
    for stage in _stages(quantizer.stages, VectorQuantizer):
        part = _fit_stage(stage, rest, generator)
        total, rest = total + part, rest - part
    return total.reshape(latents.shape[0], -1, latents.shape[1]).transpose(1, 2)


def _fit_stage(stage: VectorQuantizer, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Fit one codebook to rows (N, D); returns quantized rows (N, D)."""
    mean, directions, variances = _principal(rows)
    n = stage.codebook.embedding_dim - 1
    scale = float(variances[:n].sum().clamp(min=1e-12).rsqrt())  # rms 1
    project = torch.zeros(n + 1, rows.shape[1])
    project[:n] = directions[:, :n].T * scale
    offset = -(project @ mean)
    offset[n] = 1.0
    back = torch.zeros(rows.shape[1], n + 1)
    back[:, :n] = directions[:, :n] / scale
    stage.in_proj.weight.copy_(project[..., None])
    _bias(stage.in_proj).copy_(offset)
    stage.out_proj.weight.copy_(back[..., None])
    _bias(stage.out_proj).copy_(mean)
    points = rows @ project.T + offset
    k_means(stage, points, generator)
    codes = stage.nearest(points.T[None])[0]
    return stage.codebook.weight[codes] @ back.T + mean


def _fit_decoder(
    model: DAC, x: Tensor, features: list[Tensor], audio: Tensor, generator: torch.Generator
) -> None:
    decoder = model.decoder
    _set_identity(decoder.conv_in)
    x = decoder.conv_in(x)
    stages = _stages(decoder.stages, DecoderStage)
    for stage, target in zip(stages, reversed(features), strict=True):
        x = stage.snake(x)
        _fit_up(stage.up, x, target, generator)
        x = stage.units(stage.up(x))
    x = decoder.snake_out(x)
    rows = _windows(x, decoder.conv_out)
    wanted = torch.atanh(audio.clamp(-0.95, 0.95)).reshape(-1, 1)
    solution = _least_squares(rows, wanted, generator)
    decoder.conv_out.weight.copy_(solution[:-1].T.reshape(decoder.conv_out.weight.shape))
    _bias(decoder.conv_out).copy_(solution[-1])


def _fit_up(up: UpConv, x: Tensor, target: Tensor, generator: torch.Generator) -> None:
    """Least squares for a transposed convolution: x (B, C, T) -> target (B, C', T * stride).

    Output channels that the target lacks stay random.

    With stride s, output s * (t + 1) + r - crop_left depends on frame t through tap s + r and on
    frame t + 1 through tap r, so each r is a separate regression.
    """
    stride, n = up.stride[0], target.shape[1]
    pairs = torch.cat([x[..., :-1], x[..., 1:]], dim=1)
    bias = torch.zeros(n)
    for r in range(stride):
        first = stride + r - up.crop_left
        wanted = target[..., first::stride][..., : pairs.shape[-1]]
        solution = _least_squares(_rows(pairs[..., : wanted.shape[-1]]), _rows(wanted), generator)
        up.weight[:, :n, stride + r] = solution[: x.shape[1]]
        up.weight[:, :n, r] = solution[x.shape[1] : -1]
        bias += solution[-1] / stride
    _bias(up)[:n] = bias


def _least_squares(rows: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Ridge regression (N, n), (N, m) -> (n + 1, m), the last row the offset."""
    if len(rows) > MAX_ROWS:
        chosen = torch.randint(len(rows), (MAX_ROWS,), generator=generator)
        rows, wanted = rows[chosen], wanted[chosen]
    design = F.pad(rows, (0, 1), value=1.0)
    gram = (design.T @ design).double()
    gram += torch.eye(len(gram)) * RIDGE * gram.diagonal().mean()
    return torch.linalg.solve(gram, (design.T @ wanted).double()).float()


def _principal(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (n,), principal directions as columns (n, n), variances (n,) in descending order."""
    mean = rows.mean(dim=0)
    centred = rows - mean
    variances, directions = torch.linalg.eigh((centred.T @ centred / len(rows)).double())
    return mean, directions.flip(1).float(), variances.flip(0).float()


def _windows(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """x (B, C, T) -> rows (B * T', C * kernel): the convolution's input windows."""
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    windows = F.pad(x, (padding, padding)).unfold(-1, kernel, stride)
    return windows.transpose(1, 2).reshape(-1, x.shape[1] * kernel)


def _rows(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def _sample(rows: Tensor, generator: torch.Generator) -> Tensor:
    if len(rows) <= MAX_ROWS:
        return rows
    return rows[torch.randint(len(rows), (MAX_ROWS,), generator=generator)]


def _bias(conv: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    if conv.bias is None:
        raise ArgumentError("the linear start needs convolutions with a bias")
    return conv.bias


def _stages(modules: Iterable[nn.Module], kind: type[Stage]) -> list[Stage]:
    return [module for module in modules if isinstance(module, kind)]
