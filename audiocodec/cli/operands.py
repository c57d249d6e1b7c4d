"""Operands of encode and decode: INPUT and perhaps OUTPUT, or several inputs and --out FOLDER.

Whatever does not fit together is refused before anything is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audiocodec.cli.batch import PIPE, FoundIn, Job, planned
from audiocodec.container import is_other_name
from audiocodec.errors import ArgumentError
from audiocodec.files import check_apart


@dataclass(frozen=True)
class Direction:
    """What a command reads and writes, by name.

    found_in: lists its inputs in a folder. new_suffix: of outputs that are not named.
    check_input, check_output: raise ArgumentError for a name that contradicts the command.
    """

    command: str
    found_in: FoundIn
    new_suffix: str
    check_input: Callable[[str], None]
    check_output: Callable[[str, str], None]  # of which input, and the name

    def jobs(self, words: list[str], out: str) -> list[Job]:
        """One job for each file of the operands `words`. Raises CodecError."""
        if out:
            jobs = self._several(words, _as_folder(out, self.command, words))
        elif len(words) > 2:
            self._check_last(words)
            jobs = self._several(words, "")
        else:
            jobs = self._one(*words)
        _check_targets(jobs)
        return jobs

    def _one(self, source: str, target: str = "") -> list[Job]:
        """INPUT [OUTPUT]"""
        if target and target != PIPE and not Path(target).is_dir():
            check_apart([source], target)
            self.check_output(source, target)
        if source != PIPE and not Path(source).is_dir():
            self.check_input(source)
        return planned(source, target, self.found_in, self.new_suffix)

    def _several(self, sources: list[str], target: str) -> list[Job]:
        if PIPE in sources:
            raise ArgumentError(
                f"standard input (-) has no name for an output in a folder; name one: "
                f"`audiocodec {self.command} - OUTPUT`"
            )
        return [job for source in sources for job in self._one(source, target)]

    def _check_last(self, words: list[str]) -> None:
        """Raises ArgumentError where the last of several words looks like an output, as of cp."""
        last = words[-1]
        is_new = not Path(last).exists() and Path(last).suffix != Path(words[0]).suffix
        if last == PIPE or last.endswith("/") or Path(last).is_dir() or is_new:
            raise ArgumentError(
                f"{last}: is it the output? For several inputs name a folder by --out: "
                f"`audiocodec {self.command} INPUT... --out FOLDER`"
            )


def _as_folder(out: str, command: str, words: list[str]) -> str:
    check_folder(out)
    if out == PIPE:
        raise ArgumentError(f"--out -: names a folder; write `audiocodec {command} {words[0]} -`")
    return out if out.endswith("/") else f"{out}/"


def check_folder(out: str) -> None:
    """Raises ArgumentError where a folder is to be made under the name of a file."""
    from audiocodec.container.output import DAC

    suffix = Path(out).suffix.lower()
    if (suffix == DAC or is_other_name(out)) and not Path(out).is_dir():
        raise ArgumentError(f"--out {out}: is to be a folder, and {suffix} is the name of a file")


def _check_targets(jobs: list[Job]) -> None:
    """Raises ArgumentError where two jobs would write the same file."""
    first: dict[Path, Job] = {}
    for job in jobs:
        other = first.setdefault(Path(job.target).absolute(), job)
        if other is not job:
            raise ArgumentError(
                f"{other.source} and {job.source} would both become {job.target}; encode or decode "
                "them by two commands, to two folders"
            )
