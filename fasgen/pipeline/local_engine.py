"""The local engine: the same workers and units, in threads of this process. For tests, debugging and small jobs."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from fasgen.errors import FasgenError, ResourceError
from fasgen.pipeline.calling import one_line
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import Broke, Doing, Done, EngineEvent, Joined, Key, Kind, State
from fasgen.pipeline.handshake import answer
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.watchdog import Watchdog
from fasgen.pipeline.worker import Worker


class LocalEngine:
    """Workers in this process. One that is killed takes the process along; only Ray's workers are replaced.

    Args:
        resources: at most one GPU; as many CPU workers as asked for, which share one interpreter.
        depth: tasks in flight on one worker.

    Raises:
        ResourceError: more than one GPU was asked for.
    """

    def __init__(self, resources: Resources, *, depth: int = 2) -> None:
        if resources.gpus > 1:
            raise ResourceError(f"--engine local uses one GPU, {resources.gpus} were asked for; use --gpus 1 or --engine ray")
        self.depth = depth
        self._events: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        self._tasks: dict[int, queue.SimpleQueue[UnitTask | None]] = {}
        self._threads: list[threading.Thread] = []
        self._workers: list[Worker] = []
        self._told: dict[int, State] = {}
        self._in_hand: dict[int, set[Key]] = {}
        self._hand = threading.Lock()
        self._stuck = False
        self._kinds = resources.kinds
        for number, kind in enumerate(self._kinds):
            watchdog = Watchdog(partial(self._give_up, number))
            worker = Worker(accelerator=kind == "accelerator", threads=resources.threads, watchdog=watchdog)
            self._workers.append(worker)
            self._tasks[number] = queue.SimpleQueue()
            # Daemons, so that a second Ctrl-C ends the process whatever they have in hand.
            self._threads += [threading.Thread(target=self._serve, args=(number, worker), daemon=True) for _ in range(depth)]
        for thread in self._threads:
            thread.start()

    def begin(self, terms: Mapping[Kind, Mapping[str, Any]]) -> None:
        """The workers join at once: they are there already."""
        for number, kind in enumerate(self._kinds):
            self._events.put(Joined(number, kind, socket.gethostname(), answer(terms[kind])))

    def submit(self, worker: int, task: UnitTask) -> None:
        """Hand ``task`` to the worker's threads."""
        with self._hand:
            self._in_hand.setdefault(worker, set()).add(task.key)
        self._tasks[worker].put(task)

    def _serve(self, number: int, worker: Worker) -> None:
        while (task := self._tasks[number].get()) is not None:
            self._run(number, worker, task)

    def _run(self, number: int, worker: Worker, task: UnitTask) -> None:
        event: EngineEvent
        try:
            event = Done(number, worker.run(task))
        except FasgenError as error:
            event = Broke(number, task.key, str(error))
        except BaseException as error:
            event = Broke(number, task.key, one_line(error))
        self._tell(number, task.key, event)

    def _tell(self, number: int, key: Key, event: EngineEvent) -> None:
        with self._hand:
            told = key not in self._in_hand[number]
            self._in_hand[number].discard(key)
        if not told:
            self._events.put(event)

    def _give_up(self, number: int, key: Key) -> None:
        """A thread cannot be ended from outside: the run ends instead, and the process with it."""
        self._stuck = True
        why = "a sample takes longer than time_limit, and --engine local cannot end it; --engine ray finds it and goes on"
        # The others of this worker wait for the one that hangs.
        for each in (key, *sorted(self._in_hand[number] - {key})):
            self._tell(number, each, Broke(number, each, why if each == key else f"{key.stage} unit {key.unit} hangs"))

    def wait(self, timeout: float) -> list[EngineEvent]:
        """The next event and all that came with it."""
        events: list[EngineEvent] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=timeout))
        while not self._events.empty():
            events.append(self._events.get())
        for number, worker in enumerate(self._workers):
            if self._told.get(number) != (state := worker.state()):
                self._told[number] = state
                events.append(Doing(number, state))
        return events

    def dismiss(self, worker: int) -> None:
        """Nothing more of this worker is heard; its threads end with what they have in hand."""
        with self._hand:
            self._in_hand[worker] = set()
        for _ in range(self.depth):
            self._tasks[worker].put(None)

    def expects(self, kind: Kind) -> str:
        """None: all have arrived as soon as they were heard."""
        return "" if self._events.empty() else "workers of this process"

    def close(self, *, now: bool = False) -> None:
        """End the threads; ``now`` does not wait for units in hand, which leave nothing or a commit as good as any."""
        for tasks in self._tasks.values():
            for _ in range(self.depth):
                tasks.put(None)
        for thread in () if now or self._stuck else self._threads:
            thread.join()
