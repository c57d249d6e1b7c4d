"""Packs codes into bits: each in the fewest bits, most significant bit first, without gaps.

Eight codes fill as many bytes as a code has bits. So codes are taken in groups of eight, and all
codes at one place of their group are shifted at once, which takes little memory.
"""

from collections.abc import Iterator

import numpy as np

GROUP = 8  # codes, which fill whole bytes whatever the bits of each


def packed_size(n_codes: int, bits: int) -> int:
    """Bytes that hold n_codes codes of `bits` bits; the last byte is padded with zero bits."""
    return (n_codes * bits + 7) // 8


def pack(codes: np.ndarray, bits: int) -> bytes:
    """Pack codes of any shape, in C order. Every code must be below 2 ** bits."""
    flat = codes.astype(np.uint16, copy=False).reshape(-1)
    groups = np.pad(flat, (0, -len(flat) % GROUP)).reshape(-1, GROUP)
    packed = np.zeros((len(groups), bits), np.uint8)
    for i, places in enumerate(_places(bits)):
        for byte, shift in places:
            packed[:, byte] |= _shifted(groups[:, i], shift).astype(np.uint8)
    return packed.reshape(-1)[: packed_size(len(flat), bits)].tobytes()


def unpack(payload: bytes | memoryview, n_codes: int, bits: int) -> np.ndarray:
    """Unpack the first codes of a payload: uint16 (n_codes,)."""
    n_groups = -(-n_codes // GROUP)
    raw = np.frombuffer(payload, np.uint8)[: packed_size(n_codes, bits)]
    packed = np.pad(raw, (0, n_groups * bits - len(raw))).reshape(n_groups, bits)
    codes = np.zeros((n_groups, GROUP), np.uint16)
    for i, places in enumerate(_places(bits)):
        for byte, shift in places:
            codes[:, i] |= _shifted(packed[:, byte].astype(np.uint16), -shift)
        codes[:, i] &= (1 << bits) - 1
    return codes.reshape(-1)[:n_codes]


def _places(bits: int) -> Iterator[list[tuple[int, int]]]:
    """For each code of a group: the bytes it is in, and its shift to the right in each of them."""
    for i in range(GROUP):
        first, stop = i * bits, (i + 1) * bits
        yield [(byte, stop - 8 * (byte + 1)) for byte in range(first // 8, (stop + 7) // 8)]


def _shifted(values: np.ndarray, right: int) -> np.ndarray:
    return values >> right if right >= 0 else values << -right
