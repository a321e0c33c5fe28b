"""Tables from end to end on data sets in miniature: faces cut, folds laid, networks trained, rows scored, figures set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fasgen.chains.config import Chain, load_chain
from fasgen.chains.making import Means
from fasgen.chains.rows import tested as target_of
from fasgen.chains.run import Result, run
from fasgen.chains.steps import plan
from fasgen.chains.table import write_table
from fasgen.errors import FasgenError
from fasgen.seen import read_seen
from fasgen.training.learner import Learner
from tests.chains.miniature import make
from tests.chains.within import Done, here

FILE = Path(__file__).parents[2] / "examples" / "papers" / "lgsc-casia-replay.yaml"
SHAPE = (
    "init: null, stem: 4, widths: [4, 4, 8, 8], blocks: [1, 1, 1, 1], decoder: [8, 4, 4, 4], "
    "classifier_stem: 4, classifier_widths: [4, 4, 4, 4]"
)
TINY = (
    *("settings.align.size=64", "data.casia-fasd.frames=1", "data.replay-attack.frames=1", "weights.resnet18=embedded"),
    f"settings.train.lgsc={{faces: {{size: 64}}, patch: 48, batch: 4, steps: 3, warmup: 0, checkpoint_every: 1, {SHAPE}}}",
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sets"), "casia-fasd", "replay-attack")


def asked(sets: Path, out: Path, *more: str) -> Chain:
    places = [f"data.{name}.path={sets / name}" for name in ("casia-fasd", "replay-attack")]
    return load_chain(FILE, [*places, *TINY, f"out={out}", f"trainings={out / 'trainings'}", *more])


def go(chain: Chain, launch: Any = here) -> tuple[Result, list[str]]:
    said: list[str] = []
    return run(chain, Means(0, 1, "local"), said.append, launch), said


@pytest.fixture(scope="module")
def whole(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, Result]:
    chain = asked(sets, tmp_path_factory.mktemp("whole"))
    result, said = go(chain)
    assert not result.failed, said
    assert write_table(chain, result)
    return chain, result


def table(chain: Chain) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((chain.out / "table.json").read_text("utf-8"))
    return found


def test_the_table_has_both_readings_each_attack_and_both_folds(whole: tuple[Chain, Result]) -> None:
    chain, _ = whole
    rows = table(chain)["rows"]
    assert [row["protocol"] for row in rows] == [
        *("casia-replay/casia-to-replay", "casia-replay/replay-to-casia", "casia-replay, 2 folds")
    ]
    assert all(row["method"] == "LGSC" for row in rows) and {"HTER", "HTER idealised", "HTER paper"} <= set(rows[0])
    assert rows[0]["APCER print idealised"] != "-" and " ± " in rows[2]["HTER idealised"]
    assert "HTER paper" in (chain.out / "table.md").read_text("utf-8")
    assert (chain.out / "report" / "full.txt").is_file() and list((chain.out / "report").glob("roc-*.svg"))


def test_no_training_has_seen_what_its_fold_tests(whole: tuple[Chain, Result]) -> None:
    chain, result = whole
    for cell in result.graph.cells:
        tested = target_of(chain.store, cell.protocol.name)
        (training,) = result.graph.ancestors(cell.step)
        seen = read_seen(training.folder / "final")
        assert seen is not None and seen.samples and not seen.samples & tested.samples.keys()
        assert not seen.subjects & tested.subjects.keys() and not seen.unlisted


def test_given_again_nothing_is_done_and_the_table_is_the_same(whole: tuple[Chain, Result]) -> None:
    chain, _ = whole
    before = (chain.out / "table.json").read_bytes()
    begun: list[str] = []

    def count(arguments: Sequence[str], *rest: Any) -> Done:
        begun.append(arguments[0])
        return here(arguments, *rest)

    result, _ = go(chain, count)
    write_table(chain, result)
    assert begun == ["run"], "the crops alone are looked at"
    assert (chain.out / "table.json").read_bytes() == before


def test_what_was_killed_between_and_within_steps_gives_the_same_table(
    whole: tuple[Chain, Result], sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = asked(sets, tmp_path)
    begun: list[str] = []

    def dies(arguments: Sequence[str], *rest: Any) -> Done:
        if len(begun) == 3:
            raise KeyboardInterrupt
        begun.append(arguments[0])
        with monkeypatch.context() as patched:
            if begun == ["run", "train"]:
                learn, calls = Learner.__call__, iter(range(9))

                def twice(self: Learner, *given: Any) -> Any:
                    if next(calls) == 2:
                        raise MemoryError("killed")
                    return learn(self, *given)

                patched.setattr(Learner, "__call__", twice)
            return here(arguments, *rest)

    with pytest.raises(KeyboardInterrupt):
        go(chain, dies)
    assert begun == ["run", "train", "train"]
    (stopped,) = [one for one in (tmp_path / "trainings").glob("lgsc-*") if one.is_dir() and not (one / "final").is_dir()]
    assert (stopped / "checkpoint.pt").exists() or list(stopped.glob("*checkpoint*"))
    result, _ = go(chain)
    assert not result.failed and write_table(chain, result)
    assert table(chain) == table(whole[0])


def test_weights_that_know_what_is_tested_are_refused(sets: Path, whole: tuple[Chain, Result], tmp_path: Path) -> None:
    everything = ("settings.train.lgsc.protocol=null", "settings.train.lgsc.splits=[]", "protocols=[casia-to-replay]")
    # In the same folder, so that the faces are not cut again.
    chain = asked(sets, whole[0].out, *everything, f"trainings={tmp_path}")
    result, said = go(chain)
    assert {result.graph.steps[key].kind for key in result.failed} == {"make"}
    assert any("leak: train lgsc, casia-to-replay has learnt from" in line for line in said)
    told = asked(sets, whole[0].out, *everything, f"trainings={tmp_path}", "strict=false")
    result, _ = go(told)
    assert not result.failed and any("has learnt from" in note for note in result.notes)
    made = write_table(told, result)
    assert made and any("has learnt from" in one for one in made.foot), "below the table, for whoever reads it"
    assert plan(told).steps.keys() == result.graph.steps.keys()


def test_faces_that_cannot_be_cut_end_it(sets: Path, tmp_path: Path) -> None:
    chain = asked(sets, tmp_path)

    def fails(arguments: Sequence[str], log: Path, *rest: Any) -> Done:
        log.write_text("fasgen: no disk\n")
        return Done(2)

    with pytest.raises(FasgenError, match="faces could not be cut: fasgen: no disk"):
        go(chain, fails)
