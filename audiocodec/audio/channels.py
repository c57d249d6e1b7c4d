"""Which speaker each channel feeds, and the order of channels in each kind of file.

Samples in this package are always in the order of WAVE files; readers and writers of files in
another order convert.
"""

from collections.abc import Sequence

import numpy as np

from audiocodec.audio.source import Samples

# WAVEFORMATEXTENSIBLE, and FLAC: by number of channels
WAVE_ORDER: dict[int, tuple[str, ...]] = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
# Ogg Vorbis, and Ogg Opus of mapping family 1: Vorbis I specification, section 4.3.9; RFC 7845
VORBIS_ORDER = WAVE_ORDER | {
    3: ("FL", "FC", "FR"),
    5: ("FL", "FC", "FR", "BL", "BR"),
    6: ("FL", "FC", "FR", "BL", "BR", "LFE"),
    7: ("FL", "FC", "FR", "SL", "SR", "BC", "LFE"),
    8: ("FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"),
}

# all speakers known here; any subset of them has this order in a WAVE file
SPEAKERS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR")


def in_wave_order(samples: Samples, speakers: Sequence[str]) -> Samples:
    """Reorder (n_samples, channels), whose channels feed `speakers`, to the order of WAVE files."""
    order = sorted(range(len(speakers)), key=lambda channel: SPEAKERS.index(speakers[channel]))
    return samples if order == list(range(len(speakers))) else np.take(samples, order, axis=1)


def wave_from_vorbis(samples: Samples) -> Samples:
    """Reorder (n_samples, channels) from the order of Ogg files to that of WAVE files."""
    return _reordered(samples, VORBIS_ORDER, WAVE_ORDER)


def vorbis_from_wave(samples: Samples) -> Samples:
    """Reorder (n_samples, channels) from the order of WAVE files to that of Ogg files."""
    return _reordered(samples, WAVE_ORDER, VORBIS_ORDER)


def _reordered(
    samples: Samples, before: dict[int, tuple[str, ...]], after: dict[int, tuple[str, ...]]
) -> Samples:
    channels = samples.shape[1]
    old, new = before.get(channels), after.get(channels)
    if old is None or new is None or old == new:
        return samples
    return np.take(samples, [old.index(speaker) for speaker in new], axis=1)
