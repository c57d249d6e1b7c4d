"""The command `audiocodec`: one module a subcommand, each bound with argbind.

Torch is imported only inside the commands that need it, so that --help answers at once.
May import: codec (inside commands), container, errors, argbind, tqdm.
"""

import sys
import traceback
from importlib import import_module
from typing import NoReturn

from audiocodec import __version__
from audiocodec.cli.arguments import parse
from audiocodec.errors import CodecError

COMMANDS = {
    "encode": "compress sound files to .dac files",
    "decode": "turn .dac files back into sound",
    "info": "say what a .dac file holds, and whether it is intact",
    "models": "list the built-in model and those known on the hub",
}
USAGE = "usage: audiocodec COMMAND ...\n\ncommands:\n" + "".join(
    f"  {name:8}{text}\n" for name, text in COMMANDS.items()
)


def main() -> NoReturn:
    """Run a command and leave with its exit status: 0, or 1 after one line on standard error."""
    debug = "--debug" in sys.argv
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = _failed("interrupted; nothing half-written is left", debug, status=130)
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]  # the reader has gone: nothing to flush
        status = _failed("the other end of the pipe was closed", debug)
    except CodecError as error:
        status = _failed(str(error), debug)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        status = _failed(f"unexpected {what} (--debug shows where)", debug)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Dispatch to a command; returns its exit status."""
    if arguments in (["--version"], ["-V"]):
        print(f"audiocodec {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE + "\naudiocodec COMMAND --help says more.")
        return 0 if arguments else 1
    if arguments[0] not in COMMANDS:
        raise CodecError(f"no command {arguments[0]!r}; there are {', '.join(COMMANDS)}")
    command = getattr(import_module(f"audiocodec.cli.{arguments[0]}"), arguments[0])
    return parse(command, arguments[0], arguments[1:])


def _failed(message: str, debug: bool, status: int = 1) -> int:
    if debug:
        traceback.print_exc()
    print("audiocodec: " + " ".join(message.split()), file=sys.stderr)
    return status
