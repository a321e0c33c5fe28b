"""The short form of `make cluster`: in network namespaces, a node that does not see the store, and kills."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fasgen.cli import main
from tests.cluster import CASES, Case, arguments, differences, soak
from tests.nodes import Cluster
from tests.soak import content

SETTINGS = ("stage=align",)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes that are not up yet, where this machine lets us have some."""
    name = f"fgtry{os.getpid()}"
    if not shutil.which("ip") or os.geteuid():
        pytest.skip("network namespaces need root and iproute2")
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        pytest.skip("this machine has no network namespaces")
    subprocess.run(["ip", "netns", "del", name], check=True)
    try:
        made = Cluster(tmp_path, count=2).__enter__()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be bridged here: {error.stderr.decode()}")
    yield made
    made.__exit__()


def test_a_node_that_does_not_see_the_store_is_dismissed_by_name_and_no_kill_changes_a_byte(
    cluster: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["run", *arguments(tmp_path / "reference", SETTINGS), "--engine", "local", "--cpus", "1"])
    store = tmp_path / "diskless" / "store"
    CASES["diskless"](Case(cluster, store, SETTINGS))
    wanted = content(tmp_path / "reference")
    assert differences(wanted, store) == []
    assert soak(cluster, wanted, SETTINGS, kills=2, seed=1).total() == 2
