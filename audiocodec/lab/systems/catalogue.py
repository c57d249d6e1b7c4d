"""All systems by name, and descriptions of them that can be sent to other processes.

`audiocodec evaluate --baselines` takes names separated by commas, such as:

    opus  opus:8/12  opus-at:7.9  mp3:16/32  aac            with requested bit rates in kbps
    encodec  snac:FOLDER  dac:owner/name@1/9  codec:NAME    with weights, and @ counts of codebooks
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
    """A system: where its class is, and its names in evaluation and in benchmarks."""

    home: str  # module.Class in this package, imported only when it is used
    evaluated_as: str = ""  # empty: not evaluated
    timed_as: str = ""  # empty: not timed
    needs: str = ""  # the argument that it cannot do without, with an example


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
    """A system to evaluate, described by text so that it can be compared, hashed and pickled."""

    kind: str  # a name in EVALUATED
    argument: str = ""  # the part after the colon; empty: the system's defaults

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind

    def make(self) -> System:
        """Make the system. Raises Unavailable if it cannot run, ArgumentError for its argument."""
        entry = EVALUATED[self.kind]
        if entry.needs and not self.argument:
            raise ArgumentError(f"{self.kind} needs an argument: {entry.needs}")
        system: System = class_of(entry).from_argument(self.argument)
        return system


def make_specs(text: str) -> list[SystemSpec]:
    """Parse `name,name:argument,...` without making any system.

    Raises ArgumentError for an unknown name, or a system given twice.
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
    """A model of this library by name, folder or file; by default with a few codebook counts."""
    counts = "/".join(map(str, codebooks))
    return SystemSpec("codec", f"{model}@{counts}" if counts else model)


def matched_opus(rates_kbps: Iterable[float]) -> SystemSpec | None:
    """Opus matched to those bit rates that it can reach, rounded to 0.1; None if there are none."""
    from audiocodec.lab.systems.opus import reachable

    targets = reachable(round(rate, 1) for rate in rates_kbps)
    return SystemSpec("opus-at", "/".join(f"{t:g}" for t in targets)) if targets else None
