"""One driver at a time: refused while the owner lives, taken over when it is dead, told when it is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.lock import Owner, StoreLock


def path_of(store: Path) -> Path:
    return store / "runs" / "driver.lock"


def held_by(store: Path, owner: Owner) -> None:
    path_of(store).parent.mkdir(parents=True, exist_ok=True)
    path_of(store).write_text(json.dumps(asdict(owner)))


def quick(store: Path) -> StoreLock:
    return StoreLock(store, beat=0.05, stale=0.5, watch=0.3)


def test_a_second_driver_is_refused_by_name_and_the_lock_goes_with_its_owner(tmp_path: Path) -> None:
    with StoreLock(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()} on "), StoreLock(tmp_path):
        pass
    assert not path_of(tmp_path).exists()
    with StoreLock(tmp_path):
        assert json.loads(path_of(tmp_path).read_text())["process"] == os.getpid()
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_owner_that_was_killed_is_replaced_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from fasgen.manifests.lock import StoreLock\n"
        "with StoreLock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=f"process {child.pid}"), StoreLock(tmp_path):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    with StoreLock(tmp_path) as lock:
        assert not lock.lost
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_number_given_to_another_process_is_no_owner(tmp_path: Path) -> None:
    held_by(tmp_path, replace(Owner.here(), started="1", token="other"))
    with quick(tmp_path):
        pass


def test_elsewhere_the_heartbeat_decides(tmp_path: Path) -> None:
    other = replace(Owner.here(), host="elsewhere", machine="another boot", token="other")
    held_by(tmp_path, other)
    with pytest.raises(StoreError, match="on elsewhere"), quick(tmp_path):
        pass
    old = time.time() - 10
    os.utime(path_of(tmp_path), (old, old))
    with quick(tmp_path):
        pass


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_jumps_takes_no_store_from_a_living_driver(tmp_path: Path, jump: int) -> None:
    other = replace(Owner.here(), host="elsewhere", machine="another boot", token="other")
    held_by(tmp_path, other)
    end = threading.Event()

    def beat() -> None:
        count = 0
        while not end.wait(0.05):
            count += 1
            draft = tmp_path / "draft"
            draft.write_text(json.dumps(asdict(replace(other, beat=count))))
            then = time.time() + jump
            os.utime(draft, (then, then))
            draft.replace(path_of(tmp_path))

    thread = threading.Thread(target=beat)
    thread.start()
    time.sleep(0.1)
    try:
        with pytest.raises(StoreError, match="on elsewhere"), StoreLock(tmp_path, beat=0.05, stale=0.5, watch=5):
            pass
    finally:
        end.set()
        thread.join()


def test_a_lock_that_vanishes_is_told(tmp_path: Path) -> None:
    with quick(tmp_path) as lock:
        path_of(tmp_path).unlink()
        deadline = time.monotonic() + 20
        while not lock.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "unmounted" in lock.lost


def test_a_lock_taken_over_is_told_and_left_to_its_new_owner(tmp_path: Path) -> None:
    with quick(tmp_path) as lock:
        held_by(tmp_path, replace(Owner.here(), host="elsewhere", token="other"))
        deadline = time.monotonic() + 20
        while not lock.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "taken over by elsewhere" in lock.lost
    assert json.loads(path_of(tmp_path).read_text())["token"] == "other"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"host": 1}'])
def test_a_lock_that_nobody_can_have_written_is_no_lock(tmp_path: Path, data: bytes) -> None:
    path_of(tmp_path).parent.mkdir(parents=True)
    path_of(tmp_path).write_bytes(data)
    with quick(tmp_path):
        pass


def most_inside(store: Path, drivers: int = 8) -> int:
    """How many of several drivers that come at once hold the store together."""
    start, inside, most = threading.Barrier(drivers), 0, 0
    got: list[bool] = []
    guard = threading.Lock()

    def contend() -> None:
        nonlocal inside, most
        start.wait()
        try:
            with StoreLock(store):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.2)
                with guard:
                    inside -= 1
            got.append(True)
        except StoreError:
            got.append(False)

    threads = [threading.Thread(target=contend, name=str(number)) for number in range(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(got)
    return most


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    held_by(tmp_path, replace(Owner.here(), started="1", token="dead"))
    assert most_inside(tmp_path) == 1


def test_a_slow_driver_does_not_move_a_quicker_ones_lock_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(tmp_path, replace(Owner.here(), started="1", token="dead"))
    rename = Path.rename

    def slow(path: Path, target: Path) -> Path:
        if path.name != path_of(tmp_path).name:
            return rename(path, target)
        # All have seen the dead owner; each goes on a little after the one before, and lingers once it has moved a lock.
        time.sleep(0.02 * int(threading.current_thread().name))
        moved = rename(path, target)
        time.sleep(0.05)
        return moved

    monkeypatch.setattr(Path, "rename", slow)
    # Nor does it help that a winner happens to sweep the others' drafts.
    monkeypatch.setattr(atomic, "leftovers", lambda folder: [])
    assert most_inside(tmp_path, 5) == 1
