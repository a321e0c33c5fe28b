from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fasgen.cache_folder import cache_home
from fasgen.stages import compiled as room
from fasgen.stages.compiled import Account, Compiling, compile_cache, compiled, resolve

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

NAMES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in NAMES:
        # Set first, so that what the code sets is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache_home.cache_clear()
    yield tmp_path / "cache"
    cache_home.cache_clear()


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_a_setting_means_on_a_device() -> None:
    assert [resolve("auto", CPU), resolve("auto", CUDA)] == ["off", "on"]
    assert [resolve(setting, CPU) for setting in ("off", "on", "max")] == ["off", "on", "max"]


def test_off_is_the_function_itself() -> None:
    assert compiled(torch.sin, "auto", CPU) is torch.sin
    assert compiled(torch.sin, "off", CUDA) is torch.sin


def test_nested_compilations_count_once() -> None:
    clock = Hands()
    account = Account(clock)
    account.begin()
    clock.now = 2
    account.begin()
    clock.now = 3
    assert account.state() == Compiling(3, True, 3)
    account.end()
    clock.now = 7
    account.end()
    clock.now = 100
    assert account.state() == Compiling(7, False, 7)


def test_two_threads_at_once_count_once_and_each_has_its_own() -> None:
    clock = Hands()
    account = Account(clock)
    account.begin()
    clock.now = 2
    other: list[Compiling] = []

    def compile_elsewhere() -> None:
        account.begin()
        clock.now = 3
        account.end()
        other.append(account.state())

    thread = threading.Thread(target=compile_elsewhere)
    thread.start()
    thread.join()
    clock.now = 4
    account.end()
    assert other == [Compiling(3, True, 1)]
    assert account.state() == Compiling(4, False, 4)


def test_compiling_in_a_call_lasts_until_the_call_returns() -> None:
    clock = Hands()
    account = Account(clock)
    with account.calling():
        clock.now = 1
        account.compile_begins("told by torch")
        clock.now = 5
        account.compile_ends("told by torch")
        # Kernels are measured at their first launch.
        clock.now = 8
        assert account.state().under_way
    assert account.state() == Compiling(7, False, 7)
    with account.calling():
        clock.now = 9
    assert account.state() == Compiling(7, False, 7)


def test_options_are_those_that_this_torch_knows(monkeypatch: pytest.MonkeyPatch, fresh_home: Path) -> None:
    taken: list[dict[str, object]] = []

    def record(function: object, **options: object) -> object:
        taken.append(options)
        return function

    monkeypatch.setattr(torch, "compile", record)
    compiled(torch.sin, "on", CPU)
    compiled(torch.sin, "max", CPU)
    for options in taken:
        assert options["dynamic"] is False and options["options"]["triton.cudagraphs"] is False  # type: ignore[index]
    known = torch._inductor.config.get_config_copy()  # type: ignore[attr-defined]
    for taken_options, mode in zip(taken, ("on", "max"), strict=True):
        wanted = {name: value for name, value in room._OPTIONS[mode].items() if name in known}  # type: ignore[index]
        assert wanted.items() <= taken_options["options"].items()  # type: ignore[attr-defined]


def test_a_compiled_call_on_a_gpu_is_timed_to_its_end(monkeypatch: pytest.MonkeyPatch, fresh_home: Path) -> None:
    account = Account()
    monkeypatch.setattr(room, "_ACCOUNT", account)

    def compiles_when_called(function: object, **options: object) -> object:
        def call(value: torch.Tensor) -> torch.Tensor:
            account.compile_begins()
            account.compile_ends()
            assert account.state().under_way
            return value + 1

        return call

    monkeypatch.setattr(torch, "compile", compiles_when_called)
    function = compiled(torch.sin, "on", CUDA)
    assert function(torch.zeros(1)).item() == 1
    assert not account.state().under_way and account.state().seconds > 0


def test_the_cache_lies_in_the_users_folder_for_caches(fresh_home: Path) -> None:
    assert compile_cache() == fresh_home / "fasgen" / "compiled" / "inductor"
    assert os.environ["TRITON_CACHE_DIR"] == str(fresh_home / "fasgen" / "compiled" / "triton")
    assert (fresh_home / "fasgen").stat().st_mode & 0o777 == 0o700


def test_what_the_user_has_set_stays(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere/inductor")
    assert compile_cache() == Path("/elsewhere/inductor")
    assert os.environ["TRITON_CACHE_DIR"].startswith(str(fresh_home))


def test_what_torch_has_set_by_itself_does_not(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())
    assert compile_cache() == fresh_home / "fasgen" / "compiled" / "inductor"


def test_a_home_that_cannot_be_written_is_said_once(tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh_home.write_text("a file, not a folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.warns(UserWarning, match="XDG_CACHE_HOME"):
        folder = cache_home()
    assert folder == tmp_path / f"fasgen-{os.getuid()}" and folder.stat().st_mode & 0o777 == 0o700
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache_home() == folder


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    with pytest.warns(UserWarning):
        folder = cache_home()
    assert folder.parent == tmp_path and folder.name not in (f"fasgen-{me}", f"fasgen-{me + 1}")


TWICE = """
import json, time, torch
from fasgen.stages.compiled import compiled, compiling
from torch._dynamo.utils import counters

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(4, 4))
    def forward(self, x):
        return torch.nn.functional.silu(x @ self.weight).cumsum(0)

with torch.no_grad():
    made = compiled(Net(), "on", torch.device("cpu"))(torch.ones(3, 4))
    seconds = compiling().seconds
    compiled(Net(), "on", torch.device("cpu"))(torch.ones(3, 4))
    again = compiling().seconds - seconds
    assert torch.allclose(made, Net()(torch.ones(3, 4)))
print(json.dumps({"seconds": seconds, "again": again, **counters["inductor"]}))
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_second_process_compiles_from_the_cache(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    first, second = (
        json.loads(subprocess.run([sys.executable, "-c", TWICE], env=environment, capture_output=True, check=True).stdout)
        for _ in range(2)
    )
    assert first["fxgraph_cache_miss"] == 1 and "fxgraph_cache_hit" not in first
    assert second["fxgraph_cache_hit"] == 1 and "fxgraph_cache_miss" not in second
    assert second["seconds"] < first["seconds"]
    # A stage that is built again, as a worker does between stages, finds its code in the process.
    assert first["again"] == second["again"] == 0
