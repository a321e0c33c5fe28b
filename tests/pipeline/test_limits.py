"""Memory that runs out, samples that never end, a second driver, a polite kill."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.errors import StoreError
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.unit import unit_facts
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.calling import ladder
from fasgen.pipeline.crumbs import late_mark
from fasgen.pipeline.events import Key
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.schedule import Assign, Budget
from fasgen.pipeline.watchdog import Watchdog
from fasgen.pipeline.worker import Worker
from fasgen.sources.config import SourceConfig
from tests.soak import family, sweep


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", 10)


@pytest.mark.parametrize(("batch", "rungs"), [(16, [16, 8, 4, 2, 1]), (12, [12, 6, 3, 1]), (7, [7, 1]), (1, [1])])
def test_the_ladder_goes_down_by_divisors(batch: int, rungs: list[int]) -> None:
    steps = ladder(toy.SHRINK, toy.ShrinkConfig(batch=batch), batch)
    assert [size for size, _ in steps] == rungs
    assert [toy.SHRINK.batch(config) for _, config in steps] == rungs


def test_a_stage_whose_batch_nobody_can_set_has_one_rung() -> None:
    assert len(ladder(toy.NOISY, toy.NoisyConfig(), 3)) == 1


def test_memory_that_runs_out_makes_the_unit_in_smaller_batches_and_says_so(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy.plan(toy.configure(source), tmp_path / "store")
    made.write()
    sizes: list[int] = []
    real = toy.Shrink.__call__

    def hungry(self: toy.Shrink, batch: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise MemoryError("tried to allocate 3.14 GiB")
        return real(self, batch)

    monkeypatch.setattr(toy.Shrink, "__call__", hungry)
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    worker = Worker()
    report = worker.run(task)
    assert report.micro_batch == 2 and unit_facts(task.folder, 0).micro_batch == 2
    assert "out_of_memory" not in report.summary.reasons
    sizes.clear()
    assert worker.run(made.task(Assign(0, Key("shrink", 1)), tmp_path)).micro_batch == 2
    assert max(sizes) == 2, "what did not fit for one unit is not tried for the next"
    assert [one for one in verify(made.store) if one.severity == "error"] == []
    # The very bytes that a run with that batch gives.
    monkeypatch.setattr(toy.Shrink, "__call__", real)
    small = replace(task, config=toy.ShrinkConfig(batch=2), batch=2, folder=tmp_path / "small")
    Worker().run(small)
    assert (small.folder / "00000.tar").read_bytes() == (task.folder / "00000.tar").read_bytes()


def test_a_sample_that_fits_nowhere_is_rejected_alone_and_the_next_unit_starts_anew(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy.plan(toy.configure(source), tmp_path / "store")
    real = toy.Shrink.__call__

    def hungry(self: toy.Shrink, batch: Any) -> Any:
        if any(int(sample.images["image"][0, 0, 0]) == 22 for sample in batch):
            raise MemoryError
        return real(self, batch)

    monkeypatch.setattr(toy.Shrink, "__call__", hungry)
    worker = Worker()
    report = worker.run(made.task(Assign(0, Key("shrink", 0)), tmp_path))
    assert report.micro_batch == 1 and report.summary.reasons["out_of_memory"] == 1
    assert worker.run(made.task(Assign(0, Key("shrink", 1)), tmp_path)).micro_batch is None


def test_a_call_that_does_not_return_ends_a_local_run_with_words(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    release = threading.Event()
    real = toy.Shrink.one

    def hangs(self: toy.Shrink, sample: Any) -> Any:
        if int(sample.images["image"][0, 0, 0]) == 24:
            release.wait(60)
        return real(self, sample)

    monkeypatch.setattr(toy.Shrink, "one", hangs)
    from fasgen.pipeline.progress import Silent
    from fasgen.pipeline.run import run

    try:
        result = run(made, lambda: LocalEngine(made.resources), Silent(), toy.Pages(), RunOptions(time_limit=0.4))
    finally:
        release.set()
    assert result.outcome is Outcome.ERROR and "takes longer than time_limit" in result.error


def test_a_deadline_ends_the_process_and_leaves_its_mark(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from fasgen.pipeline.watchdog import Watchdog\n"
        "from fasgen.pipeline.events import Key\n"
        "dog = Watchdog(lambda key: os._exit(87), fatal=True)\n"
        "with dog.over(30, Key('a', 0)):\n    pass\n"
        "with dog.over(0.2, Key('a', 0), Path(sys.argv[1])):\n    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mark")], cwd=Path.cwd(), timeout=60)
    assert done.returncode == 87 and (tmp_path / "mark").stat().st_size > 0


def test_a_library_that_holds_the_interpreter_is_ended_as_well(tmp_path: Path) -> None:
    code = (
        "import ctypes, os, sys, time; from pathlib import Path; import fasgen.pipeline.watchdog as w\n"
        "from fasgen.pipeline.events import Key\n"
        "w.GRACE = 0.5\n"
        "dog = w.Watchdog(lambda key: os._exit(87), fatal=True)\n"
        "with dog.over(1.0, Key('a', 0), Path(sys.argv[1])):\n"
        "    time.sleep(0.6)\n"
        # PyDLL does not let go of the interpreter's lock.
        "    ctypes.PyDLL(None).sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mark")], cwd=Path.cwd(), timeout=60)
    assert done.returncode == 1 and (tmp_path / "mark").stat().st_size > 0


def test_nothing_is_late_without_a_limit_or_in_time() -> None:
    late: list[Key] = []
    dog = Watchdog(late.append)
    with dog.over(None, Key("a", 0)):
        pass
    for _ in range(3):
        with dog.over(20.0, Key("a", 0)):
            time.sleep(0.01)
    assert late == []


def test_rows_that_took_too_long_are_rejected_as_such(source: SourceConfig, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    made.write()
    task = made.task(Assign(0, Key("shrink", 0), 3, True, (), (1, 2), (2,)), tmp_path)
    Worker().run(task)
    rows = UnitReader(task.folder, 0).rows
    assert [rows[n]["reason"] for n in (1, 2)] == ["worker_died", "time_limit"]
    assert rows[2]["status"] == "failed" and "time_limit" in str(rows[2]["detail"])
    assert task.crumb is not None and not late_mark(task.crumb).exists()


def test_a_second_driver_is_refused_before_it_writes(source: SourceConfig, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    with StoreLock(tmp_path), pytest.raises(StoreError, match="another fasgen works on this store"):
        toy.go(made, LocalEngine(made.resources))
    assert not list(tmp_path.glob("shrink-*"))
    assert toy.go(made, LocalEngine(made.resources))[0].outcome is Outcome.FINISHED


def test_a_lost_lock_stops_the_run_and_what_is_committed_stays(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fasgen.pipeline.progress import Silent
    from fasgen.pipeline.run import run

    monkeypatch.setenv("TOY_SLEEP", "0.2")
    made = toy.plan(toy.configure(source), tmp_path)
    with StoreLock(tmp_path) as lock:
        lock.lost = "the lock is gone: was its disk unmounted?"
        result = run(made, lambda: LocalEngine(made.resources, depth=1), Silent(), toy.Pages(), RunOptions(lock=lock))
    assert result.outcome is Outcome.ERROR and "unmounted" in result.error and result.remaining
    monkeypatch.delenv("TOY_SLEEP")
    again = toy.plan(toy.configure(source), tmp_path)
    assert toy.go(again, LocalEngine(again.resources))[0].outcome is Outcome.FINISHED


def test_each_stage_has_the_whole_budget_and_is_named(source: SourceConfig, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    # shrink fails at level 9 and at two files, noisy at level 11: three and one, of 12 and fewer.
    result, _, _ = toy.go(made, LocalEngine(made.resources, depth=1), RunOptions(Budget(max_failed=2)))
    assert result.outcome is Outcome.OVER_BUDGET and result.error.startswith("shrink: 3 of ")
    again = toy.plan(toy.configure(source), tmp_path)
    assert toy.go(again, LocalEngine(again.resources), RunOptions(Budget(max_failed=3)))[0].outcome is Outcome.FINISHED


@pytest.fixture
def hearing() -> Iterator[None]:
    """A hang-up counts for children, who would inherit that it is ignored from tests that run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_polite_kill_is_a_first_ctrl_c(source: SourceConfig, tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import sys; from pathlib import Path; import toy; from fasgen.sources.config import SourceConfig\n"
        "from fasgen.pipeline.local_engine import LocalEngine\n"
        "source = SourceConfig.model_validate_json(sys.argv[1])\n"
        "made = toy.plan(toy.configure(source, unit_rows=4), Path(sys.argv[2]))\n"
        "sys.exit(toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome.exit_code)\n"
    )
    environment = os.environ | {"TOY_SLEEP": "0.5", "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
    store = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", program, source.model_dump_json(), str(store)], env=environment)
    while process.poll() is None and not list(store.glob("shrink-*/00000.parquet")):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=120) == 130
    assert verify(store) == []
    assert not (store / "runs" / "driver.lock").exists()


_UNDER_RAY = (
    "import os, sys; from pathlib import Path; import toy; from fasgen.sources.config import SourceConfig\n"
    "from fasgen.pipeline.ray_engine import RayEngine\n"
    "source = SourceConfig.model_validate_json(sys.argv[1])\n"
    "made = toy.plan(toy.configure(source, unit_rows=4), Path(sys.argv[2]), ['shrink'])\n"
    "class Told(toy.Silent):\n    def say(self, text):\n        print(text, flush=True)\n"
    "toy.Silent = Told\n"
    "paths = {name: os.environ[name] for name in ('PYTHONPATH', 'TOY_SLEEP')}\n"
    "try:\n    result, _, _ = toy.go(made, lambda: RayEngine(made.resources, depth=1, environment=paths))\n"
    "except KeyboardInterrupt:\n    sys.exit(7)\n"
    "sys.exit(result.outcome.exit_code)\n"
)


def under_ray(source: SourceConfig, store: Path, sleep: float) -> subprocess.Popen[str]:
    """A run in a process of its own, on a Ray of its own, whose batches take so many seconds."""
    environment = os.environ | {"TOY_SLEEP": str(sleep), "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
    arguments = [source.model_dump_json(), str(store)]
    return subprocess.Popen(
        [sys.executable, "-c", _UNDER_RAY, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_second_signal_ends_at_once_while_another_run_beside_it_goes_on(source: SourceConfig, tmp_path: Path) -> None:
    """Two runs on one machine, each with a Ray of its own, and the ports that Ray likes best are others'."""
    with contextlib.ExitStack() as taken:
        for port in (6379, 8265, 10001):
            with contextlib.suppress(OSError):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        ended, other = under_ray(source, tmp_path / "ended", 600), under_ray(source, tmp_path / "other", 0)
        while ended.poll() is None and not any("ray::_Actor.run" in command for command in family(ended.pid).values()):
            time.sleep(0.1)
        ended.send_signal(signal.SIGTERM)
        assert ended.stdout is not None and "finishing the units in hand" in ended.stdout.readline()
        ended.send_signal(signal.SIGTERM)
        # What is in hand would take ten minutes.
        said, _ = ended.communicate(timeout=240)
        assert ended.returncode == 130 and "units in hand are lost" in said
        assert other.wait(timeout=240) == 0
    assert verify(tmp_path / "other") == []
    assert all(one.severity == "warning" for one in verify(tmp_path / "ended")), "the leavings of the unit in hand"
    other.communicate()


def test_a_polite_kill_while_ray_comes_up_is_an_interrupt(source: SourceConfig, tmp_path: Path) -> None:
    process = under_ray(source, tmp_path / "store", 600)
    known = set[int]()
    while process.poll() is None and not any("gcs_server" in command for command in family(process.pid).values()):
        time.sleep(0.02)
    known = set(family(process.pid))
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)
    sweep(known - {os.getpid()})
    assert process.returncode in {7, 130}


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_terminal_that_hangs_up_is_a_first_ctrl_c(source: SourceConfig, tmp_path: Path, engine: str) -> None:
    program = (
        "import os, sys; from pathlib import Path; import toy; from fasgen.sources.config import SourceConfig\n"
        "from fasgen.pipeline.local_engine import LocalEngine; from fasgen.pipeline.ray_engine import RayEngine\n"
        "from fasgen.pipeline.progress import Live; from fasgen.pipeline.run import run\n"
        "source = SourceConfig.model_validate_json(sys.argv[1])\n"
        "made = toy.plan(toy.configure(source, unit_rows=4), Path(sys.argv[2]))\n"
        "paths = {'PYTHONPATH': os.environ['PYTHONPATH']}\n"
        "make = lambda: RayEngine(made.resources, depth=1, environment=paths) if sys.argv[3] == 'ray' else "
        "LocalEngine(made.resources, depth=1)\n"
        "result = run(made, make, Live(sys.stderr), toy.Pages())\n"
        "print(result.outcome)\n"
        "Path(sys.argv[4]).write_text(result.outcome)\n"
    )
    environment = os.environ | {"TOY_SLEEP": "0.5", "PYTHONPATH": f"{Path(__file__).parent}:{Path.cwd()}"}
    store, told = tmp_path / "store", tmp_path / "told"
    keyboard, screen = os.openpty()
    own = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    arguments = [source.model_dump_json(), str(store), engine, str(told)]
    process = subprocess.Popen(
        [sys.executable, "-c", own, "-c", program, *arguments], stdin=screen, stdout=screen, stderr=screen, env=environment
    )
    os.close(screen)
    os.set_blocking(keyboard, False)
    while process.poll() is None and not list(store.glob("shrink-*/00000.parquet")):
        with contextlib.suppress(BlockingIOError):
            os.read(keyboard, 1 << 16)
        time.sleep(0.02)
    os.close(keyboard)
    assert process.wait(timeout=120) == 0
    assert told.read_text() == "interrupted"
    assert verify(store) == []
