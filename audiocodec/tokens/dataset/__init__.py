"""Training input: rows of token shards as samples and batches, in map style and iterable style.

from torch.utils.data import DataLoader
from audiocodec.tokens.dataset import IterableTokenDataset, TokenDataset, collate

rows = TokenDataset("tokens/", frames=512)
loader = DataLoader(IterableTokenDataset(rows), 16, collate_fn=collate, num_workers=2)
for epoch in range(10):
    rows.set_epoch(epoch)
    for batch in loader:  # batch.codes int64 (16, n_codebooks, 512)
        ...
"""

from audiocodec.tokens.dataset.collating import TokenBatch, collate
from audiocodec.tokens.dataset.mapped import TokenDataset, TokenSample
from audiocodec.tokens.dataset.sharing import IterableTokenDataset, TokenSampler

__all__ = [
    "collate",
    "IterableTokenDataset",
    "TokenBatch",
    "TokenDataset",
    "TokenSample",
    "TokenSampler",
]
