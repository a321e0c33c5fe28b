"""Trainers learn from packed shards, resume, and put everything into one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from fasgen.cli import main
from fasgen.config.variants import load_variants
from fasgen.downstream.config import Experiment
from fasgen.downstream.data import Shards
from fasgen.downstream.protocols import folds
from fasgen.downstream.scores import read_scores
from fasgen.downstream.tasks import build_task
from fasgen.downstream.train import run_experiments
from fasgen.errors import ConfigError

CPU = torch.device("cpu")


def settings(shards: Path, out: Path, **more: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "out": str(out),
        "data": {"shards": [str(shards)], "size": 32, "keep": True},
        "protocol": {"targets": ["c"], "dev_share": 0},
        "model": {"use": "cue", "backbone": "resnet18-small", "embedding": 16},
        "loss": {"horizon": 20},
        "loop": {"steps": 25, "batch": 16, "lr": 2e-3, "warmup": 2, "log_every": 5},
        "scoring": {"bootstrap": 0, "looks": 1},
    }
    for key, value in more.items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    return tree


def experiment(shards: Path, out: Path, **more: Any) -> Experiment:
    return Experiment.model_validate_json(json.dumps(settings(shards, out, **more)))


def run(one: Experiment, name: str = "x") -> float:
    [found] = run_experiments({name: one}, CPU, lambda line: None)[1]
    return found.realistic.values["auc"]


@pytest.mark.parametrize("kind", ["softmax", "focal", "asymmetric", "ssdg", "rq", "ssdg rq"])
def test_the_cue_is_learned_and_found_in_a_domain_never_seen(three: Path, tmp_path: Path, kind: str) -> None:
    kind, _, classifier = kind.partition(" ")
    assert run(experiment(three, tmp_path, loss={"kind": kind, "classifier": classifier or "softmax"})) > 0.95


def test_dlif_learns(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = experiment(
        three,
        tmp_path,
        method="dlif",
        model={"backbone": "resnet18-small"},
        dlif={"subjects": 2, "live": 2, "spoof": 2},
        loop={"steps": 4, "log_every": 2},
    )
    run(one)
    [curve] = tmp_path.rglob("curve.jsonl")
    points = [json.loads(line) for line in curve.read_text().splitlines()]
    assert {"cls", "aaicU", "idamb", "orthoU", "id", "aaicV", "liamb", "orthoV"} <= set(points[0])
    assert points[-1]["id"] < points[0]["id"]


@pytest.mark.parametrize(
    ("use", "backbone"), [("cross_attention", "vit-small"), ("two_branch", "resnet18-small"), ("image", "vit-small")]
)
def test_every_way_of_using_the_cue_runs_from_shards(three: Path, tmp_path: Path, use: str, backbone: str) -> None:
    model = {"use": use, "backbone": backbone, "cue_backbone": "resnet18-small"}
    one = experiment(
        three, tmp_path, model=model, loop={"steps": 2}, protocol={"dev_share": 0.4}, scoring={"threshold": "dev-eer"}
    )
    run(one)
    rows = read_scores(tmp_path / "scores.csv").rows
    assert {row.split for row in rows} == {"dev", "test"} and {row.dataset for row in rows if row.split == "test"} == {"c"}
    assert sum(row.split == "test" for row in rows) == 36  # no synthetic sample is tested
    [weights] = tmp_path.rglob("final/model.safetensors")
    assert any(name.startswith("trunk.cross.") for name in load_file(weights)) == (use == "cross_attention")


@pytest.mark.parametrize(
    "more",
    [
        {
            "loss": {"kind": "ssdg"},
            "model": {"use": "cross_attention", "backbone": "vit-small", "cue_backbone": "resnet18-small"},
        },
        {"loss": {"kind": "rq"}, "data": {"workers": 1}},
        {"method": "dlif", "dlif": {"subjects": 2, "live": 1, "spoof": 1}},
    ],
)
def test_half_precision_and_workers(three: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    run(experiment(three, tmp_path, loop={"steps": 1, "precision": "bf16"}, **more))
    assert all(0 <= row.score <= 1 for row in read_scores(tmp_path / "scores.csv").rows)


def test_a_resumed_run_has_the_scores_of_an_uninterrupted_one(three: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"loop": {"steps": 6, "checkpoint_every": 2}, "synthetic": 0.4}
    run(experiment(three, tmp_path / "whole", **more))
    one = experiment(three, tmp_path / "cut", **more)
    lines: list[str] = []

    def stop(line: str) -> None:
        lines.append(line)
        if "step 5" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiments({"x": one.model_copy(update={"loop": one.loop.model_copy(update={"log_every": 5})})}, CPU, stop)
    assert list((tmp_path / "cut").rglob("state.json"))
    run(one)
    assert (tmp_path / "whole" / "scores.csv").read_bytes() == (tmp_path / "cut" / "scores.csv").read_bytes()


def test_runs_go_seed_by_seed(three: Path, tmp_path: Path) -> None:
    one = experiment(three, tmp_path, loop={"steps": 1}, protocol={"targets": ["a", "b"]}, seeds=[3, 1])
    said: list[str] = []
    run_experiments({"x": one, "y": one.model_copy(update={"seeds": (1,)})}, CPU, said.append)
    order = [line.partition(": ")[2] for line in said if line.startswith("run ")]
    assert order[:3] == ["x, leave out a, seed 3", "x, leave out b, seed 3", "y, leave out a, seed 1"] and len(order) == 6


def test_complete_runs_are_not_run_again_and_others_are_not_mixed_in(three: Path, tmp_path: Path) -> None:
    one = experiment(three, tmp_path, loop={"steps": 2})
    run(one)
    said: list[str] = []
    run_experiments({"x": one}, CPU, said.append)
    assert "  already run" in said and not any("step" in line for line in said)
    said.clear()
    # What this schedule does not read is no other setting.
    run_experiments({"x": experiment(three, tmp_path, loop={"steps": 2, "decay": 0.5})}, CPU, said.append)
    assert "  already run" in said
    with pytest.raises(ConfigError, match="other settings or samples"):
        run(experiment(three, tmp_path, loop={"steps": 3}))


def test_synthetic_share_reaches_the_batches(three: Path, tmp_path: Path) -> None:
    one = experiment(three, tmp_path, synthetic=0.5)
    shards = Shards(one.data, cues=True)
    [fold] = folds(shards.table, one.protocol)
    batch = next(build_task(one, shards, fold, 0, CPU).batches(0, 0, 1))
    assert sum(meta["synthetic"] for meta in batch.meta) == 4 and batch.label.sum() == 8
    assert batch.cue is not None and batch.cue.shape == (16, 3, 32, 32)


@pytest.mark.parametrize(("styles", "classes"), [("domain", 6), ("attack_type", 3), ("label", 2)])
def test_style_classes(three: Path, tmp_path: Path, styles: str, classes: int) -> None:
    one = experiment(three, tmp_path, loss={"kind": "rq", "styles": styles})
    assert Shards(one.data, cues=False).table.synthetic.any()  # has a style of its own, and is not drawn
    shards = Shards(one.data, cues=True)
    [fold] = folds(shards.table, one.protocol)
    task = build_task(one, shards, fold, 0, CPU)
    batch = next(task.batches(0, 0, 1))
    loss, _ = task.loss(task.module, batch, 0)
    assert task.net.head.weight.shape[0] == classes and torch.isfinite(loss)  # type: ignore[union-attr]


def test_relative_quality_needs_brisque(sample: Callable[..., Any], pack: Callable[..., Path], tmp_path: Path) -> None:
    shards = pack(tmp_path / "p", [sample(d, "", label, n, brisque=None) for d in "abc" for label in (0, 1) for n in range(4)])
    with pytest.raises(ConfigError, match="needs BRISQUE"):
        run(experiment(shards, tmp_path / "out", loss={"kind": "rq"}))
    run(experiment(shards, tmp_path / "out", loss={"kind": "rq", "quality": False}, loop={"steps": 1}))


YAML = """
out: out
data: {{shards: [{shards}], size: 32, keep: true}}
protocol: {{targets: [a, c], dev_share: 0}}
model: {{use: cue, backbone: resnet18-small, embedding: 16}}
loop: {{steps: 3, batch: 8, warmup: 0}}
scoring: {{bootstrap: 10}}
seeds: [0, 1]
variants:
  residual: {{}}
  with synthetic: {{synthetic: 0.5, loss: {{kind: softmax}}}}
"""


def fasgen(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["experiment", *arguments])


def test_one_file_and_one_command_give_the_table(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.yaml").write_text(YAML.format(shards=three))
    result = fasgen("e.yaml", "--device", "cpu", "loop.steps=2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "leave out a HTER realistic" in lines[2] and "leave out c AUC idealised" in lines[2] and "up to 2 seeds" in lines[0]
    assert [line.split("  ")[0] for line in lines[3:5]] == ["residual", "with synthetic"] and lines[3].count("±") == 6
    assert {"scores.csv", "cross.tex", "full.csv", "roc-leave-out-a.svg"} <= {p.name for p in Path("out").iterdir()}
    assert len(read_scores(Path("out/scores.csv")).rows) == 2 * 2 * 2 * 36 * 2, "two looks, at steps 1 and 2"
    foot = "\n".join(lines[5:])
    for words in (
        "label 1 is live",
        "Nothing says which detector and crops are behind pack-1",
        "train stills, test stills",
        "no threshold without",
    ):
        assert words in foot or words[0].upper() + words[1:] in foot
    again = CliRunner().invoke(main, ["eval", "out/scores.csv", "--layout", "cross"])
    short = CliRunner().invoke(main, ["eval", "out/scores.csv", "--layout", "summary"])
    assert f"{again.stdout}\n{short.stdout}" == result.stdout
    said = fasgen("e.yaml", "--device", "cpu", "--only", "residual", "loop.steps=2")
    assert said.exit_code == 0 and "with synthetic" not in said.stdout and said.stderr.count("already run") == 4
    assert "there is no such variant; there are: residual, with synthetic" in fasgen("e.yaml", "--only", "x").output


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("lop: {steps: 1}", "lop: unknown key; did you mean loop?"),
        ("variants: {v: {model: {use: image, backbone: vit-small, embed: 3}}}", "line 2: model.embed: unknown key"),
        ("loop: {out: x}", "loop.out is set by the experiment"),
        ("loop: {prefetch: 2}", "shards are read ahead by data.workers"),
        ("method: dlif", "needs a resnet"),
        ("method: dlif\nmodel: {backbone: resnet18}\nmix: {a: 2}", "are of method=fas"),
        ("model: {imagenet: true}", "is for model.backbone=efficientnet-lite0"),
        ("model: {backbone: vit-tiny, cue_backbone: vit-tiny}", "needs a resnet for the cue"),
        ("model: {use: image, normalise: ssdg}\nloss: {classifier: asymmetric}", "model.normalise=unit gives alone"),
        ("model: {backbone: resnet18}", "cross_attention needs a vit"),
        ("scoring: {threshold: target-eer}", "scoring.threshold"),
        ("loop: {sheet_every: 5}", "use scoring.looks"),
        ("variants: [a]", "wants a mapping of names"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, changes: str, words: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(f"data: {{shards: [x]}}\n{changes}\n")
    with pytest.raises(ConfigError) as caught:
        load_variants(Experiment, path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "given", "expected"),
    [
        ("agfas", "model.pretrained=v.pth model.cue_pretrained=r.pth", {"use": "cross_attention", "normalise": "ssdg"}),
        ("difffas", "model.pretrained=null", {"use": "image", "backbone": "mobilevit-s"}),
        ("lgsc", "model.pretrained=null", {"use": "cue", "backbone": "resnet18"}),
        ("stdn", "", {"use": "cue"}),
        ("dlif", "", {"backbone": "resnet18"}),
    ],
)
def test_presets_of_the_papers(preset: str, given: str, expected: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(f"preset: {preset}\ndata: {{shards: [x], flip: 0.25}}\nvariants: {{a: {{}}, b: {{loop: {{steps: 7}}}}}}\n")
    found = load_variants(Experiment, path, given.split())
    assert expected.items() <= found["a"].model.model_dump().items() and found["b"].loop.steps == 7
    assert all(one.data.flip == 0.25 and one.loop.clip == one.loop.ema == 0 for one in found.values())
    assert (found["a"].method == "dlif") == (preset == "dlif")


def test_a_preset_asks_for_weights_where_they_are_used(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("preset: agfas\ndata: {shards: [x]}\n")
    with pytest.raises(ConfigError, match=r"preset agfas comes without model.pretrained, model.cue_pretrained"):
        load_variants(Experiment, path)
    found = load_variants(Experiment, path, ["model.use=image", "model.pretrained=v.pth"])
    assert found["e"].model.pretrained is not None
    with pytest.raises(ConfigError, match="embedded says nothing of experiments; these do: agfas, difffas, dlif"):
        load_variants(Experiment, path, ["preset=embedded"])


def test_paths_belong_to_the_file_and_overrides_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "e.yaml"
    path.write_text("data: {shards: [packed]}\nvariants: {v: {model: {pretrained: w.safetensors}}, w: {out: other}}\n")
    monkeypatch.chdir(tmp_path)
    found = load_variants(Experiment, path, ["model.cue_pretrained=c.pt"])
    assert found["v"].data.shards == (tmp_path / "sub" / "packed",)
    assert found["v"].model.pretrained == tmp_path / "sub" / "w.safetensors"
    assert found["w"].model.cue_pretrained == tmp_path / "c.pt"
    with pytest.raises(ConfigError, match="belong to all variants"):
        run_experiments(found, CPU, lambda line: None)


def test_a_device_that_is_not_there_is_refused(three: Path, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(YAML.format(shards=three))
    result = fasgen(str(tmp_path / "e.yaml"), "--device", "cuda:99")
    assert result.exit_code == 2 and "--device cuda:99" in result.output


def test_what_cannot_be_drawn_is_refused_before_anything_is_trained(three: Path, tmp_path: Path) -> None:
    good, bad = experiment(three, tmp_path), experiment(three, tmp_path, loop={"batch": 6})
    with pytest.raises(ConfigError, match="a multiple of 4"):
        run_experiments({"good": good, "bad": bad}, CPU, lambda line: None)
    assert not list(tmp_path.iterdir())
    few = experiment(three, tmp_path, method="dlif")
    with pytest.raises(ConfigError, match="has 3 subjects with live and spoof samples, a batch needs 4"):
        run(few)


def test_the_example_is_read() -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "experiment.yaml"
    found = load_variants(Experiment, path)
    assert len(found) == 6 and found["residual"].model.use == "cue" and found["image"].loop.steps == 400
