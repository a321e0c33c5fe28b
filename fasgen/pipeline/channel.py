"""A queue between two threads that is bounded by bytes, carries errors forward and hang-ups back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class HungUpError(Exception):
    """The other end has gone; raised to the thread that puts."""


class Channel(Generic[T]):
    """One thread puts, one iterates.

    Args:
        limit: bytes that may wait; one item always may, however large.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._held = 0
        self._closed = self._gone = False
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def put(self, item: T, size: int) -> None:
        """Append ``item`` of ``size`` bytes, waiting for room.

        Raises:
            HungUpError: nobody will take it.
        """
        with self._change:
            self._change.wait_for(lambda: self._gone or not self._items or self._held + size <= self._limit)
            if self._gone:
                raise HungUpError
            self._items.append((item, size))
            self._held += size
            self._change.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """No more will come; ``error`` is raised to the iterating thread after the last item."""
        with self._change:
            self._closed, self._error = True, error
            self._change.notify_all()

    def hang_up(self) -> None:
        """Nobody will take more."""
        with self._change:
            self._gone = True
            self._items.clear()
            self._held = 0
            self._change.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether the next item, or the end, is there already."""
        with self._change:
            return bool(self._items) or self._closed

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item, size = self._items.popleft()
                self._held -= size
                self._change.notify_all()
            yield item


class Ahead(Generic[T]):
    """Runs an iterable in a thread of its own, ahead of who iterates; a context manager that ends the thread.

    Args:
        items: what to run.
        size: bytes of an item.
        limit: bytes it may be ahead.
    """

    def __init__(self, items: Iterable[T], size: Callable[[T], int], limit: int) -> None:
        self._channel: Channel[T] = Channel(limit)
        self._thread = threading.Thread(target=self._run, args=(items, size), daemon=True)

    def _run(self, items: Iterable[T], size: Callable[[T], int]) -> None:
        try:
            for item in items:
                self._channel.put(item, size(item))
        except HungUpError:
            return
        except BaseException as error:
            self._channel.close(error)
        else:
            self._channel.close()

    def eagerly(self) -> Iterator[T | None]:
        """The items, with a ``None`` wherever the next one is yet to come, so that something else can be done meanwhile."""
        items = iter(self._channel)
        while True:
            if not self._channel.waiting:
                yield None
            try:
                item = next(items)
            except StopIteration:
                return
            yield item

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return iter(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.hang_up()
        self._thread.join()


class Behind(Generic[T]):
    """Calls ``take`` on each item in a thread of its own, behind who puts; leaving the context waits for the last.

    Args:
        take: what to do with an item.
        size: bytes of an item.
        limit: bytes it may lag behind.
    """

    def __init__(self, take: Callable[[T], None], size: Callable[[T], int], limit: int) -> None:
        self._take, self._size = take, size
        self._channel: Channel[T] = Channel(limit)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            for item in self._channel:
                self._take(item)
        except BaseException as error:
            self._error = error
            self._channel.hang_up()

    def put(self, item: T) -> None:
        """Hand ``item`` over; raises the error that ``take`` met."""
        try:
            self._channel.put(item, self._size(item))
        except HungUpError:
            if self._error is not None:
                raise self._error from None
            raise

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._channel.hang_up()
        self._channel.close()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error
