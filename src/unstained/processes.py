"""Tasks in worker processes: results in order, and nobody left behind."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from unstained.errors import UnstainedError

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    function: Callable[[T], R], tasks: Iterable[T], workers: int, *, what: str, remedy: str
) -> Generator[R, None, None]:
    """Apply a function to every task in `workers` processes; results come in the tasks' order.

    Only a few tasks are taken from `tasks` ahead of the results. Closing the iterator stops the
    workers. With one worker this process does the work.

    Args:
        function: of a module, so that workers can import it.
        tasks: picklable.
        workers: how many processes.
        what: whose workers they are, for people, e.g. 'ingest'.
        remedy: what helps where one is killed for want of memory.

    Raises:
        UnstainedError: what the function raised, or a worker was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["__main__", function.__module__])
    older = set(mp.active_children())
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    pending: deque[Future[R]] = deque()
    try:
        for task in tasks:
            pending.append(executor.submit(function, task))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise UnstainedError(
            f"a worker process of {what} was killed, probably for want of memory", remedy
        ) from error
    finally:
        if pending:  # not finished: workers may be deep in a task
            for child in set(mp.active_children()) - older:
                child.terminate()
        executor.shutdown(wait=True, cancel_futures=True)


def elsewhere(function: Callable[..., R], *arguments: object) -> R:
    """Call a function in a process of its own, so that what it imports does not stay here.

    Args:
        function: of a module, so that the process can import it.
        arguments: picklable.
    """
    context = mp.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_follow_parent) as executor:
        return executor.submit(function, *arguments).result()


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Blosc makes a lock at its first use. Made under 'fork' it leaves nothing behind; otherwise a
    # worker that is stopped makes Python warn of a leaked semaphore.
    mp.set_start_method("fork", force=True)
    parent = mp.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
