"""Ctrl-C, `kill` and a closed terminal: one line, and nothing half-written is left."""

import math
import os
import signal
import time
from types import FrameType

from audiocodec.cli.messages import say

INTERRUPTED = 130  # the exit status, as shells have it for Ctrl-C
STOPPED = "interrupted; nothing half-written is left"
QUIET_S = 1.0  # after an interrupt


class Interrupts:
    """Turns these signals into KeyboardInterrupt, which cleans up on its way out.

    More of them within a second, of an impatient hand, do not interrupt the cleaning up; later
    ones do. When the command is over and only Python has to end, they end it at once.
    """

    def __init__(self) -> None:
        self.ending, self._last_s = False, -math.inf

    def watch(self) -> None:
        """From now on; what is ignored, as under nohup, stays ignored."""
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
        if _is_loading("torch", frame):  # its C++ would abort; nothing is begun yet
            say(STOPPED)
            os._exit(INTERRUPTED)
        raise KeyboardInterrupt


def _is_loading(module: str, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False
