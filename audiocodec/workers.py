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
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes of so many threads each; an exception in the block ends them at once."""
    with ProcessPoolExecutor(
        n_processes, get_context("spawn"), initializer=_begin, initargs=(n_threads,)
    ) as pool:
        try:
            yield pool
        except BaseException:
            for worker in active_children():
                worker.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def submit_all(
    pool: ProcessPoolExecutor,
    work: Callable[..., Result],
    items: Iterable[Item],
    *arguments: Any,
) -> dict[Future[Result], Item]:
    """Hand work(*arguments, item) to the pool for each item.

    Workers start here; they inherit that Ctrl-C, which reaches them too, is left to us.
    """
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return {pool.submit(work, *arguments, item): item for item in items}
    finally:
        signal.signal(signal.SIGINT, ours)


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
