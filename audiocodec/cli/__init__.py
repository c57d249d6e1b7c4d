"""The command `audiocodec`: one module per subcommand, each bound with argbind.

Torch is imported only inside the commands that need it, so that --help answers at once; argbind is
imported after the signal handlers are set, so that Ctrl-C is handled meanwhile.
"""

import io
import os
import sys
import warnings
from importlib import import_module
from typing import NoReturn

from audiocodec import __version__
from audiocodec.cli.interrupts import INTERRUPTED, STOPPED, Interrupts
from audiocodec.cli.messages import printable, say
from audiocodec.errors import ArgumentError, CodecError
from audiocodec.threads import set_default_threads

COMMANDS = {
    "encode": "compress sound files to .dac files",
    "decode": "turn .dac files back into sound",
    "info": "describe a .dac file and check that it is intact, or describe this installation",
    "tokenize": "encode a corpus to shards of tokens for generative models",
    "crop": "cut a part out of a .dac file, without a model",
    "concat": "join .dac files into one, without a model",
    "splice": "insert a part of one .dac file into another, or replace a part",
    "truncate": "keep the first codebooks of .dac files or shards of tokens",
    "compare": "compare two .dac files or shards of tokens",
    "train": "train a model, by the paper's recipe or another",
    "evaluate": "measure a model beside other codecs, and write a page for listening",
    "export": "write a model's encoder and decoder as ONNX files",
    "models": "list the built-in model and the known models on the hub",
}
USAGE = (
    "usage: audiocodec COMMAND ...\n\ncommands:\n"
    + "".join(f"  {name:10}{text}\n" for name, text in COMMANDS.items())
    + "\n`audiocodec COMMAND --help` lists flags, `audiocodec --version` prints the version."
)
TROUBLE = {"compare": 2}  # exit status of an error, as for cmp and diff; 1 for other commands


def main() -> NoReturn:
    """Run a command and exit with its status; an error is one line on standard error.

    Exit status: 0; 1 for an error, 2 with `compare`; 130 after Ctrl-C, `kill` or a closed terminal.
    """
    debug, trouble = "--debug" in sys.argv, TROUBLE.get("".join(sys.argv[1:2]), 1)
    interrupts = Interrupts()
    try:
        interrupts.watch()
        _settle()
        status = run(sys.argv[1:])
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = _failed(STOPPED, debug, INTERRUPTED)
    except CodecError as error:
        status = _failed(str(error), debug, trouble)
    except BrokenPipeError:
        status = _failed("the other end of the pipe was closed", debug, trouble)
    except OSError as error:  # of a standard stream: for files, modules raise a CodecError
        where = error.filename or "standard input or output"
        status = _failed(f"{where}: {error.strerror or error}", debug, trouble)
    except Exception as error:
        what = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
        status = _failed(what, debug, trouble)
    interrupts.ending = True
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
    from audiocodec.cli.arguments import parse

    command = getattr(import_module(f"audiocodec.cli.{arguments[0]}"), arguments[0])
    return parse(command, arguments[0], arguments[1:])


def _failed(message: str, debug: bool, status: int) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    say(message)
    if sys.stdout:  # otherwise the interpreter reports what it cannot write when it exits
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _settle() -> None:
    """Set up standard streams, warnings, environment and threads for a command."""
    for number in range(3):  # the next file opened would take the number of a closed one
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # under PYTHONUNBUFFERED a write to a pipe may be partial, and print does not notice
    if sys.stdout and isinstance(sys.stdout.buffer, io.RawIOBase):
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer))
    if sys.stdout:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.formatwarning = lambda message, *_: f"audiocodec: {printable(str(message))}\n"
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")  # our own line reports the error
    set_default_threads()  # before torch is imported
