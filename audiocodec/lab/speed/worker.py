"""A worker process that holds one system, and computes only on request.

Each turn ends when CUDA has finished, too.
"""

import platform
import sys
import time
import warnings
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import ArgumentError, CodecError
from audiocodec.lab.reporting.machine import cpu_name, peak_mib
from audiocodec.lab.systems.base import Unavailable
from audiocodec.lab.systems.catalogue import TIMED, class_of
from audiocodec.lab.systems.workloads import Decodes, TimedSpec, TimedSystem, Work, Workload

ROOFLINE = {  # systems that are no codecs: a class in roofline.py for each
    "product": "Product",
    "product_bfloat16": "Product",
    "convolutions": "Convolutions",
}
WARM_UP_S = 1.0  # seconds of audio before the first turn on a CPU


class WorkerFailed(CodecError):
    """A worker failed at a request; its process may have ended."""


@dataclass(frozen=True)
class Turn:
    """One run of a system."""

    started: float  # seconds on a clock that all processes share
    ended: float
    peak_mib: float | None  # peak memory of the process so far; on CUDA, of the device

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.ended - self.started


class Worker:
    """A worker, seen from the parent. Use it in a with-block, whose end stops the process."""

    def __init__(self, spec: TimedSpec) -> None:
        """Start the process; entering the with-block waits until its system is ready."""
        self.spec = spec
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, spec), daemon=True)
        self._process.start()
        theirs.close()
        self.setting: dict[str, Any] = {}

    def __enter__(self) -> "Worker":
        """Wait for the system. Raises Unavailable where it cannot run here, WorkerFailed."""
        try:
            self.setting = self._answer()
        except CodecError:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, workload: Workload) -> None:
        """Make the input and warm up. Raises WorkerFailed, also for too large a workload."""
        self._ask("prepare", workload)

    def take_turn(self) -> Turn:
        """Run the prepared workload once. Raises WorkerFailed."""
        return self._ask("turn", None)

    def codes(self, samples: NDArray[np.float32]) -> Any:
        """Codes of samples (B, 1, n) as an array, or None; see TimedSystem. Raises WorkerFailed."""
        return self._ask("codes", samples)

    def decoded(self, codes: Any) -> Any:
        """Samples (B, 1, n) of an array of codes; see Decodes. Raises WorkerFailed."""
        return self._ask("decoded", codes)

    @property
    def is_alive(self) -> bool:
        """Whether the process still takes requests."""
        return self._process.is_alive()

    def close(self) -> None:
        """Stop the process."""
        self._connection.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _ask(self, what: str, about: object) -> Any:
        try:
            self._connection.send((what, about))
        except OSError as error:
            raise WorkerFailed(f"{self.spec.system}: its process has ended") from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            kind, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(timeout=5)
            code = self._process.exitcode
            hint = ", perhaps out of memory" if code == -9 else ""
            raise WorkerFailed(f"its process ended with {code}{hint}") from error
        if kind == "unavailable":
            raise Unavailable(answer)
        if kind == "failed":
            raise WorkerFailed(answer)
        return answer


def _context() -> SpawnContext | ForkServerContext:
    """How to start processes: on Linux, forked from one that has imported torch and no more."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    homes = sorted({entry.home.partition(".")[0] for entry in TIMED.values()})
    modules = [f"audiocodec.lab.systems.{home}" for home in homes]
    context.set_forkserver_preload([*modules, "audiocodec.lab.speed.roofline"])
    return context


def _serve(connection: Connection, spec: TimedSpec) -> None:
    """Answer requests in the worker process until the parent closes the connection."""
    warnings.simplefilter("ignore")  # they come from other packages
    try:
        service = _Service(spec)
        connection.send(("ready", service.setting()))
        while True:
            what, about = connection.recv()
            try:
                answer = getattr(service, what)(about)
            except Exception as error:  # whatever it is, the other measurements go on
                connection.send(("failed", _reason(error)))
            else:
                connection.send(("done", answer))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    except Unavailable as error:
        connection.send(("unavailable", _reason(error)))
    except Exception as error:
        connection.send(("failed", _reason(error)))


def _made(spec: TimedSpec) -> TimedSystem:
    """Make the system of a worker. Raises Unavailable, ModelError."""
    if spec.system in TIMED:
        system: TimedSystem = class_of(TIMED[spec.system]).for_timing(spec)
        return system
    from audiocodec.lab.speed import roofline

    made: TimedSystem = getattr(roofline, ROOFLINE[spec.system])(spec)
    return made


class _Service:
    """Answers a worker's requests; a method for each."""

    def __init__(self, spec: TimedSpec) -> None:
        import torch

        torch.set_grad_enabled(False)
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._torch, self._spec = torch, spec
        self._system = _made(spec)
        self._work: Work = lambda: None
        self._is_warm = False

    def setting(self) -> dict[str, Any]:
        """The circumstances on which the figures depend."""
        from audiocodec.engine.precision import computes_bfloat16, pick_device

        torch, device = self._torch, pick_device(self._spec.device)
        is_cuda = device.type == "cuda"
        return {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "cpu": cpu_name(),
            "device": torch.cuda.get_device_name(device) if is_cuda else device.type,
            "device_type": device.type,
            "bfloat16": computes_bfloat16(device),
        }

    def prepare(self, workload: Workload) -> None:
        is_cuda = self._torch.cuda.is_initialized()
        self._work = lambda: None  # frees the previous input
        if not self._is_warm and not is_cuda:
            short = Workload(workload.operation, min(workload.audio_s, WARM_UP_S), workload.batch)
            self._system.prepare(short)()
            self._is_warm = True
        self._work = self._system.prepare(workload)
        if is_cuda:  # which chooses its kernels for each shape
            self._run()

    def turn(self, _: None) -> Turn:
        started = time.monotonic()
        self._run()
        return Turn(started, time.monotonic(), self._peak_mib())

    def codes(self, samples: NDArray[np.float32]) -> Any:
        codes = self._system.codes(self._torch.from_numpy(samples))
        return None if codes is None else codes.numpy()

    def decoded(self, codes: NDArray[np.int64]) -> Any:
        if not isinstance(self._system, Decodes):
            raise ArgumentError(f"{self._spec.system} has no decoding to compare")
        return self._system.decoded(self._torch.from_numpy(codes)).numpy()

    def _run(self) -> None:
        self._work()
        if self._torch.cuda.is_initialized():
            self._torch.cuda.synchronize()

    def _peak_mib(self) -> float | None:
        if self._torch.cuda.is_initialized():
            return self._torch.cuda.max_memory_allocated() / 2**20
        return peak_mib()


def _reason(error: Exception) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else "no reason given"
    return text if isinstance(error, CodecError) else f"{type(error).__name__}: {text}"
