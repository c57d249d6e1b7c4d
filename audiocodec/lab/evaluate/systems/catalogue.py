"""The systems by name: one table, and specifications of them that worker processes can be given.

opus  opus:8/12  opus-at:7.9  mp3:16/32  aac            bit rates asked for, in kbps
encodec  snac:FOLDER  dac:owner/name@1/9  codec:NAME    weights, and @ counts of codebooks
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from audiocodec.errors import ArgumentError
from audiocodec.lab.evaluate.systems.aac import Aac
from audiocodec.lab.evaluate.systems.base import System
from audiocodec.lab.evaluate.systems.dac_transformers import DacTransformers
from audiocodec.lab.evaluate.systems.encodec import Encodec
from audiocodec.lab.evaluate.systems.mp3 import Mp3
from audiocodec.lab.evaluate.systems.opus import MatchedOpus, Opus, reachable
from audiocodec.lab.evaluate.systems.ours import CodecSystem
from audiocodec.lab.evaluate.systems.snac import Snac

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Spec:
    """A system and what it is made of, as plain texts: equal, hashable, for another process."""

    kind: str  # a name in KINDS
    argument: str = ""  # what stands after the colon; empty: the system's own choice

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    def make(self) -> System:
        """The system. Raises Unavailable where it cannot run, ArgumentError for its argument."""
        if not self.argument and self.kind in INCOMPLETE:
            raise ArgumentError(f"{self.kind} alone says too little: {INCOMPLETE[self.kind]}")
        return KINDS[self.kind](self.argument)


def make_specs(text: str) -> list[Spec]:
    """Specifications from `name,name:argument,...`; makes no system yet.

    Raises ArgumentError for a name that is not there, or one given twice.
    """
    specs: list[Spec] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, argument = item.partition(":")
        spec = Spec(kind.strip(), argument.strip())
        if spec.kind not in KINDS:
            raise ArgumentError(f"no system {spec.kind!r}; there are {', '.join(KINDS)}")
        if spec in specs:
            raise ArgumentError(f"{spec} is asked for twice")
        specs.append(spec)
    return specs


def model_spec(model: str, codebooks: Iterable[int] = ()) -> Spec:
    """A model of this library by name, folder or file; a few counts of codebooks by default."""
    counts = "/".join(map(str, codebooks))
    return Spec("codec", f"{model}@{counts}" if counts else model)


def matched_opus(rates_kbps: Iterable[float]) -> Spec | None:
    """Opus at measured bit rates, to a tenth, as far as it reaches; None where it reaches none."""
    targets = reachable(round(rate, 1) for rate in rates_kbps)
    return Spec("opus-at", "/".join(f"{t:g}" for t in targets)) if targets else None


def _of_rates(system: Callable[..., System]) -> Callable[[str], System]:
    return lambda argument: system(_numbers(argument, float)) if argument else system()


def _of_weights(system: Callable[..., System]) -> Callable[[str], System]:
    return lambda argument: system(argument) if argument else system()


def _of_counts(system: Callable[..., System]) -> Callable[[str], System]:
    """Weights, then @ and counts of codebooks; either may be missing."""

    def make(argument: str) -> System:
        weights, at, counts = argument.rpartition("@")
        if not at or not set(counts) <= set("0123456789/ "):  # a folder's name may hold an @
            weights, counts = argument, ""
        given = {"codebooks": _numbers(counts, int)} if counts else {}
        return system(*filter(None, [weights]), **given)

    return make


def _numbers(text: str, number: Callable[[str], Number]) -> tuple[Number, ...]:
    try:
        return tuple(number(part) for part in text.split("/"))
    except ValueError as error:
        raise ArgumentError(f"{text!r} is not a list of numbers such as 6/8/12") from error


KINDS: dict[str, Callable[[str], System]] = {
    "opus": _of_rates(Opus),
    "opus-at": _of_rates(MatchedOpus),
    "mp3": _of_rates(Mp3),
    "aac": _of_rates(Aac),
    "encodec": _of_weights(Encodec),
    "snac": _of_weights(Snac),
    "dac": _of_counts(DacTransformers),
    "codec": _of_counts(CodecSystem.named),
}
INCOMPLETE = {
    "opus-at": "opus-at:7.9 for a measured bit rate in kbps",
    "codec": "codec:NAME for a model by name, folder, file or hub repository",
}
