"""Converts integer arrays of numpy or torch to numpy, and results back to the kind that was given.

Patterns compute in numpy only, so that there is one implementation.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from audiocodec.errors import CodesError

Array = TypeVar("Array", np.ndarray, Tensor)


def numpy_of(array: np.ndarray | Tensor, what: str) -> np.ndarray:
    """The array as int64 in numpy, in the same shape. Raises CodesError unless of integers."""
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        if array.is_floating_point():  # checked here, since numpy does not know bfloat16
            raise CodesError(f"{what} of type {array.dtype}; they must be integers")
    values = np.asarray(array)
    if values.dtype.kind not in "iu":
        raise CodesError(f"{what} of type {values.dtype}; they must be integers")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise CodesError(f"{what} up to {values.max()}, which no codebook has")
    return values.astype(np.int64)


def like(values: np.ndarray, kind: Array) -> Array:
    """The values, in the same shape, as an array of the type of `kind`, on its device."""
    if isinstance(kind, Tensor):
        return torch.from_numpy(values).to(kind.device)
    return values
