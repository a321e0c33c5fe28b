"""The Ray engine: long-lived actors, one a GPU and a pool on CPU cores.

Ray starts processes, tells when one has died and carries task records of a few kilobytes; it schedules nothing, retries
nothing and sees no pixel.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fasgen.errors import FasgenError
from fasgen.pipeline.calling import DeviceLostError, one_line
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import DEVICES, KINDS, Broke, Died, Doing, Done, EngineEvent, Joined, Key, Kind, State, UnitReport
from fasgen.pipeline.handshake import answer
from fasgen.pipeline.ray_connection import connect
from fasgen.pipeline.resources import Resources, process_seconds, worker_environment
from fasgen.pipeline.watchdog import Watchdog
from fasgen.pipeline.worker import Worker

CONCURRENCY = 3
"""Threads of an actor: one unit loads, one computes, one writes."""

POLL = 1.0
"""Seconds between two questions to a worker what it does."""

LOOK = 5.0
"""Seconds between two looks at which nodes a cluster has."""

STUMBLES = 3
"""Workers of a kind that may die on a node, one after the other, while they come up."""


class _Actor:
    """What runs in a worker process."""

    def __init__(self, accelerator: bool, threads: int) -> None:
        # Nothing can be done about a call that does not return but to end its process; the engine replaces it.
        watchdog = Watchdog(lambda _: os._exit(87), fatal=True)
        self._worker = Worker(accelerator=accelerator, threads=threads, watchdog=watchdog)

    def greet(self, terms: Mapping[str, Any]) -> dict[str, Any]:
        """What this worker is and has, and where and since when it lives."""
        import ray

        here = ray.get_runtime_context()
        return answer(terms) | {
            "node_id": here.get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "seconds": process_seconds(),
        }

    def run(self, task: UnitTask) -> UnitReport:
        try:
            return self._worker.run(task)
        except DeviceLostError:
            # Nothing this process computes from here on can be believed; the engine replaces it.
            os._exit(86)

    def state(self) -> State:
        """Answered by a thread that has no unit, whatever the others do."""
        return self._worker.state()


class RayEngine:
    """Actors under numbers. One that dies is reported and replaced.

    Args:
        resources: single-GPU workers and CPU workers.
        depth: tasks in flight on one worker.
        environment: environment variables of the workers, besides those for threads and determinism.
        keep: leave Ray running after :meth:`close`, for another engine of this process.
    """

    def __init__(
        self, resources: Resources, *, depth: int = 2, environment: dict[str, str] | None = None, keep: bool = False
    ) -> None:
        connect(resources.address, resources)
        self.depth, self._keep = depth, keep
        self._resources, self._environment = resources, environment or {}
        self._numbers = itertools.count()
        self._actors: dict[int, tuple[Any, Kind]] = {}
        self._terms: Mapping[Kind, Mapping[str, Any]] = {}
        self._greeted: dict[Any, int] = {}
        self._hired: dict[int, float] = {}
        self._lives: dict[int, str] = {}
        self._unfit: set[str] = set()
        self._stumbles: Counter[tuple[Kind, str]] = Counter()
        self._pending: dict[Any, tuple[int, Key]] = {}
        self._events: list[EngineEvent] = []
        self._asked: dict[Any, int] = {}
        self._told: dict[int, State] = {}
        self._ask_at = 0.0
        self._look_at = time.monotonic() + LOOK

    def begin(self, terms: Mapping[Kind, Mapping[str, Any]]) -> None:
        """Ask for all workers; each joins when it lives and has answered."""
        self._terms = terms
        for kind in self._resources.kinds:
            self._hire(kind)

    def _hire(self, kind: Kind) -> None:
        import ray

        variables = {**worker_environment(self._resources.threads), **self._environment}
        options: dict[str, Any] = {
            "num_cpus": 0 if kind == "accelerator" else 1,
            "num_gpus": 1 if kind == "accelerator" else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            # And one that says what they do.
            "max_concurrency": max(CONCURRENCY, self.depth) + 1,
            "runtime_env": {"env_vars": variables},
        }
        if self._unfit:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._unfit))})"}
        actor_class = ray.remote(_Actor).options(**options)
        number = next(self._numbers)
        actor = actor_class.remote(kind == "accelerator", self._resources.threads)
        self._actors[number], self._hired[number] = (actor, kind), time.monotonic()
        self._greeted[actor.greet.remote(self._terms[kind])] = number

    def submit(self, worker: int, task: UnitTask) -> None:
        """Send ``task`` to the actor."""
        actor, _ = self._actors[worker]
        self._pending[actor.run.remote(task)] = worker, task.key

    def wait(self, timeout: float) -> list[EngineEvent]:
        """What the actors have finished, and which are gone."""
        import ray

        if self._events:
            timeout = 0
        if open_ := [*self._pending, *self._greeted]:
            ready, _ = ray.wait(open_, num_returns=1, timeout=timeout)
            if ready:
                ready, _ = ray.wait(open_, num_returns=len(open_), timeout=0)
            # One a call: its node may be found unfit, and who has come up there as well is not heard then.
            if came := next((reference for reference in ready if reference in self._greeted), None):
                self._meet(came)
            for reference in ready:
                # A death takes all tasks of its worker out of the pending ones.
                if reference in self._pending:
                    self._take(reference)
        elif timeout:
            time.sleep(timeout)
        self._hear()
        self._ask()
        self._grow()
        events, self._events = self._events, []
        return events

    def _ask(self) -> None:
        """Ask the workers what they do, once in a while; one that has not answered yet is not asked again."""
        if time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + POLL
        waiting = set(self._asked.values())
        for number in self._lives:
            actor, _ = self._actors[number]
            if number not in waiting:
                self._asked[actor.state.remote()] = number

    def _hear(self) -> None:
        """Take in what has been answered. A worker that cannot answer any more is found by its tasks."""
        import ray

        if not self._asked:
            return
        ready, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        for reference in ready:
            number = self._asked.pop(reference)
            with suppress(ray.exceptions.RayError):
                state = ray.get(reference)
                if number in self._lives and self._told.get(number) != state:
                    self._told[number] = state
                    self._events.append(Doing(number, state))

    def _meet(self, reference: Any) -> None:
        """A worker has answered, or never came up."""
        import ray

        number = self._greeted.pop(reference)
        actor, kind = self._actors[number]
        try:
            said = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            said = {"error": f"cannot answer: {one_line(error.cause)}", "node": "a node"}
        except ray.exceptions.RayError as error:
            found = re.search(r"\bip[=:] ?([0-9a-f.:]+)", str(error))
            place = found[1].rstrip(".:") if found else ""
            # One that has come back there under another id is looked at anew.
            there = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == place}
            known = bool(there) and there <= self._unfit
            self._stumbles[kind, place] += 1
            if known or self._stumbles[kind, place] < STUMBLES:
                self._replace(number)
                return
            if place and self._resources.address:
                self._shun(there)
                self._replace(number)
            else:
                del self._actors[number]
                ray.kill(actor)
            # The last line of a traceback is the error; the rest is Ray's.
            last = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
            why = f"does not start ({last}): is fasgen of the driver's version installed there, and the way to it open?"
            said = {"error": why, "node": place or "a node"}
            self._events.append(Joined(number, kind, said["node"], said))
            return
        if said.get("node_id") in self._unfit:
            self._replace(number)
            return
        node, address = said["node"], said.get("address", "")
        self._stumbles[kind, address] = 0
        self._lives[number] = said.get("node_id", "")
        seconds = min(said.get("seconds", 0.0), time.monotonic() - self._hired[number])
        self._events.append(Joined(number, kind, f"{node} ({address})" if address else node, said, seconds))

    def dismiss(self, worker: int) -> None:
        """End the worker; nobody is hired again on its node, and who comes up there yet is let go without a word."""
        import ray

        if worker not in self._actors:
            return
        self._pending = {reference: task for reference, task in self._pending.items() if task[0] != worker}
        if node := self._lives.pop(worker, ""):
            self._shun({node})
            self._replace(worker)
        else:
            actor, _ = self._actors.pop(worker)
            ray.kill(actor)

    def _shun(self, nodes: set[str]) -> None:
        """Hire nobody on these nodes any more. Who waits for room was asked for without knowing, and is asked for anew."""
        waiting: list[Any] = []
        for kind in KINDS:
            coming = [reference for reference, number in self._greeted.items() if self._actors[number][1] == kind]
            beyond = self._count(kind) - self._rooms(kind)
            # Ray serves those first who were asked for first.
            waiting += coming[-beyond:] if beyond > 0 else []
        self._unfit |= nodes
        for reference in waiting:
            self._replace(self._greeted.pop(reference))

    def _replace(self, worker: int) -> None:
        """End a worker and ask for another."""
        import ray

        actor, kind = self._actors.pop(worker)
        ray.kill(actor)
        self._hire(kind)

    def _count(self, kind: Kind) -> int:
        """Workers of ``kind`` that live or have been asked for."""
        return sum(other == kind for _, other in self._actors.values())

    def _grow(self) -> None:
        """Hire more where nodes have come, once in a while."""
        if not self._resources.growing or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK
        for kind, limit in self._resources.growing.items():
            rooms = self._rooms(kind)
            if kind == "cpu":
                # As when the run was planned: the loaders of GPU workers need cores.
                rooms -= self._rooms("accelerator") if self._resources.gpus else 0
            for _ in range(min(limit, rooms) - self._count(kind)):
                self._hire(kind)

    def _rooms(self, kind: Kind) -> int:
        """Workers of ``kind`` for which the nodes have room that are there and not unfit, whoever uses it now."""
        import ray

        return sum(
            int(node["Resources"].get(DEVICES[kind], 0))
            for node in ray.nodes()
            if node["Alive"] and node["NodeID"] not in self._unfit
        )

    def expects(self, kind: Kind) -> str:
        """Workers that have been asked for and have not joined; none where every node that could have them is unfit."""
        coming = sum(self._actors[number][1] == kind for number in self._greeted.values())
        rooms = self._rooms(kind)
        if not coming or (self._unfit and not rooms):
            return ""
        what = DEVICES[kind]
        workers = f"{coming} {what} worker" + "s" * (coming != 1)
        where = f"the cluster at {self._resources.address}" if self._resources.address else "this machine"
        if not rooms:
            return f"{workers}: {where} has no {what} yet"
        return f"{workers}: {where} has {rooms} {what} in all; they are starting, or others use it"

    def _take(self, reference: Any) -> None:
        import ray

        worker, key = self._pending.pop(reference)
        try:
            self._events.append(Done(worker, ray.get(reference)))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            text = str(cause) if isinstance(cause, FasgenError) else one_line(cause)
            self._events.append(Broke(worker, key, text))
        except ray.exceptions.RayError as error:
            self._bury(worker, one_line(error))

    def _bury(self, worker: int, why: str) -> None:
        import ray

        for reference, (owner, _) in list(self._pending.items()):
            if owner != worker:
                continue
            del self._pending[reference]
            try:
                # Its last reply may have arrived before it died.
                self._events.append(Done(worker, ray.get(reference, timeout=1)))
            except ray.exceptions.RayError:
                continue
        actor, kind = self._actors.pop(worker)
        del self._lives[worker]
        ray.kill(actor)
        self._events.append(Died(worker, why))
        self._hire(kind)

    def close(self, *, now: bool = False) -> None:
        """Let go of the actors and of Ray. Nothing that matters is in hand: what is not committed is made again."""
        import ray

        for actor, _ in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self._lives.clear()
        self._greeted.clear()
        self._pending.clear()
        self._asked.clear()
        if not self._keep:
            ray.shutdown()
