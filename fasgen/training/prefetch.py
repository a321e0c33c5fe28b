"""Batches made ahead of the step that takes them, on threads, where the device would wait for them.

Every batch depends on its step alone, so that threads may make several at once and in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Iterates over ``make(start)``, ``make(start + 1)``, ... in order, with `ahead` of them under way.

    An error of ``make`` is raised when its step is reached. Use as a context manager: leaving it ends the threads.

    Args:
        make: batch of a step; called from several threads at once.
        start: first step.
        ahead: threads, and batches that are under way or waiting.
    """

    def __init__(self, make: Callable[[int], T], start: int, ahead: int) -> None:
        self._make, self._next = make, start
        self._pool = ThreadPoolExecutor(ahead, "batches")
        self._waiting: deque[Future[T]] = deque()
        for _ in range(ahead):
            self._order()

    def _order(self) -> None:
        self._waiting.append(self._pool.submit(self._make, self._next))
        self._next += 1

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        batch = self._waiting.popleft().result()
        self._order()
        return batch

    def __enter__(self) -> Prefetcher[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
