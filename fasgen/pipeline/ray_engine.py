"""The Ray engine: long-lived actors, one a GPU and a pool on CPU cores. The only module that imports ray.

Ray starts processes, tells when one has died and carries task records of a few kilobytes; it schedules nothing, retries
nothing and sees no pixel.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import Any

from fasgen.errors import FasgenError, ResourceError
from fasgen.pipeline.calling import DeviceLostError, one_line
from fasgen.pipeline.cluster import check_reachable, check_short_folder, explain, use_token
from fasgen.pipeline.engine import Arrived, Doing, EngineEvent, Failed, Finished, Lost, State, UnitReport, UnitTask
from fasgen.pipeline.handshake import answer
from fasgen.pipeline.rehearsal import LIMIT, Rehearsal, rates
from fasgen.pipeline.resources import Have, Resources, process_seconds, worker_environment
from fasgen.pipeline.schedule import DEVICES, Key, Kind
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

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60: leave CUDA_VISIBLE_DEVICES alone in actors that ask for no GPU, and do not look for uv.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    # Seconds for Ray to come up here; a machine that is busy takes longer than the 30 that it would wait.
    "RAY_raylet_start_wait_time_s": "120",
}


def connect(address: str = "", resources: Resources | None = None) -> Have:
    """Start Ray on this machine, on the loopback interface only, or join the cluster at ``address``; what it has.

    Args:
        address: a running cluster's address, as `fasgen.pipeline.cluster.address_of` gives it; empty to start one here.
        resources: what to start here; ignored with an address.

    Raises:
        ResourceError: Ray is not there or does not start, or the cluster cannot be used.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if not address:
        # Ray's own switch for machines that form no cluster: every socket is bound to the loopback interface. It is read
        # when ray is imported; `_node_ip_address="127.0.0.1"` would be turned into the outer address.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = _ray()
    if not ray.is_initialized():
        if address:
            use_token()
            _read_token_again()
            check_reachable(address)
        else:
            check_short_folder()
        try:
            with _own_signals():
                _start(address, resources)
        except Exception as error:
            # Ray raises bare exceptions where its own processes do not come up.
            where = f"the Ray cluster at {address}" if address else "Ray on this machine"
            told = explain(f"{error}\n{one_line(error)}")
            raise ResourceError(f"{where} cannot be used: {told}; --engine local does without it") from error
    total = ray.cluster_resources()
    accelerators = sorted(name.removeprefix("accelerator_type:") for name in total if name.startswith("accelerator_type:"))
    where = f"the cluster at {address}" if address else "this machine"
    return Have(int(total.get("GPU", 0)), int(total.get("CPU", 0)), ", ".join(accelerators), where, tuple(accelerators))


def _ray() -> Any:
    """The module ray, if it is Ray."""
    try:
        import ray
    except ImportError as error:
        raise ResourceError(f"Ray cannot be imported ({error}): pip install ray, or use --engine local") from error
    if not hasattr(ray, "init"):
        places = [*getattr(ray, "__path__", []), getattr(ray, "__file__", None) or ""]
        raise ResourceError(
            f"the module ray at {places[0]} is not Ray and hides it: take it off PYTHONPATH or away from the current folder, "
            "or use --engine local"
        )
    return ray


def _start(address: str, resources: Resources | None) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address:
        ray.init(address=address, **options)
        return
    if resources is not None:
        options |= {"num_cpus": max(1, resources.cpus), "num_gpus": resources.gpus}
    with _token_of_its_own():
        ray.init(address="local", include_dashboard=False, **options)


@contextmanager
def _token_of_its_own() -> Iterator[None]:
    """A token for Ray on this machine that lies in no file: what Ray starts inherits it, and nobody else can read it.

    Ray would write one into the home folder, readable by all, which may not be writable and which any cluster that is started
    later would ask for.
    """
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    before = {name: os.environ.get(name) for name in names}
    os.environ.setdefault("RAY_AUTH_TOKEN", _token())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _token() -> str:
    # One a process: Ray remembers the first that it has read.
    return secrets.token_hex(32)


def _read_token_again() -> None:
    """Let Ray look at its variables and files again: Ray on this machine may have been used before, by a token of its own."""
    with suppress(ImportError, AttributeError):
        inside = import_module("ray._raylet")
        inside.Config.initialize("")
        inside.AuthenticationTokenLoader.instance().reset_cache()


def knock(address: str) -> None:
    """Connect to a cluster and let go of it; for a process of its own.

    Raises:
        SystemExit: it cannot be used; the message says what Ray says.
    """
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        ray.shutdown()
    except Exception as error:
        # Whatever it is, its text is all that is wanted.
        raise SystemExit(f"{error.__cause__ or ''}\n{error}") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts, and what it starts would end with the terminal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # What is started inherits that it ignores a hang-up; the driver ends it in good order.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    except SystemExit:
        # Ray's handler has heard a SIGTERM while Ray came up.
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def rehearse(job: Rehearsal, model: str, *, gpus: int = 1, environment: dict[str, str] | None = None) -> dict[int, float]:
    """Rehearse on a GPU of the connected cluster; images a second by batch.

    Args:
        job: what is rehearsed.
        model: the kind of GPU, as the cluster names it; any if it names none.
        gpus: GPUs to ask for; 0 rehearses on a CPU.
        environment: environment variables, besides those for threads and determinism.

    Raises:
        ResourceError: it could not be measured.
    """
    import ray

    variables = {**worker_environment(job.threads), **(environment or {})}
    options: dict[str, Any] = {"num_gpus": gpus, "max_retries": 0, "max_calls": 1, "runtime_env": {"env_vars": variables}}
    if gpus and f"accelerator_type:{model}" in ray.cluster_resources():
        options["accelerator_type"] = model
    reference = ray.remote(**options)(_rates).remote(job, "cuda" if gpus else "cpu")
    try:
        measured: dict[int, float] = ray.get(reference, timeout=LIMIT)
    except ray.exceptions.RayError as error:
        ray.cancel(reference, force=True)
        raise ResourceError(one_line(getattr(error, "cause", None) or error)) from error
    if not measured:
        raise ResourceError("not even the smallest batch fits into memory")
    return measured


def _rates(job: Rehearsal, device: str) -> dict[int, float]:
    import torch

    return dict(rates(job, torch.device(device)))


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
        """Ask for all workers; each arrives when it lives and has answered."""
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
            for reference in ready:
                # A death takes all tasks of its worker out of the pending ones.
                if reference in self._greeted:
                    self._meet(reference)
                elif reference in self._pending:
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
            self._stumbles[kind, place] += 1
            del self._actors[number]
            ray.kill(actor)
            if self._stumbles[kind, place] < STUMBLES:
                self._hire(kind)
                return
            if place and self._resources.address:
                # Nobody is hired there again, but elsewhere.
                self._unfit |= {node["NodeID"] for node in ray.nodes() if node["NodeManagerAddress"] == place}
                if self._rooms(kind):
                    self._hire(kind)
            # The last line of a traceback is the error; the rest is Ray's.
            last = [line.strip() for line in str(error).splitlines() if line.strip()][-1]
            why = f"does not start ({last}): is fasgen of the driver's version installed there, and the way to it open?"
            said = {"error": why, "node": place or "a node"}
            self._events.append(Arrived(number, kind, said["node"], said))
            return
        node, address = said["node"], said.get("address", "")
        self._stumbles[kind, address] = 0
        self._lives[number] = said.get("node_id", "")
        seconds = min(said.get("seconds", 0.0), time.monotonic() - self._hired[number])
        self._events.append(Arrived(number, kind, f"{node} ({address})" if address else node, said, seconds))

    def dismiss(self, worker: int) -> None:
        """End the worker; nobody is hired again on its node."""
        import ray

        if worker not in self._actors:
            return
        actor, kind = self._actors.pop(worker)
        if node := self._lives.pop(worker, ""):
            self._unfit.add(node)
        self._pending = {reference: task for reference, task in self._pending.items() if task[0] != worker}
        ray.kill(actor)
        if node and self._rooms(kind):
            self._hire(kind)

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
            hired = sum(other == kind for _, other in self._actors.values())
            for _ in range(min(limit, rooms) - hired):
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
        """Workers that have been asked for and have not arrived; none where every node that could have them is unfit."""
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
            self._events.append(Finished(worker, ray.get(reference)))
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            text = str(cause) if isinstance(cause, FasgenError) else one_line(cause)
            self._events.append(Failed(worker, key, text))
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
                self._events.append(Finished(worker, ray.get(reference, timeout=1)))
            except ray.exceptions.RayError:
                continue
        actor, kind = self._actors.pop(worker)
        del self._lives[worker]
        ray.kill(actor)
        self._events.append(Lost(worker, why))
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
