"""Codes as bits: nothing is lost, nothing is wasted, and the order is that of FORMAT.md."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from audiocodec.container.packing import pack, packed_size, unpack


@settings(deadline=None, max_examples=60, derandomize=True)
@given(bits=st.integers(1, 16), data=st.data())
def test_what_is_packed_is_unpacked(bits, data):
    """Codes of any number of bits come back, from as few bytes as can hold them."""
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=9))
    codes = data.draw(hnp.arrays(np.uint16, shape, elements=st.integers(0, 2**bits - 1)))
    packed = pack(codes, bits)
    assert len(packed) == packed_size(codes.size, bits) == -(-codes.size * bits // 8)
    assert np.array_equal(unpack(packed, codes.size, bits), codes.ravel())


@pytest.mark.parametrize(
    ("codes", "bits", "expected"),
    [
        ([1], 1, "80"),
        ([1, 2, 3, 1021, 1022, 1023], 10, "0040200ffdffbff0"),
        ([0xABCD, 0x1234], 16, "abcd1234"),
        ([5, 2], 3, "a8"),
    ],
)
def test_the_bits_are_pinned(codes, bits, expected):
    """Most significant bit first, without gaps, filled with zeros: these bytes never change."""
    assert pack(np.array(codes, np.uint16), bits).hex() == expected
