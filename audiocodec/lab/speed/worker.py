"""A process with one system in it, which works when it is told to and waits otherwise.

CUDA is waited for at the end of each turn.
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

ROOFLINE = {  # what is timed beside codecs: a class in roofline.py for each
    "product": "Product",
    "product_bfloat16": "Product",
    "convolutions": "Convolutions",
}
WARM_UP_S = 1.0  # of audio, before the first turn on a CPU


class WorkerFailed(CodecError):
    """A worker could not do what it was told; it may have ended."""


@dataclass(frozen=True)
class Turn:
    """One run of a system."""

    started: float  # seconds of a clock that all processes share
    ended: float
    peak_mib: float | None  # of the process so far; of the device's memory on CUDA

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started


class Worker:
    """The parent's end. Use it in a with-block: the process ends with it."""

    def __init__(self, spec: TimedSpec) -> None:
        """Start the process; the with-block begins when its system is made."""
        self.spec = spec
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, spec), daemon=True)
        self._process.start()
        theirs.close()
        self.setting: dict[str, Any] = {}

    def __enter__(self) -> "Worker":
        """Raises Unavailable where its system cannot run here, WorkerFailed."""
        try:
            self.setting = self._answer()
        except CodecError:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, workload: Workload) -> None:
        """Make the input and warm up. Raises WorkerFailed, for too large a workload as well."""
        self._ask("prepare", workload)

    def take_turn(self) -> Turn:
        """Run what was prepared, once. Raises WorkerFailed."""
        return self._ask("turn", None)

    def codes(self, samples: NDArray[np.float32]) -> Any:
        """Codes of samples (B, 1, n) as an array, or None; see TimedSystem. Raises WorkerFailed."""
        return self._ask("codes", samples)

    def decoded(self, codes: Any) -> Any:
        """Samples (B, 1, n) of an array of codes; see Decodes. Raises WorkerFailed."""
        return self._ask("decoded", codes)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process.is_alive()

    def close(self) -> None:
        """End the process."""
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
            hint = ", perhaps for want of memory" if code == -9 else ""
            raise WorkerFailed(f"its process ended with {code}{hint}") from error
        if kind == "unavailable":
            raise Unavailable(answer)
        if kind == "failed":
            raise WorkerFailed(answer)
        return answer


def _context() -> SpawnContext | ForkServerContext:
    """How processes start: on Linux as copies of one that has imported torch and done nothing."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    homes = sorted({entry.home.partition(".")[0] for entry in TIMED.values()})
    modules = [f"audiocodec.lab.systems.{home}" for home in homes]
    context.set_forkserver_preload([*modules, "audiocodec.lab.speed.roofline"])
    return context


def _serve(connection: Connection, spec: TimedSpec) -> None:
    """The worker's end: answer until the parent hangs up."""
    warnings.simplefilter("ignore")  # other packages' own
    try:
        service = _Service(spec)
        connection.send(("ready", service.setting()))
        while True:
            what, about = connection.recv()
            try:
                answer = getattr(service, what)(about)
            except Exception as error:  # whatever it is, the others are still to be measured
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
    """The system of a worker. Raises Unavailable, ModelError."""
    if spec.system in TIMED:
        system: TimedSystem = class_of(TIMED[spec.system]).for_timing(spec)
        return system
    from audiocodec.lab.speed import roofline

    made: TimedSystem = getattr(roofline, ROOFLINE[spec.system])(spec)
    return made


class _Service:
    """What a worker does when asked; a method for each question."""

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
        """What the figures depend on."""
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
        self._work = lambda: None  # lets go of the input before
        if not self._is_warm and not is_cuda:
            short = Workload(workload.operation, min(workload.audio_s, WARM_UP_S), workload.batch)
            self._system.prepare(short)()
            self._is_warm = True
        self._work = self._system.prepare(workload)
        if is_cuda:  # chooses its kernels for each shape
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
