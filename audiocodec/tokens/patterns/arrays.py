"""Takes integer arrays of numpy and of torch, and gives back the same kind.

Patterns compute in numpy alone, so that there is one path.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from audiocodec.errors import CodesError

Array = TypeVar("Array", np.ndarray, Tensor)


def numpy_of(array: np.ndarray | Tensor, what: str) -> np.ndarray:
    """As int64 in numpy, the same shape. Raises CodesError for anything but integers."""
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        if array.is_floating_point():  # before numpy, which does not know all of them
            raise CodesError(f"{what} of type {array.dtype}; they must be integers")
    values = np.asarray(array)
    if values.dtype.kind not in "iu":
        raise CodesError(f"{what} of type {values.dtype}; they must be integers")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise CodesError(f"{what} up to {values.max()}, which no codebook has")
    return values.astype(np.int64)


def like(values: np.ndarray, kind: Array) -> Array:
    """The values as the kind of array that `kind` is, on its device."""
    if isinstance(kind, Tensor):
        return torch.from_numpy(values).to(kind.device)
    return values
