"""Ray comes up on this machine, or a cluster is joined."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import Any

from fasgen.errors import ResourceError
from fasgen.pipeline.calling import one_line
from fasgen.pipeline.cluster import check_reachable, check_short_folder, explain, use_token
from fasgen.pipeline.resources import Have, Resources

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
