"""A recipe's shares yield to the recordings; the user's own do not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiocodec.errors import ArgumentError
from audiocodec.lab.train.excerpts import Excerpts, ExcerptSettings
from audiocodec.lab.train.fitting import fitted_full_band, fitted_shares
from audiocodec.lab.train.settings import Sampling
from audiocodec.lab.train.sources import TrainingRecording
from tests.lab.train.material import recording

RECIPE = Sampling(shares="speech=3 music=2 environment=1", full_band_share=0.17)


def recordings(**full_band: bool) -> list[TrainingRecording]:
    """One of each class."""
    return [recording(Path(f"{kind}.wav"), kind, "", 1.0, full) for kind, full in full_band.items()]


def fitted(
    sampling: Sampling, found: list[TrainingRecording], *insisted: str
) -> tuple[Sampling, list[str]]:
    """Shares, then the full-band share, and the lines that were said."""
    said: list[str] = []
    sampling = fitted_shares(sampling, found, insisted, said.append)
    return fitted_full_band(sampling, found, insisted, said.append), said


def test_a_recipe_that_fits_stays_as_it_is():
    """And nothing is said."""
    found = recordings(speech=True, music=True, environment=False)
    assert fitted(RECIPE, found) == (RECIPE, [])


def test_classes_without_recordings_are_dropped():
    """With one line; the others keep their proportion."""
    sampling, said = fitted(RECIPE, recordings(speech=True, environment=True))
    assert sampling.share_of_class == {"speech": 3, "environment": 1}
    (line,) = said
    assert line.startswith("--data has no recordings of music:")
    assert line.endswith("dropped, speech=3 environment=1 is left")


def test_one_class_of_low_bandwidth():
    """One line for the shares, one for the full-band share, which nothing can have."""
    sampling, said = fitted(RECIPE, recordings(music=False))
    assert sampling.share_of_class == {"music": 2}
    assert sampling.full_band_share == 0
    assert len(said) == 2
    assert "speech, environment" in said[0]
    assert "from 0.17 to 0" in said[1]
    assert "10 kHz" in said[1]


def test_classes_that_the_recipe_does_not_know_are_drawn_alike():
    """Where it knows none of them; beside known ones they are left out, and that is said."""
    sampling, said = fitted(RECIPE, recordings(birds=True, bats=True))
    assert sampling.shares == ""
    (line,) = said
    assert line.endswith(
        "speech, music, environment: their shares are dropped, all classes are drawn alike"
    )
    found = recordings(speech=True, music=True, environment=True, birds=True)
    sampling, said = fitted(RECIPE, found)
    assert sampling == RECIPE
    assert said == ["recordings of birds are left out: --shares does not name them"]


def test_what_the_user_gave_stays():
    """Excerpts refuses it, in one line that names the flag and what to do."""
    found = recordings(music=False)
    sampling, said = fitted(RECIPE, found, "shares", "full_band_share")
    assert (sampling, said) == (RECIPE, [])
    settings = ExcerptSettings(1000, 8000, 8, full_band_share=0.17)
    with pytest.raises(ArgumentError, match=r"--shares: no recordings .* or add speech=FOLDER to"):
        Excerpts(found, RECIPE.share_of_class, settings)
    with pytest.raises(ArgumentError, match=r"--full-band-share 0\.17, .*0\.00 .*; lower it, or"):
        Excerpts(found, {"music": 2.0}, settings)


@given(
    shares=st.dictionaries(st.sampled_from("abcdefg"), st.floats(0.01, 100), min_size=1),
    kinds=st.dictionaries(st.sampled_from("abcdefg"), st.booleans(), min_size=1),
    full_band_share=st.floats(0, 1),
    balance=st.sampled_from(("groups", "duration", "none")),
)
def test_whatever_a_recipe_asks_for_can_be_drawn(shares, kinds, full_band_share, balance):
    """Fitted settings are never refused, and never ask for more full-band material than before."""
    text = " ".join(f"{kind}={share}" for kind, share in shares.items())
    sampling, _ = fitted(Sampling(text, balance, full_band_share), recordings(**kinds))
    assert sampling.full_band_share <= full_band_share
    settings = ExcerptSettings(1000, 8000, 8, balance, sampling.full_band_share)
    plan = Excerpts(recordings(**kinds), sampling.share_of_class, settings).plan(0, 0)
    assert {kind for kind, _ in plan} <= {"", *kinds}
