"""The patterns that published models use.

Codebook k, frame t written as k.t, for 3 codebooks:

    parallel          delay              flatten (one stream)
    0.0 0.1 0.2       0.0 0.1 0.2 -  -   0.0 1.0 2.0 0.1 1.1 2.1 ...
    1.0 1.1 1.2       -  1.0 1.1 1.2 -
    2.0 2.1 2.2       -  -  2.0 2.1 2.2

    coarse_then_fine             partial_flatten([0, 1, 1])
    0.0 0.1 0.2 -  -  -          0.0 -  0.1 -  0.2 -
    -  -  -  1.0 1.1 1.2         -  1.0 -  1.1 -  1.2
    -  -  -  2.0 2.1 2.2         -  2.0 -  2.1 -  2.2
"""

from collections.abc import Sequence

from audiocodec.errors import ArgumentError
from audiocodec.tokens.patterns.layout import Place
from audiocodec.tokens.patterns.pattern import Pattern


def parallel(n_codebooks: int) -> Pattern:
    """One stream per codebook, one step per frame."""
    return delay(n_codebooks, [0] * n_codebooks)


def delay(n_codebooks: int, delays: Sequence[int] | None = None) -> Pattern:
    """One stream per codebook, each delayed by some steps: 0, 1, 2 and so on by default.

    MusicGen in stereo, with left and right alternating, has the delays 0, 0, 1, 1, 2, 2, 3, 3.
    Raises ArgumentError unless there is one delay per codebook, 0 or more.
    Source: arXiv 2306.05284, section 2.2.
    """
    delays = range(n_codebooks) if delays is None else delays
    _check_length("delays", delays, n_codebooks)
    return Pattern(tuple(Place(k, late) for k, late in enumerate(delays)))


def flatten(n_codebooks: int) -> Pattern:
    """One stream: frame after frame, and in each frame the codebooks in order."""
    return partial_flatten(range(n_codebooks), streams=[0] * n_codebooks)


def partial_flatten(
    slots: Sequence[int], delays: Sequence[int] | None = None, streams: Sequence[int] | None = None
) -> Pattern:
    """Each frame takes several steps; codebooks of the same slot come at the same step.

    slots: for each codebook, the step within a frame, from 0. [0, 1, 1, 1] is the first codebook,
    then the others at once. delays: for each codebook, its delay in frames; 0 by default.
    streams: for each codebook, its stream; by default each has its own. Codebooks that share a
    stream are flattened into it: slots [0, 1, 0, 0] with streams [0, 0, 1, 2] flattens the first
    two, with the others in parallel.
    Raises ArgumentError for sequences of different lengths, or codebooks that collide.
    Source: arXiv 2306.05284, section 2.2.
    """
    delays = [0] * len(slots) if delays is None else delays
    streams = range(len(slots)) if streams is None else streams
    _check_length("delays", delays, len(slots))
    _check_length("streams", streams, len(slots))
    if any(slot < 0 for slot in slots):
        raise ArgumentError(f"slots {list(slots)}; they must be 0 or more")
    period = 1 + max(slots, default=0)
    return Pattern(
        tuple(
            Place(stream, slot + period * late, period)
            for stream, slot, late in zip(streams, slots, delays)
        )
    )


def coarse_then_fine(n_codebooks: int, n_coarse: int = 1, fine: str = "parallel") -> Pattern:
    """The first codebooks of all frames, flattened into stream 0; then the others.

    fine: "parallel", each codebook in its own stream at the same steps, which a model may fill
    stream by stream (VALL-E, SoundStorm); or "levels", all in stream 0, one after the other.
    The eos, if there is one, stands between coarse and fine, so that the length of the fine part
    is known when it begins.
    Raises ArgumentError for n_coarse or fine out of range.
    Source: arXiv 2301.02111, section 4.2.
    """
    if not 1 <= n_coarse <= n_codebooks:
        raise ArgumentError(
            f"n_coarse={n_coarse} of {n_codebooks} codebooks; it must be 1 to {n_codebooks}"
        )
    if fine not in ("parallel", "levels"):
        raise ArgumentError(f"fine={fine!r}; it must be 'parallel' or 'levels'")
    coarse = [Place(0, k, n_coarse) for k in range(n_coarse)]
    levels = range(n_codebooks - n_coarse)
    if fine == "levels":
        return Pattern((*coarse, *(Place(0, 0, blocks=n_coarse + level) for level in levels)))
    return Pattern((*coarse, *(Place(1 + level, 0, blocks=n_coarse) for level in levels)))


def _check_length(name: str, values: Sequence[int], n_codebooks: int) -> None:
    if len(values) != n_codebooks:
        raise ArgumentError(
            f"{len(values)} {name} for {n_codebooks} codebooks; there must be one per codebook"
        )
