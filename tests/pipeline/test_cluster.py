"""Addresses, and clusters that cannot be reached: each with its cause, and in time."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasgen.errors import ResourceError
from fasgen.pipeline import cluster
from fasgen.pipeline.cluster import address_of, check_reachable, check_short_folder, explain, use_token
from fasgen.pipeline.resources import Have, claim


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@pytest.mark.parametrize(
    ("given", "variable", "meant"),
    [
        ("", "", ""),
        ("", "head:6380", "head:6380"),
        ("local", "head:6380", ""),
        ("node", "head:6380", "node:6379"),
        ("node:7", "", "node:7"),
        ("10.0.0.1", "", "10.0.0.1:6379"),
        ("fd00::1", "", "[fd00::1]:6379"),
        ("[fd00::1]:7", "", "[fd00::1]:7"),
        ("auto", "", "auto"),
        ("auto", "head:6380", "head:6380"),
        ("", "auto", "auto"),
    ],
)
def test_addresses(given: str, variable: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    assert address_of(given) == meant


@pytest.mark.parametrize("given", ["ray://head:10001", "http://head:8265", "head:99999", ":6379"])
def test_what_is_no_heads_address_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceError, match="--address"):
        address_of(given)
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(ResourceError, match="RAY_ADDRESS"):
        address_of("")


def test_where_nothing_listens_is_said_at_once(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    began = time.monotonic()
    with pytest.raises(ResourceError, match=f"nothing listens there. Start the head with: ray start --head --port {port}"):
        check_reachable(f"127.0.0.1:{port}")
    assert time.monotonic() - began < 5


def test_a_name_that_nobody_knows_is_said() -> None:
    with pytest.raises(ResourceError, match=r"nobody knows the name head\.invalid"):
        check_reachable("head.invalid:6379")


def test_what_listens_and_is_not_ray_is_given_up(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CHILD", "import time; print('still trying', flush=True); time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(ResourceError, match=r"does not answer within 2 s. Is it Ray that listens there\? .* still trying"):
        check_reachable(f"127.0.0.1:{listener.getsockname()[1]}", limit=2)
    assert time.monotonic() - began < 20


def test_a_wrong_token_is_known_before_the_limit(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Failed to get cluster ID from GCS server: Unauthenticated: RPC error: InvalidAuthToken"
    monkeypatch.setattr(cluster, "_CHILD", f"import time; print({said!r}, flush=True); time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(ResourceError, match=r"asks for a token, and has not got the right one.*RAY_AUTH_TOKEN_PATH=FILE"):
        check_reachable(f"127.0.0.1:{listener.getsockname()[1]}")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.10.2\n"
            "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.2\n",
            "it runs Ray 2.50.0 on Python 3.10.2, here are Ray 2.60.0 on Python 3.11.2. Install the same on every machine",
        ),
        ("ConnectionError: Could not find any running Ray instance. Please", "no Ray runs on this machine. Start it with"),
        (
            "Exception: The current node timed out during startup. This",
            "it did not come up within two minutes. Is the machine overloaded",
        ),
        ("one\ntwo\n", "two"),
    ],
)
def test_causes(said: str, cause: str) -> None:
    assert explain(said).startswith(cause)


def test_a_token_that_lies_ready_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    monkeypatch.setenv("HOME", str(tmp_path))
    use_token()
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("word")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    use_token()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
    monkeypatch.delenv("RAY_AUTH_MODE")
    use_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    monkeypatch.delenv("RAY_AUTH_MODE")


def test_a_folder_too_long_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_short_folder()
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 80)
    with pytest.raises(ResourceError, match=r"TMPDIR=/tmp/x+ is too long for Ray.*Set RAY_TMPDIR"):
        check_short_folder()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    check_short_folder()


def test_another_module_of_the_name_is_told_from_ray(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("__version__ = '1.0'\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from fasgen.pipeline.ray_connection import connect\n"
        "from fasgen.errors import ResourceError\n"
        "try:\n    connect()\nexcept ResourceError as error:\n    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"the module ray at {tmp_path / 'ray'} is not Ray and hides it" in told


def test_of_a_cluster_more_may_be_asked_for_than_is_there() -> None:
    there = Have(0, 2, where="the cluster at head:6379")
    asked = claim(there, 4, 8, address="head:6379")
    assert (asked.gpus, asked.cpus, asked.growing) == (4, 8, {})
    assert claim(there, 0, None, address="head:6379").growing == {"cpu": sys.maxsize}
    with pytest.raises(ResourceError, match="asked for 8 CPU cores"):
        claim(Have(0, 2), 0, 8)
