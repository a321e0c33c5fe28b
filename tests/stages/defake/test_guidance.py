"""Identities that are withheld in training, walks that are guided, and weights that cannot be."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fasgen.errors import ConfigError
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.defake.config import DefakeConfig, identity_drop, refusal
from fasgen.stages.defake.model import DFG
from fasgen.stages.defake.stage import Defake
from fasgen.stages.defake.tokens import withheld
from fasgen.stages.defake.train_dfg import DFGTask
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.denoising.grids import exact_grid
from fasgen.training.loop import train
from tests.stages.defake.test_train_start import faces, identity, stable  # noqa: F401 (fixtures)
from tests.stages.defake.tiny import write_patch

CPU = torch.device("cpu")
GRID = exact_grid(800, 4)


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patch(tmp_path_factory.mktemp("dfg"))


def dropped(patch: Path, folder: Path, drop: float) -> Path:
    """The same weights, saying that they learnt with identities withheld."""
    dfg = DFG.load(patch)
    dfg.drop = drop
    dfg.save(folder)
    return folder


def inputs(count: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1
    return x, torch.randn(count, 512, 7, 7, generator=generator), torch.randn(count, 4, 4, 4, generator=generator)


def test_tokens_are_withheld_where_it_is_said() -> None:
    tokens = torch.randn(3, 49, 512)
    some = withheld(tokens, torch.tensor([False, True, False]))
    assert not some[1].any() and torch.equal(some[::2], tokens[::2]) and not withheld(tokens).any()


def test_weights_say_what_was_withheld_and_diffusers_does_not_mind(
    patch: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert identity_drop(patch / "unet") == 0 and "identity" not in (patch / "unet" / "config.json").read_text()
    some = dropped(patch, tmp_path / "some", 0.25)
    with caplog.at_level(logging.WARNING, "diffusers"):
        assert DFG.load(some).drop == identity_drop(some / "unet") == 0.25
    assert not caplog.records
    # A U-Net beside a folder speaks for itself, and what is saved again says it once more.
    again = DFG.load(patch, some / "unet")
    again.save(tmp_path / "again")
    assert DFG.load(tmp_path / "again").drop == 0.25
    for text in ("[]", "{", '{"_identity_drop": "much"}'):
        (tmp_path / "config.json").write_text(text)
        assert identity_drop(tmp_path) == 0


def test_a_guided_step_moves_from_the_prediction_without(patch: Path) -> None:
    dfg = DFG.load(patch)
    x, maps, eps = inputs()
    with torch.no_grad():
        own, none = dfg.reconstruct(x, maps, eps, GRID), dfg.reconstruct(x, maps * 0, eps, GRID)
        assert torch.equal(dfg.reconstruct(x, maps, eps, GRID, guidance=0.0), none) and not torch.equal(own, none)
        # Where both predictions are the same there is nothing to move.
        assert torch.allclose(dfg.reconstruct(x, maps * 0, eps, GRID, guidance=3.0), none, atol=1e-5)
        seen: list[Tensor] = []

        def oracle(z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
            seen.append(condition)
            return torch.full_like(z_t, float(len(seen) % 2))

        dfg.predict = oracle  # type: ignore[method-assign]
        z, t = torch.randn(2, 4, 4, 4), torch.full((2,), 800)
        weights = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0])
        # 1 with, 0 without: 0 + 2.5 (1 - 0).
        assert torch.equal(
            dfg.step(z, z, t, torch.ones(2, 49, 32), weights, torch.zeros(2, 49, 32), 2.5)[0], torch.full_like(z, 2.5)
        )
        assert seen[0].all() and not seen[1].any()
        seen.clear()
        dfg.reconstruct(x, maps, eps, GRID, guidance=2.0)
        assert len(seen) == 2 * len(GRID)


def test_without_identity_whose_face_it_is_does_not_count(patch: Path, tmp_path: Path) -> None:
    dfg = DFG.load(dropped(patch, tmp_path, 1.0))
    x, maps, eps = inputs()
    with torch.no_grad():
        assert torch.equal(dfg.reconstruct(x, maps, eps, GRID), dfg.reconstruct(x, maps.flip(0), eps, GRID))


@pytest.mark.parametrize(("drop", "message"), [(0.0, "never learnt without an identity"), (1.0, "know no identity"), (0.1, "")])
def test_guidance_is_refused_when_planned_where_weights_cannot_be_guided(
    patch: Path, tmp_path: Path, drop: float, message: str
) -> None:
    folder = dropped(patch, tmp_path, drop)
    config = DefakeConfig(weights=str(folder), guidance=2.0, batch=2, compile="off")
    said = refusal(config, {"align": AlignConfig(size=32)})
    assert message in said and bool(said) == bool(message)
    assert not refusal(DefakeConfig(weights=str(folder)), {"align": AlignConfig(size=32)})
    if message:
        with pytest.raises(ConfigError, match=message):
            Defake(config, CPU)
    else:
        assert Defake(config, CPU).dfg.drop == 0.1


@pytest.fixture
def settings(stable: Path, faces: Path, identity: Path, tmp_path: Path) -> Any:  # noqa: F811
    def make(out: str = "out", **changes: Any) -> DFGTraining:
        values = {"out": tmp_path / out, "batch": 4, "init": stable, "identity": str(identity), "lr": 1e-3, "steps": 4}
        values |= {"precision": "fp32", "faces": {"path": faces, "size": 40}, "log_every": 1, "sheet_every": 100}
        return DFGTraining.model_validate({**values, **changes})

    return make


def test_a_share_is_drawn_anew_and_costs_what_is_drawn_besides_nothing(settings: Any) -> None:
    plain, half = (DFGTask(settings(identity_drop=drop), CPU) for drop in (0.0, 0.5))
    found = [next(half.batches(step, 0, 1)) for step in range(24)]
    first = next(plain.batches(0, 0, 1))
    assert first.nameless is None and torch.equal(first.t, found[0].t) and torch.equal(first.eps, found[0].eps)
    drawn = torch.stack([batch.nameless for batch in found if batch.nameless is not None])
    assert 30 < drawn.sum() < 66 and drawn.shape == (24, 4) and len(drawn.unique(dim=0)) > 4
    assert len(half.parts(found[0])) == 1
    # What is withheld is not looked at: other tokens give the same loss.
    none = DFGTask(settings(identity_drop=1.0, cache=True), CPU)
    batch = next(none.batches(0, 0, 1))
    assert batch.nameless is not None and batch.nameless.all() and batch.tokens is not None
    none.module.eval()
    losses = [none.loss(none.module, batch._replace(tokens=tokens), 0)[0] for tokens in (batch.tokens, batch.tokens + 1)]
    assert torch.equal(*losses)


def test_what_resumes_is_what_never_stopped_and_the_stage_knows(settings: Any) -> None:
    whole = settings("whole", identity_drop=0.5)
    final = train(DFGTask(whole, CPU), whole, CPU)
    part = settings("part", identity_drop=0.5, steps=2)
    train(DFGTask(part, CPU), part, CPU)
    rest = part.model_copy(update={"steps": 4})
    resumed = train(DFGTask(rest, CPU), rest, CPU)
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (final / name).read_bytes() == (resumed / name).read_bytes()
    assert json.loads((final / "unet" / "config.json").read_text())["_identity_drop"] == 0.5
    assert not refusal(DefakeConfig(weights=str(final), guidance=1.5), {"align": AlignConfig(size=40)})
