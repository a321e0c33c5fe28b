"""Plans of chains: what is shared is one step, and a changed setting makes anew exactly what hangs on it."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fasgen.chains import rows
from fasgen.chains.config import Chain
from fasgen.chains.steps import Graph, is_ready, plan
from fasgen.errors import ConfigError
from tests.chains.toy import DETECTOR, FOLDS, TRAIN, chain, lay
from tests.leaks.toy import lay_by_hand, of


def counted(graph: Graph) -> dict[str, int]:
    return dict(Counter(step.name or step.kind for step in graph.steps.values()))


def changed(one: Graph, other: Graph) -> dict[str, int]:
    """Steps of the second that the first does not have."""
    return dict(Counter(step.name or step.kind for key, step in other.steps.items() if key not in one.steps))


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    lay(tmp_path)
    return tmp_path


def test_folds_with_the_same_rows_share_their_trainings(laid: Path) -> None:
    graph = plan(chain(laid))
    # Of the six folds three train on the same people. What is made is of a fold: it holds what that fold tests.
    assert counted(graph) == {
        **{"identity": 4, "autoencoder": 4, "dfg": 4, "lgsc": 4},
        **{"make": 6, "image": 6, "wide": 6},
    }
    assert len(graph.cells) == 3 * len(FOLDS)
    first = graph.ancestors(graph.cells[0].step)
    assert sorted(one.name for one in first) == ["autoencoder", "dfg", "identity", "lgsc"]
    assert {tuple(graph.used[one.key]) for one in first} == {("oulu-3-1", "oulu-3-5", "oulu-3-6")}
    foretold = plan(chain(laid), foretell=True)
    assert counted(foretold)["dfg"] == 6 and not foretold.exact, "at most so many, before rows are known"


def test_cues_by_weights_of_one_fold_are_made_of_its_rows_and_shared_ones_once_of_all(laid: Path) -> None:
    graph = plan(chain(laid))
    makes = {step.fold: step.settings for step in graph.steps.values() if step.kind == "make"}
    for fold, made in makes.items():
        assert made["pack"]["protocol"] == made["synth"]["protocol"] == fold, "what is shipped is of a fold in any case"
        alone = None if fold in ("oulu-3-1", "oulu-3-5", "oulu-3-6") else fold
        assert made["defake"].get("protocol") == made["lgsc"].get("protocol") == alone
        assert "protocol" not in made.get("stdn", {}), "whose weights come from elsewhere"


def test_what_a_training_does_not_learn_from_moves_nothing(laid: Path) -> None:
    before = plan(chain(laid))
    live = {**TRAIN["dfg"], "where": "label = 'live'"}
    same = plan(chain(laid, settings=settings({"train": {"dfg": live}})))
    assert changed(before, same) == {}, "the generator learns from live rows in any case"
    lay_by_hand(laid / "store", "oulu-3-4", {"train": ["cid"], "dev": ["dan"], "test": ["eve", "fay"]}, "oulu-3")
    moved = {"make": 1, "image": 1, "wide": 1}
    assert changed(before, plan(chain(laid))) == moved, "who is tested is no matter of what is trained"


def settings(changes: dict[str, Any]) -> dict[str, Any]:
    tree = {"defake": {"weights": "/$dfg"}, "lgsc": {"enabled": True, "weights": "/$lgsc"}, "train": copy.deepcopy(TRAIN)}
    for part, values in changes.items():
        for name, value in values.items():
            tree[part][name] = {**tree[part].get(name, {}), **value} if isinstance(value, dict) else value
    return tree


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({"settings": settings({"train": {"lgsc": {"steps": 7}}})}, {"lgsc": 4, "make": 6, "image": 6, "wide": 6}),
        (
            {"settings": settings({"train": {"identity": {"lr": 0.5}}})},
            {"identity": 4, "dfg": 4, "make": 6, "image": 6, "wide": 6},
        ),
        ({"settings": settings({"defake": {"t": 600}})}, {"make": 6, "image": 6, "wide": 6}),
        ({"detector": DETECTOR | {"seeds": [0, 1]}}, {"image": 6, "wide": 6}),
        ({"methods": {"image": {"detector": {}}, "wide": {"detector": {"model": {"embedding": 8}}}}}, {"wide": 6}),
        ({"methods": {"renamed": {"detector": {}}}}, {}),
        ({"settings": settings({"train": {"lgsc": {"log_every": 7, "threads": 3}}})}, {}),
        ({"figures": ["auc"], "about": "x", "protocols": ["oulu-3-2"]}, {}),
    ],
)
def test_a_changed_setting_makes_anew_what_hangs_on_it(laid: Path, changes: dict[str, Any], anew: dict[str, int]) -> None:
    assert changed(plan(chain(laid)), plan(chain(laid, **changes))) == anew


def test_methods_share_what_their_settings_have_in_common(laid: Path) -> None:
    other = {"defake": {"t": 400}}
    methods = {"one": {"detector": {}}, "two": {"detector": {}, "settings": other}, "map": {"score": "lgsc_score"}}
    graph = plan(chain(laid, methods=methods))
    assert counted(graph) == {"identity": 4, "autoencoder": 4, "dfg": 4, "lgsc": 4, "make": 12, "one": 6, "two": 6}


def test_data_sets_that_trainings_alone_learn_from(laid: Path) -> None:
    far = {"faces": {"path": "/$extra", "size": 32}}
    extra = {"extra": {"ffhq": {"path": str(laid)}}, "settings": settings({"train": {"identity": far, "autoencoder": far}})}
    assert not is_ready(chain(laid, **extra)), "nothing was cut there yet"
    (laid / "other").mkdir()
    lay(laid / "other").rename(laid / "extra")
    graph = plan(chain(laid, **extra))
    # Of a store without protocols the rows by split: the same in every fold.
    assert counted(graph)["identity"] == 1 and counted(graph)["autoencoder"] == 1 and counted(graph)["dfg"] == 4
    (step,) = [one for one in graph.steps.values() if one.name == "identity"]
    assert "protocol" not in step.settings["train"]["identity"]


def test_a_circle_and_what_is_not_there(laid: Path) -> None:
    loop = settings({"train": {"identity": {"init": "/$dfg"}}})
    with pytest.raises(ConfigError, match=r"circle|identity\.init"):
        plan(chain(laid, settings=loop))
    with pytest.raises(ConfigError, match=r"method image: settings refers to \$dgf, which is neither a training nor weights"):
        plan(chain(laid, settings=settings({"defake": {"weights": "/$dgf"}})))
    with pytest.raises(ConfigError, match=r"protocol\.name follows from the chain"):
        plan(chain(laid, detector=DETECTOR | {"protocol": {"name": "oulu-1"}}))
    with pytest.raises(ConfigError, match="stpes"):
        plan(chain(laid, settings=settings({"train": {"lgsc": {"stpes": 3}}})))
    with pytest.raises(ConfigError, match="backbnoe"):
        plan(chain(laid, detector=DETECTOR | {"model": {"backbnoe": "x"}}))


def test_what_is_tested_comes_from_the_row_sets(laid: Path) -> None:
    assert set(rows.tested(laid / "store", "oulu-3-1").samples.values()) == of("eve")
    assert isinstance(chain(laid), Chain)
