"""The local engine: the same workers and units, in threads of this process. For tests, debugging and small jobs."""

from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor

from fasgen.errors import FasgenError, ResourceError
from fasgen.pipeline.calling import one_line
from fasgen.pipeline.engine import EngineEvent, Failed, Finished, UnitTask
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.schedule import Joined, Kind
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
        kinds: list[Kind] = ["accelerator"] * resources.gpus + ["cpu"] * resources.cpus
        self._events: queue.SimpleQueue[EngineEvent] = queue.SimpleQueue()
        self._workers: dict[int, tuple[Worker, ThreadPoolExecutor]] = {}
        for number, kind in enumerate(kinds):
            worker = Worker(accelerator=kind == "accelerator", threads=resources.threads)
            self._workers[number] = worker, ThreadPoolExecutor(depth, thread_name_prefix=f"worker-{number}")
            self._events.put(Joined(number, kind))

    def submit(self, worker: int, task: UnitTask) -> None:
        """Hand ``task`` to the worker's threads."""
        runner, threads = self._workers[worker]
        threads.submit(self._run, worker, runner, task)

    def _run(self, number: int, worker: Worker, task: UnitTask) -> None:
        try:
            self._events.put(Finished(number, worker.run(task)))
        except FasgenError as error:
            self._events.put(Failed(number, task.key, str(error)))
        except BaseException as error:
            self._events.put(Failed(number, task.key, one_line(error)))

    def wait(self, timeout: float) -> list[EngineEvent]:
        """The next event and all that came with it."""
        try:
            events = [self._events.get(timeout=timeout)]
        except queue.Empty:
            return []
        while not self._events.empty():
            events.append(self._events.get())
        return events

    def close(self, *, now: bool = False) -> None:
        """End the threads; ``now`` leaves a unit in hand to end by itself, its commit is as good as any."""
        for _, threads in self._workers.values():
            threads.shutdown(wait=not now, cancel_futures=True)
