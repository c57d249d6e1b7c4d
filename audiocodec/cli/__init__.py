"""The command `audiocodec`: one module a subcommand, each bound with argbind.

Torch is imported only inside the commands that need it, so that --help answers at once.
May import: codec (inside commands), container, errors, argbind, tqdm.
"""

import io
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import NoReturn

from audiocodec import __version__
from audiocodec.cli.arguments import parse
from audiocodec.cli.messages import say
from audiocodec.errors import ArgumentError, CodecError

COMMANDS = {
    "encode": "compress sound files to .dac files",
    "decode": "turn .dac files back into sound",
    "info": "say what a .dac file holds, and whether it is intact",
    "tokenize": "encode a corpus to shards of tokens for generative models",
    "crop": "cut a part out of a .dac file, without a model",
    "concat": "write .dac files as one, one after the other",
    "splice": "put a part of one .dac file into another, or in place of a part of it",
    "truncate": "keep the first codebooks of .dac files or shards of tokens",
    "compare": "say whether two .dac files or shards hold the same tokens, and what differs",
    "train": "train a model, by the paper's recipe or another",
    "evaluate": "measure a model beside other codecs, and make a page to listen on",
    "export": "write a model's encoder and decoder as ONNX files",
    "models": "list the built-in model and those known on the hub",
}
USAGE = (
    "usage: audiocodec COMMAND ...\n\ncommands:\n"
    + "".join(f"  {name:10}{text}\n" for name, text in COMMANDS.items())
    + "\n`audiocodec COMMAND --help` says more, `audiocodec --version` which release this is."
)


def main() -> NoReturn:
    """Run a command and leave with its exit status: 0, or 1 after one line on standard error."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up, as Ctrl-C does
    _buffer_output()
    try:
        status = run(sys.argv[1:])
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = _failed("interrupted; nothing half-written is left", debug, status=130)
    except CodecError as error:
        status = _failed(str(error), debug)
    except BrokenPipeError:
        status = _failed("the other end of the pipe was closed", debug)
    except OSError as error:  # of other files than these, modules make errors of their own
        where = error.filename or "standard input or output"
        status = _failed(f"{where}: {error.strerror or error}", debug)
    except Exception as error:
        status = _failed(f"unexpected {type(error).__name__}: {error} (--debug shows where)", debug)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Dispatch to a command; returns its exit status. Raises CodecError."""
    if arguments in (["--version"], ["-V"]):
        print(f"audiocodec {__version__}")
        return 0
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        wrong = f"no command {arguments[0]!r}" if arguments else "no command given"
        raise ArgumentError(f"{wrong}; there are {', '.join(COMMANDS)}, and --help")
    command = getattr(import_module(f"audiocodec.cli.{arguments[0]}"), arguments[0])
    return parse(command, arguments[0], arguments[1:])


def _buffer_output() -> None:
    """Under PYTHONUNBUFFERED a pipe would take a part of what is written, and say so to nobody."""
    if sys.stdout and isinstance(sys.stdout.buffer, io.RawIOBase):
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer))
    if sys.stdout:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _failed(message: str, debug: bool, status: int = 1) -> int:
    if debug:
        traceback.print_exc()
    say(message)
    if sys.stdout:  # the interpreter would complain about what it cannot write when it ends
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
