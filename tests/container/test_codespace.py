"""Code spaces: what is alike goes together, and the rest is told apart."""

from dataclasses import replace

import pytest

from audiocodec.container import CodeSpace
from audiocodec.errors import ArgumentError, DamagedHeader, ModelMismatch
from audiocodec.tokens.shards import ShardHeader
from tests.container.samples import EXAMPLE, HEADER

SPACE = HEADER.space


def test_headers_of_all_kinds_have_one():
    """The same value, whatever else they say; a name decides nothing."""
    shard = ShardHeader.of(HEADER, {"text": "str"})
    assert type(SPACE) is CodeSpace
    assert EXAMPLE.truncated(1).header.space == shard.space == SPACE
    SPACE.check_same(shard, "some/file")
    SPACE.check_same(replace(HEADER, model="other", channels=2), "some/file")
    assert (SPACE.frame_rate, SPACE.bits_per_code) == (50, 10)


def test_another_model_is_told_by_both_names():
    """With the beginnings of the fingerprints, one printable line."""
    other = replace(SPACE, model="other\n\x1b[31m" * 99, fingerprint="f" * 32)
    with pytest.raises(ModelMismatch, match=r"some/file.*ffffffff.*'tiny' \(00010203\)") as caught:
        SPACE.check_same(other, "some/file")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("change", [{"hop": 160}, {"model_rate": 8000}, {"codebook_size": 512}])
def test_one_fingerprint_with_other_numbers_is_a_contradiction(change):
    """Both are named."""
    (value,) = change.values()
    with pytest.raises(DamagedHeader, match=f"some/file.*{value}"):
        SPACE.check_same(replace(SPACE, **change), "some/file")


@pytest.mark.parametrize(
    "change",
    [{"hop": 0}, {"model_rate": 999}, {"codebook_size": 1}, {"fingerprint": "F" * 32}],
)
def test_values_out_of_bounds_make_none(change):
    """Wherever it stands."""
    for value in (SPACE, HEADER, ShardHeader.of(HEADER)):
        with pytest.raises(ArgumentError, match=next(iter(change))):
            replace(value, **change)
