"""Fits the shares of a recipe to the recordings that there are.

A recipe is written for its own material. Other material may have one of its three classes only,
and no full-band recordings.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from audiocodec.lab.train.excerpts import full_band_limit
from audiocodec.lab.train.settings import Sampling
from audiocodec.lab.train.sources import FULL_BAND_HZ, TrainingRecording

Say = Callable[[str], None]


def fitted_shares(
    sampling: Sampling, recordings: Sequence[TrainingRecording], insisted: Collection[str], say: Say
) -> Sampling:
    """Drop the shares of classes without recordings, and report them through `say`.

    insisted: names of settings to leave alone; Excerpts refuses shares that do not fit. Where no
    share is left, all classes are drawn alike. Classes without a share, whose recordings are not
    drawn, are reported too. Raises ArgumentError for malformed shares.
    """
    shares = sampling.share_of_class
    kinds = {one.kind: None for one in recordings}
    kept = {kind: share for kind, share in shares.items() if kind in kinds}
    if len(kept) < len(shares) and "shares" not in insisted:
        missing = ", ".join(kind for kind in shares if kind not in kinds)
        rest = " ".join(f"{kind}={share:.12g}" for kind, share in kept.items())
        left = f"{rest} is left" if rest else "all classes are drawn alike"
        say(f"--data has no recordings of {missing}: their shares are dropped, {left}")
        sampling = replace(sampling, shares=rest)
    if kept and (unused := [kind for kind in kinds if kind not in kept]):
        say(f"recordings of {', '.join(unused)} are left out: --shares does not name them")
    return sampling


def fitted_full_band(
    sampling: Sampling, recordings: Sequence[TrainingRecording], insisted: Collection[str], say: Say
) -> Sampling:
    """Lower full_band_share to what can be drawn, and report it through `say`.

    insisted: as for fitted_shares. sampling: the result of fitted_shares, which
    excerpts.check_shares has accepted. All recordings must have `full_band` set.
    """
    limit = full_band_limit(recordings, sampling.share_of_class, sampling.balance)
    if not limit < sampling.full_band_share <= 1 or "full_band_share" in insisted:
        return sampling
    say(
        f"the full-band share is lowered from {sampling.full_band_share:g} to {limit:.2g}: classes "
        f"with sound beyond {FULL_BAND_HZ / 1000:g} kHz have no larger part of the shares"
    )
    return replace(sampling, full_band_share=limit)
