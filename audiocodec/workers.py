"""A process pool whose workers never outlive the parent."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE_S = 5.0  # for workers to clean up before they are killed


@contextmanager
def worker_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Start a pool of new processes with n_threads each; an exception in the block ends them."""
    context = _TrackingContext()
    with _interrupts_deferred():  # multiprocessing starts its resource tracker here
        executor = ProcessPoolExecutor(
            n_processes, context, initializer=_begin, initargs=(n_threads,)
        )
    # Leaving the executor's block waits for its management thread. Otherwise Python, on its way
    # out, could wake that thread while it closes its wakeup pipe, and print a traceback.
    with executor as pool:
        try:
            yield pool
        except BaseException:
            _end([worker for worker in context.workers if worker.pid is not None])
            raise


class _TrackingContext(SpawnContext):
    """Records the processes of one pool, so that only they are ended."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[BaseProcess] = []

    def Process(self, *arguments: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*arguments, **named)
        self.workers.append(process)
        return process


def _end(workers: list[BaseProcess]) -> None:
    """Ask workers to exit; kill them after PATIENCE_S, or at another interrupt."""
    try:
        for worker in workers:
            worker.terminate()
        until_s = time.monotonic() + PATIENCE_S
        for worker in workers:
            worker.join(max(0.0, until_s - time.monotonic()))
    finally:
        for worker in workers:
            worker.kill()


def each_done(
    pool: ProcessPoolExecutor,
    work: Callable[..., Result],
    items: Iterable[Item],
    *arguments: Any,
) -> Iterator[tuple[Item, Result]]:
    """Run work(*arguments, item) in the pool for each item; yield items and results when done.

    Raises what `work` raises, or BrokenProcessPool if a process dies.
    """
    # concurrent.futures.as_completed briefly holds the locks of all futures; an interrupt there
    # would leave the pool waiting for them forever.
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    with _interrupts_deferred():  # processes start here
        item_of = {pool.submit(_until_ended, work, arguments, item): item for item in items}
    for future in item_of:
        future.add_done_callback(done.put)
    for _ in item_of:
        future = done.get()
        yield item_of[future], future.result()


def _until_ended(work: Callable[..., Result], arguments: tuple[Any, ...], item: Any) -> Result:
    """Run one task. A running task unwinds on SIGTERM; an idle worker exits at once."""
    try:
        signal.signal(signal.SIGTERM, _leave)
        try:
            return work(*arguments, item)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit:  # the pool would treat it as a result and go on
        os._exit(1)


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the pool sends it again while we clean up
    sys.exit(1)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C and SIGHUP to the end of the block; processes started in it block them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = (signal.SIGINT, signal.SIGHUP)
    is_main = threading.current_thread() is threading.main_thread()  # others may not set handlers
    came: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # processes inherit this
    # another thread, such as a progress bar's, may still receive them
    ours = {n: signal.signal(n, lambda n, _: came.append(n)) for n in numbers if is_main}
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for n in came:
            signal.raise_signal(n)


def _begin(n_threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["NUMBA_NUM_THREADS"] = str(n_threads)  # read when numba is imported
    import torch

    torch.set_num_threads(n_threads)


def _end_with_parent() -> None:
    """Exit when the parent is gone; otherwise a worker would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
