"""Work in several processes, which end with us however we end.

May import: the standard library; torch only inside a worker.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE_S = 5.0


@contextmanager
def worker_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes of so many threads each; an exception in the block ends them at once."""
    context = _Recorded()
    with _left_to_us():  # multiprocessing starts a process of its own
        executor = ProcessPoolExecutor(
            n_processes, context, initializer=_begin, initargs=(n_threads,)
        )
    with executor as pool:
        try:
            yield pool
        except BaseException:
            _end(pool, context.started)
            raise


class _Recorded(SpawnContext):
    """Knows the processes of one pool; others of the same program are none of its business."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[BaseProcess] = []

    def Process(self, *arguments: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*arguments, **named)
        self.started.append(process)
        return process


def _end(pool: ProcessPoolExecutor, workers: list[BaseProcess]) -> None:
    """Workers clean up and go, or are killed: after a while, or when we are interrupted again."""
    out_of_patience = threading.Timer(PATIENCE_S, _kill, (workers,))
    out_of_patience.start()
    try:
        for worker in workers:
            worker.terminate()
        # Waits for the pool's own thread too: as Python ends it would wake a thread that is
        # closing what it is woken by, and print a traceback.
        pool.shutdown(cancel_futures=True)
    finally:
        out_of_patience.cancel()
        out_of_patience.join()
        _kill(workers)


def _kill(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()


def submit_all(
    pool: ProcessPoolExecutor,
    work: Callable[..., Result],
    items: Iterable[Item],
    *arguments: Any,
) -> dict[Future[Result], Item]:
    """Hand work(*arguments, item) to the pool for each item; workers start here."""
    with _left_to_us():
        return {pool.submit(_until_ended, work, arguments, item): item for item in items}


def _until_ended(work: Callable[..., Result], arguments: tuple[Any, ...], item: Any) -> Result:
    try:
        return work(*arguments, item)
    except SystemExit:  # ended by us, and the work has cleaned up; the pool would go on
        os._exit(1)


@contextmanager
def _left_to_us() -> Iterator[None]:
    """Processes that start here ignore Ctrl-C and a closed terminal, which reach them too."""
    is_main = threading.current_thread() is threading.main_thread()  # only it may say so
    names = ("SIGINT", "SIGHUP") if is_main else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ours = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _begin(n_threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["NUMBA_NUM_THREADS"] = str(n_threads)  # read when numba is imported
    import torch

    torch.set_num_threads(n_threads)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
