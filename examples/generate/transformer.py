"""A small decoder-only transformer over several streams of tokens, such as the delay pattern's.

Each stream has its own embedding table, and a step's input is the sum of its tokens' embeddings. A
head per stream predicts the tokens of the next step. Positions are relative (rotary, arXiv
2104.09864), and a step sees only the last `window` steps, so that sampling can go on without end.

Shapes: B batch, S streams, N steps, V tokens, D channels, H heads. Needs torch and, to
save weights, safetensors.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    """The network's settings, stored with the weights."""

    n_streams: int
    n_tokens: int  # V, of one stream
    dim: int = 192
    layers: int = 4
    heads: int = 6
    window: int = 256  # steps
    dropout: float = 0.2


Past = list[tuple[Tensor, Tensor]]  # keys and values (B, H, fewer than window, D / H) of each layer


class Attention(nn.Module):
    """Causal attention: a step sees itself and earlier steps, `window` in all."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.heads, self.window, self.dropout = settings.heads, settings.window, settings.dropout
        self.queries_keys_values = nn.Linear(settings.dim, 3 * settings.dim, bias=False)
        self.out = nn.Linear(settings.dim, settings.dim, bias=False)

    def forward(
        self, x: Tensor, turns: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend from x (B, N, D) to x and the past.

        turns: (N, D / H / 2), see turns_of. past: keys and values of earlier steps. Returns
        (B, N, D), and the keys and values for the next call.
        """
        qkv = self.queries_keys_values(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, N, D / H)
        q, k = rotated(q, turns), rotated(k, turns)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        n, n_seen = q.shape[2], k.shape[2]
        distance = torch.arange(n_seen - n, n_seen)[:, None] - torch.arange(n_seen)
        y = F.scaled_dot_product_attention(
            *(q, k, v),
            attn_mask=(distance >= 0) & (distance < self.window),
            dropout_p=self.dropout if self.training else 0.0,
        )
        kept = k[:, :, 1 - self.window :], v[:, :, 1 - self.window :]
        return self.out(y.transpose(1, 2).flatten(2)), kept


def turns_of(first: int, n_steps: int, size: int) -> Tensor:
    """Rotation angles of N = n_steps steps for the channel pairs of a head, (N, size / 2)."""
    speeds = 10000.0 ** (-torch.arange(0, size, 2) / size)
    return torch.arange(first, first + n_steps)[:, None] * speeds


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate the channel pairs of x (B, H, N, D / H) by `turns` (N, D / H / 2)."""
    even, odd = x.chunk(2, dim=-1)
    cos, sin = turns.cos(), turns.sin()
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)


class Block(nn.Module):
    """Attention, then a two-layer network for each step, both with skip connections."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        dim = settings.dim
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(settings)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self, x: Tensor, turns: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """See Attention.forward."""
        seen, now = self.attention(self.norm1(x), turns, past)
        x = x + self.dropout(seen)
        return x + self.dropout(self.mlp(self.norm2(x))), now


class Transformer(nn.Module):
    """Predicts the next step of all streams at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        n_rows = settings.n_streams * settings.n_tokens
        self.embedding = nn.Embedding(n_rows, settings.dim)  # the streams' tables, stacked
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.dim)
        self.heads = nn.Linear(settings.dim, n_rows)  # side by side
        self.dropout = nn.Dropout(settings.dropout)
        self.apply(_begin)

    def forward(self, tokens: Tensor, past: Past | None = None, first: int = 0) -> Tensor:
        """Logits float32 (B, S, N, V) of the step after each given one.

        tokens: int64 (B, S, N), from step `first` on. past: the cache, which is read and updated in
        place; an empty list at the start, or None for a whole sequence in one call.
        """
        settings = self.settings
        rows = tokens + settings.n_tokens * torch.arange(settings.n_streams)[:, None]
        x = self.dropout(self.embedding(rows).sum(dim=1))  # (B, N, D)
        turns = turns_of(first, x.shape[1], settings.dim // settings.heads)
        before = list(past) if past else [None] * settings.layers
        now = []
        for block, seen in zip(self.blocks, before):
            x, kept = block(x, turns, seen)
            now.append(kept)
        if past is not None:
            past[:] = now
        return self.heads(self.norm(x)).unflatten(-1, (settings.n_streams, -1)).transpose(1, 2)


def _begin(module: nn.Module) -> None:
    """Initialize with small weights, so that at first all tokens are about equally likely."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def save(model: Transformer, path: Path) -> None:
    """Weights and settings in one file that holds no code."""
    save_file(model.state_dict(), path, {"settings": json.dumps(asdict(model.settings))})


def load(path: Path) -> Transformer:
    """Load a file of `save`, ready to sample."""
    with safe_open(path, "pt") as file:
        model = Transformer(Settings(**json.loads(file.metadata()["settings"])))
        model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return model
