"""What is kept of a run, so that it goes on where it was stopped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import OutputError
from audiocodec.lab.evaluate.clips import read_clip
from audiocodec.lab.evaluate.store import Store, key_of
from audiocodec.lab.systems.base import DecodedClip

AUDIO = np.linspace(-1.5, 1.5, 3000, dtype=np.float32)
CODES = np.arange(18).reshape(9, 2)


def test_what_is_put_is_found(tmp_path):
    """Sound as 16 bits give it, sizes, times and codes; also by another store of the folder."""
    Store(tmp_path).put("key", DecodedClip(AUDIO, 100, 0.5, 0.25, CODES), 44100)
    found = Store(tmp_path).find("key")
    assert (found.n_bytes, found.encode_s, found.decode_s) == (100, 0.5, 0.25)
    assert np.array_equal(np.load(found.codes), CODES)
    audio, rate = read_clip(found.audio)
    assert rate == 44100
    assert np.abs(audio - np.clip(AUDIO, -1, 1)).max() <= 2**-15
    assert Store(tmp_path).find("other") is None


def test_systems_without_codes_have_none(tmp_path):
    """Opus, say."""
    Store(tmp_path).put("key", DecodedClip(AUDIO, 100, 0.5, 0.25), 44100)
    assert Store(tmp_path).find("key").codes is None


def test_a_damaged_record_counts_as_missing(tmp_path):
    """It is measured again."""
    store = Store(tmp_path)
    store.put("key", DecodedClip(AUDIO, 100, 0.5, 0.25), 44100)
    (tmp_path / "records" / "key.json").write_text('{"n_bytes": 1')
    assert store.find("key") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A file lies there."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        Store(tmp_path / "file")


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_keys_tell_parts_apart(parts):
    """Also parts that join to the same text."""
    assert key_of(*parts) == key_of(*parts)
    assert key_of(*parts) != key_of(*parts, "")
    if len(parts) > 1:
        assert key_of(*parts) != key_of("".join(parts))
