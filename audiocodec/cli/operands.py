"""Operands of encode and decode: INPUT [OUTPUT], or several inputs and --out FOLDER.

Operands that contradict each other are refused before anything is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from audiocodec.cli.batch import PIPE, FileTask, FoundIn, planned
from audiocodec.container import is_other_name
from audiocodec.errors import ArgumentError
from audiocodec.files import check_apart


@dataclass(frozen=True)
class Direction:
    """Which files a command reads and writes: encode's or decode's.

    found_in: lists the inputs in a folder. new_suffix: of outputs that the user did not name.
    check_input, check_output: raise ArgumentError for a name that contradicts the command.
    """

    command: str
    found_in: FoundIn
    new_suffix: str
    check_input: Callable[[str], None]
    check_output: Callable[[str, str], None]  # takes the input's name and the output's

    def tasks(self, words: list[str], out: str) -> list[FileTask]:
        """One task for each file of the operands `words`. Raises CodecError."""
        if out:
            tasks = self._several(words, _as_folder(out, self.command, words))
        elif len(words) > 2:
            self._check_last(words)
            tasks = self._several(words, "")
        else:
            tasks = self._one(*words)
        _check_targets(tasks)
        return tasks

    def _one(self, source: str, target: str = "") -> list[FileTask]:
        """INPUT [OUTPUT]"""
        if target and target != PIPE and not Path(target).is_dir():
            check_apart([source], target)
            self.check_output(source, target)
        if source != PIPE and not Path(source).is_dir():
            self.check_input(source)
        return planned(source, target, self.found_in, self.new_suffix)

    def _several(self, sources: list[str], target: str) -> list[FileTask]:
        if PIPE in sources:
            raise ArgumentError(
                f"standard input (-) gives no name to an output in a folder; name the output: "
                f"`audiocodec {self.command} - OUTPUT`"
            )
        return [task for source in sources for task in self._one(source, target)]

    def _check_last(self, words: list[str]) -> None:
        """Raises ArgumentError where the last of several words looks like an output, as for cp."""
        last = words[-1]
        is_new = not Path(last).exists() and Path(last).suffix != Path(words[0]).suffix
        if last == PIPE or last.endswith("/") or Path(last).is_dir() or is_new:
            raise ArgumentError(
                f"{last}: looks like the output; for several inputs name a folder with --out: "
                f"`audiocodec {self.command} INPUT... --out FOLDER`"
            )


def _as_folder(out: str, command: str, words: list[str]) -> str:
    check_folder(out)
    if out == PIPE:
        way = f"audiocodec {command} {quote(words[0])} -"
        raise ArgumentError(f"--out - is not a folder; write `{way}`")
    return out if out.endswith("/") else f"{out}/"


def check_folder(out: str) -> None:
    """Raises ArgumentError where a new folder would have a name that suits a file."""
    from audiocodec.container.output import DAC

    suffix = Path(out).suffix.lower()
    if (suffix == DAC or is_other_name(out)) and not Path(out).is_dir():
        raise ArgumentError(f"--out {out}: is to be a folder, and {suffix} is the name of a file")


def _check_targets(tasks: list[FileTask]) -> None:
    """Raises ArgumentError where two tasks would write the same file."""
    first: dict[Path, FileTask] = {}
    for task in tasks:
        other = first.setdefault(Path(task.target).absolute(), task)
        if other is not task:
            raise ArgumentError(
                f"{other.source} and {task.source} would both become {task.target}; encode or "
                "decode them by two commands, to two folders"
            )
