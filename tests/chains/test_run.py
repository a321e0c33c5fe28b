"""Steps side by side: order, shares of GPUs, failures, locks and interrupts, without the commands themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fasgen.chains import making
from fasgen.chains import run as running
from fasgen.chains.jobs import Held, alone, visible
from fasgen.chains.making import Means
from fasgen.chains.outcome import Outcome, is_done, score_file
from fasgen.chains.run import Result, needed
from fasgen.chains.steps import Graph, Step, plan
from fasgen.errors import StoreError
from tests.chains.toy import chain, lay

METHODS = {"image": {"detector": {}}, "map": {"score": "lgsc_score"}}


class Stand:
    """A machine on which commands take two looks, and that notes what ran beside what."""

    def __init__(self, fails: Callable[[str], bool] = lambda title: False) -> None:
        self.now: dict[int, tuple[str, tuple[str, ...]]] = {}
        self.seen: list[list[tuple[str, tuple[str, ...]]]] = []
        self.order: list[str] = []
        self._fails = fails

    def __call__(self, arguments: Sequence[str], log: Path, devices: Sequence[str], held: int) -> Any:
        stand, number, title = self, len(self.order), arguments[0]
        self.order.append(title)
        self.now[number] = (title, tuple(devices))
        self.seen.append(list(self.now.values()))
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"begun\nwhat became of {title}\n")

        class Job:
            looks = 0

            def poll(self) -> int | None:
                self.looks += 1
                if self.looks < 2:
                    return None
                stand.now.pop(number, None)
                return 1 if stand._fails(title) else 0

        return Job()


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, and steps whose commands are their titles."""
    lay(tmp_path)

    def finish(chain: Any, step: Step, seconds: float) -> list[str]:
        for path in (
            step.folder / "final" / "x",
            step.folder / "scores.csv",
            *(score_file(step.folder, c) for c in step.scores),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        Outcome(step.key, step.name, step.steps, 1.0, scores={column: [] for column in step.scores}).write(step.folder)
        return []

    monkeypatch.setattr(making, "command", lambda chain, graph, step, means, gpus: [f"{step.kind}/{step.name}/{step.fold}"])
    monkeypatch.setattr(making, "finish", finish)
    monkeypatch.setattr(making, "leaks", lambda graph, step, store: [])
    monkeypatch.setattr(running, "POLL", 0.0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def go(folder: Path, stand: Stand, gpus: int = 0, **more: Any) -> tuple[Graph, Result, list[str]]:
    said: list[str] = []
    asked = chain(folder, methods=METHODS, **more)
    result = Result(plan(asked))
    running._Runner(asked, result, Means(gpus, None, "local"), said.append, stand).run()
    return result.graph, result, said


def test_on_a_cpu_one_after_another_each_after_what_it_reads(laid: Path) -> None:
    stand = Stand()
    graph, result, said = go(laid, stand)
    assert len(stand.order) == len(graph.steps) == 28 and not result.failed and all(len(beside) == 1 for beside in stand.seen)
    done: set[str] = set()
    for title in stand.order:
        (step,) = [one for one in graph.steps.values() if f"{one.kind}/{one.name}/{one.fold}" == title]
        assert set(step.parents.values()) <= done
        done.add(step.key)
    assert said[0].startswith("step 1 of 28: train")
    assert needed(graph) == []
    again = Stand()
    go(laid, again)
    assert again.order == [], "all of it is there"


def test_gpus_are_shared_and_a_store_has_one_writer(laid: Path) -> None:
    stand = Stand()
    go(laid, stand, gpus=3)
    for beside in stand.seen:
        taken = [device for _, devices in beside for device in devices]
        assert len(taken) == len(set(taken)) <= 3 and set(taken) <= {"0", "1", "2"}
        if any(title.startswith("make") for title, _ in beside):
            assert len(beside) == 1 and len(taken) == 3
    assert max(map(len, stand.seen)) == 3, "trainings that do not need each other"


def test_a_training_alone_takes_as_many_gpus_as_its_batch_can_be_divided_by(laid: Path) -> None:
    stand = Stand()
    go(laid, stand, gpus=3, protocols=["oulu-3-1"], stages=["x"])
    # Three at first; the generator waits for two of them, and then trains alone: a batch of 4 on two of three.
    assert [devices for title, devices in stand.seen[3] if "dfg" in title] == [("0", "1")]


def test_what_fails_takes_with_it_what_hangs_on_it_and_no_more(laid: Path) -> None:
    graph, result, said = go(laid, Stand(lambda title: title == "train/dfg/oulu-3-2"))
    failed = sorted(graph.steps[key].title for key in result.failed)
    assert failed == ["detect image, oulu-3-2", "make oulu-3-2", "train dfg, oulu-3-2"]
    assert any("failed: train dfg, oulu-3-2: what became of train/dfg/oulu-3-2; all of it: " in line for line in said)
    assert sum("not begun, since" in why for why in result.failed.values()) == 2
    stand = Stand()
    go(laid, stand)
    assert stand.order == ["train/dfg/oulu-3-2", "make//oulu-3-2", "detect/image/oulu-3-2"]


def test_what_is_gone_is_made_again(laid: Path) -> None:
    graph, *_ = go(laid, Stand())
    step = next(one for one in graph.steps.values() if one.name == "image")
    (step.folder / "scores.csv").unlink()
    stand = Stand()
    go(laid, stand)
    assert stand.order == [f"detect/image/{step.fold}"], "and not what it is made from"


def test_a_command_that_outlived_its_chain_is_waited_for(laid: Path) -> None:
    asked = chain(laid, methods=METHODS, protocols=["oulu-3-1"])
    step = next(one for one in plan(asked).steps.values() if one.name == "lgsc")
    lock = Held(step.folder.with_name(f"{step.folder.name}.lock"))
    assert lock.take()
    stand, said = Stand(), list[str]()

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("waiting: train lgsc, oulu-3-1"):
            lock.drop()

    running._Runner(asked, Result(plan(asked)), Means(0, None, "local"), say, stand).run()
    assert sum(line.startswith("waiting") for line in said) == 1
    assert "train/lgsc/oulu-3-1" in stand.order


def test_an_interrupt_waits_for_what_runs(laid: Path) -> None:
    class Interrupting(Stand):
        def __call__(self, *given: Any) -> Any:
            job = super().__call__(*given)
            if len(self.order) == 2:
                raise KeyboardInterrupt
            return job

    with pytest.raises(KeyboardInterrupt):
        go(laid, Interrupting())
    stand = Stand()
    graph, *_ = go(laid, stand)
    assert len(stand.order) == len(graph.steps) - 1, "the one that was over stays"
    assert all(map(is_done, graph.steps.values()))


def test_one_chain_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(StoreError, match="another `fasgen paper` works here"), alone(tmp_path):
        pass


def test_gpus_by_the_names_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, 3")
    assert visible(2) == ["GPU-a", "3"] and visible(1) == ["GPU-a"]
