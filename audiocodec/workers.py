"""Work in several processes, which end with us however we end."""

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
PATIENCE_S = 5.0


@contextmanager
def worker_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes of so many threads each; an exception in the block ends them at once."""
    context = _TrackingContext()
    with _left_to_us():  # multiprocessing starts a process of its own
        executor = ProcessPoolExecutor(
            n_processes, context, initializer=_begin, initargs=(n_threads,)
        )
    # Leaving waits for the pool's own thread too: as Python ends it would wake a thread that is
    # closing what it is woken by, and print a traceback.
    with executor as pool:
        try:
            yield pool
        except BaseException:
            _end([worker for worker in context.workers if worker.pid is not None])
            raise


class _TrackingContext(SpawnContext):
    """Knows the processes of one pool; others of the same program are none of its business."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[BaseProcess] = []

    def Process(self, *arguments: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*arguments, **named)
        self.workers.append(process)
        return process


def _end(workers: list[BaseProcess]) -> None:
    """Workers clean up and go, or are killed: after a while, or when we are interrupted again."""
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
    """Do work(*arguments, item) in the pool for each item; gives each with what came of it.

    In the order in which they are done. Raises what a work raises, BrokenProcessPool where a
    process dies.
    """
    # concurrent.futures.as_completed holds the locks of all futures for a moment; an interrupt
    # in it would leave the pool waiting for them.
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    with _left_to_us():  # processes start here
        item_of = {pool.submit(_until_ended, work, arguments, item): item for item in items}
    for future in item_of:
        future.add_done_callback(done.put)
    for _ in item_of:
        future = done.get()
        yield item_of[future], future.result()


def _until_ended(work: Callable[..., Result], arguments: tuple[Any, ...], item: Any) -> Result:
    """A work that is ended cleans up; between two of them a process is ended at once."""
    try:
        signal.signal(signal.SIGTERM, _leave)
        try:
            return work(*arguments, item)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit:  # the pool would take it for a result and go on
        os._exit(1)


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the pool asks again while we clean up
    sys.exit(1)


@contextmanager
def _left_to_us() -> Iterator[None]:
    """Ctrl-C and a closed terminal wait until the block ends; processes started here miss them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    numbers = (signal.SIGINT, signal.SIGHUP)
    is_main = threading.current_thread() is threading.main_thread()  # only it may set handlers
    came: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # processes inherit this
    # another thread of ours, such as a progress bar's, may still receive them
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
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
