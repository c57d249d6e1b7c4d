"""Collates samples of different lengths into one batch with lengths and mask."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiocodec.errors import ArgumentError
from audiocodec.tokens.dataset.mapped import TokenSample


class TokenBatch(NamedTuple):
    """A batch of codes; a named tuple, so that a DataLoader can pin it.

    codes: int64 (batch, n_codebooks, frames). lengths: int64 (batch,), frames without padding.
    mask: bool (batch, frames), True where there are codes. ids: of the rows. starts: int64
    (batch,), the row's frame at which the crop begins. channels: int64 (batch,), the row's channel.
    columns: carried columns, name -> one value per item; None if the row has none.
    """

    codes: Tensor
    lengths: Tensor
    mask: Tensor
    ids: list[str]
    starts: Tensor
    channels: Tensor
    columns: dict[str, list[Any]]


def collate(batch: Sequence[TokenSample], pad: int = 0, frames: int | None = None) -> TokenBatch:
    """Make a batch; the channels of a sample become consecutive items.

    pad: any integer, the value after the end of shorter items, which the mask leaves out.
    frames: frames of the batch, for models that need a fixed shape; by default the longest's.
    Raises ArgumentError for an empty batch, samples with different numbers of codebooks, and
    samples longer than frames.
    """
    if not batch:
        raise ArgumentError("a batch of no samples")
    n_codebooks = {sample.codes.shape[1] for sample in batch}
    if len(n_codebooks) > 1:
        raise ArgumentError(
            f"samples of {', '.join(map(str, sorted(n_codebooks)))} codebooks in one batch; "
            f"TokenDataset(..., n_codebooks={min(n_codebooks)}) keeps the first of each"
        )
    repeats = [len(sample.codes) for sample in batch]
    lengths = np.repeat([sample.codes.shape[2] for sample in batch], repeats).astype(np.int64)
    longest = int(lengths.max())
    if frames is not None and longest > frames:
        raise ArgumentError(f"a sample of {longest} frames in a batch of {frames}")
    codes = np.full(
        (len(lengths), *n_codebooks, longest if frames is None else frames), pad, np.int64
    )
    for item, one in zip(codes, (channel for sample in batch for channel in sample.codes)):
        item[:, : one.shape[1]] = one
    each = [sample for sample, n_channels in zip(batch, repeats) for _ in range(n_channels)]
    names = list(dict.fromkeys(name for sample in batch for name in sample.columns))
    return TokenBatch(
        codes=torch.from_numpy(codes),
        lengths=torch.from_numpy(lengths),
        mask=torch.arange(codes.shape[2]) < torch.from_numpy(lengths)[:, None],
        ids=[sample.id for sample in each],
        starts=torch.tensor([sample.start for sample in each]),
        channels=torch.tensor([s.channel + i for s in batch for i in range(len(s.codes))]),
        columns={name: [sample.columns.get(name) for sample in each] for name in names},
    )
