"""Handles Ctrl-C, `kill` and a closed terminal: one line, and no half-written files."""

import math
import os
import signal
import time
from types import FrameType

from audiocodec.cli.messages import say

INTERRUPTED = 130  # exit status that shells use for Ctrl-C
STOPPED = "interrupted; nothing half-written is left"
QUIET_S = 1.0  # time after an interrupt in which others are ignored


class Interrupts:
    """Turns these signals into KeyboardInterrupt, so that `finally` blocks clean up.

    Repeated signals within a second do not interrupt the cleanup; later ones do. Once the command
    is done (`ending`) and only the interpreter has to shut down, a signal exits at once.
    """

    def __init__(self) -> None:
        self.ending, self._last_s = False, -math.inf

    def watch(self) -> None:
        """Install the handlers; signals that are ignored, as under nohup, stay ignored."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s < QUIET_S:
            return
        self._last_s = now_s
        if self.ending:
            os._exit(INTERRUPTED)
        if _is_loading(
            "torch", frame
        ):  # an exception in its C++ code would abort; no work has begun yet
            say(STOPPED)
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt


def _is_loading(module: str, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False
