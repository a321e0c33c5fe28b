"""Which Ray cluster is meant, and whether it can be reached: each way in which it cannot has its own cause and cure.

Ray itself waits for minutes where nobody answers, and may end the process from one of its own threads. So the first knock is
a plain connection, and the second is Ray's in a process of its own, which may be ended.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

from fasgen.errors import ResourceError

LIMIT = 30.0
"""Seconds in which a cluster must answer."""

PORT = 6379
"""Where the head of a cluster listens unless it was told otherwise."""

SOCKET_BYTES = 107
"""The longest path of a socket on Linux."""

_RAY_PATH = len("/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1")

_CHILD = "import sys; from fasgen.pipeline.ray_connection import knock; knock(sys.argv[1])"

_TOKEN = (
    "it asks for a token, and has not got the right one: give the one of its head by RAY_AUTH_TOKEN_PATH=FILE, or put it into "
    "~/.ray/auth_token here as it is there"
)


def address_of(given: str) -> str:
    """The address that is meant: what was given, else Ray's own variable ``RAY_ADDRESS``, which `ray job submit` sets.

    Returns:
        ``auto`` or ``HOST:PORT``; empty for Ray on this machine, for this run alone.

    Raises:
        ResourceError: it is none at which a head listens.
    """
    address, named = given or os.environ.get("RAY_ADDRESS", ""), "--address" if given else "RAY_ADDRESS"
    if address in {"", "local"}:
        return ""
    if address == "auto":
        # Ray would ask its variable as well, which may name a cluster elsewhere.
        return "auto" if os.environ.get("RAY_ADDRESS", "auto") in {"", "auto", "local"} else address_of("")
    if "://" in address:
        raise ResourceError(
            f"{named} {address} is the address of Ray Client or of the dashboard. Give the head's, HOST:{PORT}, on a machine "
            f"of the cluster; from elsewhere: ray job submit --address http://HOST:8265 -- fasgen run"
        )
    # An address of IPv6 has colons of its own, and stands in brackets before a port.
    has_port = address.count(":") == 1 or "]:" in address
    host, _, port = address.rpartition(":") if has_port else (address, "", str(PORT))
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ResourceError(f"{named} {address} is no address: give HOST, HOST:PORT or auto")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def use_token() -> None:
    """Show the token that lies ready, as Ray does of itself where it finds the cluster on its own. A cluster that asks for none
    does not mind."""
    names = os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_TOKEN_PATH")
    if "RAY_AUTH_MODE" not in os.environ and (any(names) or Path("~/.ray/auth_token").expanduser().is_file()):
        os.environ["RAY_AUTH_MODE"] = "token"


def check_reachable(address: str, limit: float = LIMIT) -> None:
    """Refuse a cluster that does not answer within ``limit`` seconds, with the cause.

    Raises:
        ResourceError: it does not.
    """
    deadline = time.monotonic() + limit
    if address != "auto":
        _connect(address, deadline)
    _knock(address, deadline, limit)


def _connect(address: str, deadline: float) -> None:
    """A plain connection."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    where = f"the Ray cluster at {address} cannot be reached"
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise ResourceError(f"{where}: nobody knows the name {host} ({error.strerror}): check --address") from None
    told: OSError | None = None
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(max(0.1, deadline - time.monotonic()))
                connection.connect(place)
            return
        except OSError as error:
            told = error
    if isinstance(told, ConnectionRefusedError):
        raise ResourceError(
            f"{where}: nothing listens there. Start the head with: ray start --head --port {port}, or mend --address"
        )
    if isinstance(told, TimeoutError):
        raise ResourceError(f"{where}: no answer for {LIMIT:.0f} s. Is {host} up, and is port {port} open to this machine?")
    raise ResourceError(f"{where}: {told.strerror if told else 'it has no address'}. Is there a way from here to {host}?")


def _knock(address: str, deadline: float, limit: float) -> None:
    """Ray's own connection, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_JOB_CONFIG_JSON_ENV_VAR"}
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        said, ended = _listen(child, deadline)
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
    if ended and child.returncode == 0:
        return
    where = f"the Ray cluster at {address} cannot be used" if address != "auto" else "no Ray cluster can be used from here"
    raise ResourceError(f"{where}: {explain(said, '' if ended else f'it does not answer within {limit:.0f} s')}")


def _listen(child: subprocess.Popen[bytes], deadline: float) -> tuple[str, bool]:
    """What a process says until it ends, until it is refused, or until the deadline; and whether it ended."""
    said = b""
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            if not (some := os.read(child.stdout.fileno(), 1 << 16)):
                child.wait(max(0.1, left))
                return said.decode("utf-8", "replace"), True
            said += some
            if b"Unauthenticated" in said:
                break
    return said.decode("utf-8", "replace"), False


_CAUSES = (
    (r"InvalidAuthToken|Unauthenticated|no authentication token", _TOKEN),
    (
        r"Could not find any running Ray instance",
        "no Ray runs on this machine. Start it with: ray start --head, or give the head's address: --address HOST:PORT",
    ),
    (
        r"(?s)Version mismatch: The cluster was started with:\s+Ray: (\S+)\s+Python: (\S+)\s.*?Ray: (\S+)\s+Python: (\S+)",
        r"it runs Ray \1 on Python \2, here are Ray \3 on Python \4. Install the same on every machine",
    ),
    (
        r"timed out during startup",
        "it did not come up within two minutes. Is the machine overloaded, or the disk of TMPDIR full? More time: "
        "RAY_raylet_start_wait_time_s=600",
    ),
    (
        r"(?i)can(?:no|')t find a? ?node|no node|node_ip_address|does not (?:match|belong)|is not (?:a|part of)|find.*raylet",
        "this machine is no node of it. Join it first (ray start --address HOST:PORT), or hand the run in from outside: "
        "ray job submit",
    ),
)


def explain(said: str, otherwise: str = "") -> str:
    """Cause and cure in what Ray has said.

    Args:
        said: all that it has said.
        otherwise: the cause where none is found in it; empty: its last line.
    """
    for pattern, cause in _CAUSES:
        if found := re.search(pattern, said):
            return found.expand(cause) if "\\1" in cause else cause
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it says nothing"
    return f"{otherwise}. Is it Ray that listens there? Ray's last word: {last}" if otherwise else last


def check_short_folder() -> None:
    """Refuse a folder for temporary files under which Ray's sockets get too long a name.

    Raises:
        ResourceError: it is too long.
    """
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    folder = os.environ.get(name, "")
    if name and len(os.fsencode(folder)) + _RAY_PATH > SOCKET_BYTES:
        raise ResourceError(
            f"{name}={folder} is too long for Ray: names of sockets have {SOCKET_BYTES} bytes at most, and Ray puts "
            f"{_RAY_PATH} of its own behind it. Set RAY_TMPDIR to a shorter folder, RAY_TMPDIR=/tmp for example"
        )
