"""Interrupts that are not lost. May import: the standard library."""

import os
import signal
import sys
import threading
from typing import Any


def keep_interrupts() -> None:
    """Let an interrupt come again that came while C code called Python, which only prints it.

    libsndfile calls back to read; SIGTERM must have a handler that raises.
    """
    sys.unraisablehook = _again


def _again(lost: Any) -> None:
    if issubclass(lost.exc_type, KeyboardInterrupt | SystemExit):
        # Later: at once it would be raised in here, and lost once more.
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGTERM)).start()
    else:
        sys.__unraisablehook__(lost)
