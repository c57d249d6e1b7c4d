"""All systems by name, and descriptions of them that other processes can be given.

`audiocodec evaluate --baselines` takes, separated by commas:

    opus  opus:8/12  opus-at:7.9  mp3:16/32  aac            bit rates asked for, in kbps
    encodec  snac:FOLDER  dac:owner/name@1/9  codec:NAME    weights, and @ counts of codebooks
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from audiocodec.errors import ArgumentError
from audiocodec.lab.systems.base import System

OURS = "ours"  # this library in a benchmark


@dataclass(frozen=True)
class Entry:
    """Where a system's class is and what the two commands call it; empty: not offered there."""

    home: str  # module.Class in this package, imported only when it is wanted
    evaluated_as: str = ""
    timed_as: str = ""
    needs: str = ""  # what the argument has to say, where the name alone says too little


SYSTEMS = (
    Entry("opus.Opus", "opus"),
    Entry("opus.MatchedOpus", "opus-at", needs="opus-at:7.9 for a measured bit rate in kbps"),
    Entry("mp3.Mp3", "mp3"),
    Entry("aac.Aac", "aac"),
    Entry("published.Published", timed_as="published"),
    Entry("dac_transformers.DacTransformers", "dac", "transformers"),
    Entry("dac_tool.DacTool", timed_as="dac"),
    Entry("published.StandIn", timed_as="stand-in"),
    Entry("encodec.Encodec", "encodec", "encodec"),
    Entry("snac.Snac", "snac", "snac"),
    Entry(
        "ours.Ours",
        "codec",
        OURS,
        needs="codec:NAME for a model by name, folder, file or hub repository",
    ),
)
EVALUATED = {entry.evaluated_as: entry for entry in SYSTEMS if entry.evaluated_as}
TIMED = {entry.timed_as: entry for entry in SYSTEMS if entry.timed_as}


def class_of(entry: Entry) -> Any:
    """The class of a system. Imports its module."""
    module, _, name = entry.home.partition(".")
    return getattr(import_module(f"audiocodec.lab.systems.{module}"), name)


@dataclass(frozen=True)
class SystemSpec:
    """A system to evaluate and what it is made of, as texts: equal, hashable, picklable."""

    kind: str  # a name in EVALUATED
    argument: str = ""  # what stands after the colon; empty: the system's own choice

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    def make(self) -> System:
        """The system. Raises Unavailable where it cannot run, ArgumentError for its argument."""
        entry = EVALUATED[self.kind]
        if entry.needs and not self.argument:
            raise ArgumentError(f"{self.kind} alone says too little: {entry.needs}")
        system: System = class_of(entry).from_argument(self.argument)
        return system


def make_specs(text: str) -> list[SystemSpec]:
    """Specifications from `name,name:argument,...`; makes no system yet.

    Raises ArgumentError for a name that is not there, or one given twice.
    """
    specs: list[SystemSpec] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, argument = item.partition(":")
        spec = SystemSpec(kind.strip(), argument.strip())
        if spec.kind not in EVALUATED:
            raise ArgumentError(f"no system {spec.kind!r}; there are {', '.join(EVALUATED)}")
        if spec in specs:
            raise ArgumentError(f"{spec} is asked for twice")
        specs.append(spec)
    return specs


def model_spec(model: str, codebooks: Iterable[int] = ()) -> SystemSpec:
    """A model of this library by name, folder or file; a few counts of codebooks by default."""
    counts = "/".join(map(str, codebooks))
    return SystemSpec("codec", f"{model}@{counts}" if counts else model)


def matched_opus(rates_kbps: Iterable[float]) -> SystemSpec | None:
    """Opus at measured bit rates, to a tenth, as far as it reaches; None where it reaches none."""
    from audiocodec.lab.systems.opus import reachable

    targets = reachable(round(rate, 1) for rate in rates_kbps)
    return SystemSpec("opus-at", "/".join(f"{t:g}" for t in targets)) if targets else None
