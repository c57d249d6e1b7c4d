"""Codes as bits: each code in its fewest bits, most significant bit first, without gaps."""

import numpy as np


def packed_size(n_codes: int, bits: int) -> int:
    """Bytes that hold so many codes; the last byte is filled with zeros."""
    return (n_codes * bits + 7) // 8


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Codes of any shape, in C order -> bytes. Every code must be below 2 ** bits."""
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint16)
    table = (codes.astype(np.uint16).reshape(-1, 1) >> shifts & 1).astype(np.uint8)
    return np.packbits(table).tobytes()


def unpack(payload: bytes, n_codes: int, bits: int) -> np.ndarray:
    """Bytes -> uint16 (n_codes,)."""
    raw = np.unpackbits(np.frombuffer(payload, np.uint8), count=n_codes * bits)
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    return (raw.reshape(n_codes, bits) * weights).sum(axis=1, dtype=np.uint16)
