"""Opus (RFC 6716) at requested bit rates, and at the measured bit rates of another system."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from audiocodec.errors import ArgumentError
from audiocodec.lab.measures.signals import Samples
from audiocodec.lab.systems import programs
from audiocodec.lab.systems.base import DecodedClip, Setting, Unavailable, measured_kbps, rates_in
from audiocodec.lab.systems.programs import SOURCE, TARGET, EncodedFile, ProgramCodec, Road

ASKED_KBPS = (6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 24.0)
LOWEST_KBPS, HIGHEST_KBPS = 6.0, 256.0  # the range of opusenc for one channel
RATE = 48000  # the only sample rate of Opus
TOLERANCE = 0.02  # between a file's bit rate and the target
TRIES = 6
TO_OPUS = ("opusenc", "--quiet", "--padding", "0", "--discard-comments", "--bitrate")
FROM_OPUS = ("opusdec", "--quiet", "--float", "--rate", str(RATE), SOURCE, TARGET)


class Opus(ProgramCodec):
    """Opus at requested bit rates; they vary, its default, so files only come close to them."""

    def __init__(self, kbps: tuple[float, ...] = ()) -> None:
        """kbps: ASKED_KBPS by default.

        Raises ArgumentError for a rate outside the range of Opus, and Unavailable.
        """
        kbps = kbps or ASKED_KBPS
        for asked in kbps:
            if not LOWEST_KBPS <= asked <= HIGHEST_KBPS:
                raise ArgumentError(
                    f"Opus at {asked:g} kbps; it takes {LOWEST_KBPS:g} to {HIGHEST_KBPS:g}"
                )
        version, road = _found()
        super().__init__("Opus", version, {asked: road(asked) for asked in kbps})

    @classmethod
    def from_argument(cls, argument: str) -> "Opus":
        """See System; the argument lists bit rates to request, in kbps."""
        return cls(rates_in(argument))


class MatchedOpus:
    """Opus at given measured bit rates, for a fair comparison at equal rates.

    Asked for 6 kbps, Opus writes files of 4.6 to 7.4 kbps, depending on how hard the clip is, while
    a model with a given number of codebooks has the same rate for every clip. At equal requested
    rates, one of the two would have more bits. So for each clip a search finds the rate to request
    that brings the file within 2 % of the target. Near 9 and 10 kbps Opus changes its coding mode,
    where the file's rate jumps by up to a third, and hard clips never get as low as 6 kbps.
    Therefore the nearest of at most 6 tries counts, with its time.
    """

    name = "Opus, matched"
    codebook_size = 0
    in_programs = True

    def __init__(self, targets_kbps: tuple[float, ...]) -> None:
        """Raises ArgumentError for a target out of reach (see `reachable`), Unavailable."""
        if missed := sorted(set(targets_kbps) - set(reachable(targets_kbps))):
            raise ArgumentError(
                f"Opus cannot be matched to {missed[0]:g} kbps; it reaches {LOWEST_KBPS:g} to "
                f"{HIGHEST_KBPS:g}"
            )
        version, self._road = _found()
        self.identity = f"{version}, within {TOLERANCE:.0%} in {TRIES} tries"
        self.settings = tuple(Setting(f"at {t:g} kbps", t) for t in sorted(set(targets_kbps)))

    @classmethod
    def from_argument(cls, argument: str) -> "MatchedOpus":
        """See System; the argument lists measured bit rates to match, in kbps."""
        return cls(rates_in(argument))

    def run(self, audio: Samples, sample_rate: int, setting: Setting) -> DecodedClip:
        """Encode mono audio (n_samples,) until the rate is right, then decode that file."""
        target = setting.nominal_kbps
        with TemporaryDirectory() as folder:
            tried: dict[float, tuple[float, EncodedFile]] = {}  # measured rate and file, by request
            asked = target
            while len(tried) < TRIES and asked not in tried:
                road = self._road(asked)
                one = programs.encode(road, audio, sample_rate, Path(folder), f"try{len(tried)}")
                tried[asked] = measured_kbps(one.n_bytes, len(audio), sample_rate), one
                measured, nearest = min(tried.values(), key=lambda t: abs(t[0] - target))
                if abs(measured - target) <= TOLERANCE * target:
                    break
                asked = next_asked({a: m for a, (m, _) in tried.items()}, target)
            return programs.decode(road, nearest, len(audio), sample_rate)


def next_asked(measured: dict[float, float], target: float) -> float:
    """The rate to request next, from the measured rates by requested rate; all in kbps.

    Between the nearest requests on both sides of the target it takes a secant step, kept away from
    the ends so that an interval with a jump in it shrinks too. While all rates lie on one side, it
    scales the outermost request, since requests that are close together give the same file. The
    result is within the range of Opus.
    """
    below = max((a for a, m in measured.items() if m <= target), default=None)
    above = min((a for a, m in measured.items() if m > target), default=None)
    if below is not None and above is not None and below < above:
        share = (target - measured[below]) / (measured[above] - measured[below])
        return below + min(0.8, max(0.2, share)) * (above - below)
    outermost = min(measured) if below is None else max(measured)
    return min(HIGHEST_KBPS, max(LOWEST_KBPS, outermost * target / measured[outermost]))


def reachable(targets_kbps: Iterable[float]) -> tuple[float, ...]:
    """Those of the bit rates (kbps) that Opus can be matched to, lowest first."""
    return tuple(sorted(t for t in set(targets_kbps) if LOWEST_KBPS <= t <= HIGHEST_KBPS))


def _found() -> tuple[str, Callable[[float], Road]]:
    """The installed encoder's version, and the function from kbps to its Road.

    Prefers the reference programs to ffmpeg with the same library. Raises Unavailable.
    """
    if shutil.which("opusenc") and shutil.which("opusdec"):
        return programs.first_line("opusenc", "--version", "opus-tools"), _through_tools
    try:
        return f"{programs.ffmpeg_with('libopus')}, libopus", _through_ffmpeg
    except Unavailable as error:
        raise Unavailable("opusenc and opusdec are missing: install opus-tools") from error


def _through_tools(kbps: float) -> Road:
    return Road(RATE, ".opus", (*TO_OPUS, f"{kbps:.3f}", SOURCE, TARGET), FROM_OPUS)


def _through_ffmpeg(kbps: float) -> Road:
    return Road(RATE, ".opus", programs.to_ffmpeg("libopus", kbps), programs.FROM_FFMPEG)
