"""The step of the De-fake Face Generator: what parts and checkpoints of a batch cost, and that they change nothing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from fasgen.errors import ConfigError
from fasgen.stages.defake.train_dfg import DFGTask
from fasgen.stages.defake.train_start import build_unet
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.training.config import LoopConfig
from fasgen.training.learner import Learner
from fasgen.training.watch import Watch
from tests.stages.defake.test_train_start import faces, identity, stable  # noqa: F401 (fixtures)

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def task(stable: Path, faces: Path, identity: Path, tmp_path: Path) -> Any:  # noqa: F811
    """Makes tasks on a Stable Diffusion's shape, all with the same weights."""

    def make(**changes: Any) -> DFGTask:
        values = {"out": tmp_path, "batch": 4, "init": stable, "identity": str(identity), "lr": 1e-3, "precision": "fp32"}
        faces_of = {"path": faces, "size": 40}
        return DFGTask(DFGTraining.model_validate({**values, "faces": faces_of, **changes}), CPU)

    return make


def gradients(made: DFGTask) -> tuple[Tensor, dict[str, Tensor]]:
    made.module.train()
    loss, _ = made.loss(made.module, next(made.batches(0, 0, 1)), 0)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss, {name: p.grad for name, p in made.module.named_parameters() if p.grad is not None}


def test_checkpointing_changes_no_gradient(task: Any) -> None:
    plain, checkpointed = task(), task(checkpointing=True)
    assert checkpointed.dfg.unet.is_gradient_checkpointing and not plain.dfg.unet.is_gradient_checkpointing
    (loss, wanted), (again, found) = gradients(plain), gradients(checkpointed)
    assert torch.equal(loss, again) and wanted.keys() == found.keys()
    assert all(torch.allclose(found[name], value, rtol=1e-5, atol=1e-8) for name, value in wanted.items())


def test_a_step_in_passes_is_the_step(task: Any) -> None:
    """Loss, its parts but for the noisy levels', whose mean is over means, and weights."""
    ends = []
    for passes in (1, 2, 4):
        made = task(accumulate=passes)
        batch = next(made.batches(0, 0, 1))
        assert len(made.parts(batch)) == passes and len(made.parts(batch)[0].seen) == 4 // passes
        made.module.train()
        told = Learner(made, made.config, CPU, Watch(made.config, CPU), 1, print)(batch, 0)
        ends.append((told, {name: p.detach() for name, p in made.module.named_parameters()}))
    (wanted, weights), *others = ends
    for told, found in others:
        assert all(float(told[name]) == pytest.approx(float(wanted[name]), rel=1e-5) for name in ("loss", "plain"))
        # AdamW's first step is as long for a small gradient as for a large one: rounding shows where there is hardly any.
        apart = torch.cat([(found[name] - value).flatten() for name, value in weights.items()]).abs()
        assert float(apart.mean()) < 1e-6


def test_what_does_not_divide_is_refused(task: Any) -> None:
    with pytest.raises(ConfigError, match="accumulate=3 does not divide the 4 samples that a rank has of batch=4"):
        next(task(accumulate=3).batches(0, 0, 1))
    with pytest.raises(ConfigError, match="accumulate=4 does not divide the 2 samples"):
        next(task(accumulate=4).batches(0, 0, 2))


def test_a_step_is_the_same_whichever_came_before_and_wherever_faces_lie(task: Any) -> None:
    first = list(islice(task().batches(0, 0, 1), 4))[3]
    resident, hosted = task(), task()
    hosted.banks = [type(bank)(bank._parts, CPU, False) for bank in hosted.banks]
    for made in (resident, hosted):
        again = next(made.batches(3, 0, 1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True) if a is not None)
    other = next(task().batches(3, 1, 2))
    assert len(other.seen) == 2 and not torch.equal(other.eps, first.eps[2:]), "a rank's noise is its own"
    assert torch.equal(other.seen, first.seen[2:]), "its faces are its share"


def test_cached_latents_are_those_of_the_faces(task: Any) -> None:
    plain, cached = (next(made.batches(2, 0, 1)) for made in (task(), task(cache=True)))
    assert plain.tokens is None and cached.tokens is not None and torch.equal(plain.t, cached.t)
    z_0, tokens = task().encoder(plain.seen, plain.mirrored)
    assert torch.allclose(cached.seen.float(), z_0, rtol=2e-3, atol=5e-3)
    assert torch.allclose(cached.tokens.float(), tokens, rtol=2e-3, atol=5e-3)


def kept(batch: int, checkpointing: bool) -> int:
    """Bytes that Stable Diffusion 1.5's U-Net keeps for its backward pass at 256 px, copies of its weights included.

    In bfloat16 where autocast computes in it; nothing is computed.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        unet = build_unet(DFGTraining(), 4, 32).train()
        if checkpointing:
            unet.enable_gradient_checkpointing()
        own = {p.untyped_storage()._cdata for p in unet.parameters()}
        found: dict[int, Tensor] = {}

        def pack(x: Tensor) -> Tensor:
            if x.untyped_storage()._cdata not in own:
                found[x.untyped_storage()._cdata] = x
            return x

        z_t, t, tokens = torch.randn(batch, 4, 32, 32), torch.zeros(batch), torch.randn(batch, 49, 768)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x), torch.autocast("cpu", torch.bfloat16):
            unet(z_t, t, encoder_hidden_states=tokens, return_dict=False)[0].float().square().mean()
        return sum(x.untyped_storage().nbytes() for x in found.values())


def test_stable_diffusions_unet_fits_a_gpu_at_batch_32() -> None:
    """The arithmetic of docs/training.md: float32 weights, gradients, two moments and the average; and what is kept."""
    states = 5 * 4 * 859_520_964
    plain, checkpointed = kept(32, False), kept(32, True)
    assert 16.0 < states / GIB < 16.1
    assert 8 < plain / GIB < 9.5 and 1 < checkpointed / GIB < 1.6
    assert states + plain < 0.5 * 80e9
    small = kept(4, False)
    assert 0.2 < (plain - small) / 28 / GIB < 0.25, "a sample more"


def test_the_defaults_take_a_batch_at_once() -> None:
    config = DFGTraining()
    assert (config.accumulate, config.checkpointing, config.compile) == (1, False, "auto") and isinstance(config, LoopConfig)
