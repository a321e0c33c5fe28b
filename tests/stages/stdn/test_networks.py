"""Generator and discriminators: shapes at the paper's size, ranges, files, and what a fold changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.errors import WeightsError
from fasgen.stages.stdn.discriminators import Discriminators, sides
from fasgen.stages.stdn.generator import Generator, GeneratorConfig, evened
from fasgen.stages.stdn.training_config import StdnTraining

from . import tiny


def test_the_papers_generator_at_its_size() -> None:
    with torch.device("meta"):
        network = Generator(GeneratorConfig()).eval()
        traces, depth = network(torch.empty(2, 3, 256, 256))
        features = network.stem(torch.empty(1, 9, 256, 256))
        shapes = []
        for level in network.down:
            features = level(features)
            shapes.append(tuple(features.shape[1:]))
    assert shapes == [(64, 128, 128), (96, 64, 64), (128, 32, 32)]
    assert [tuple(part.shape) for part in traces] == [(2, c, 256, 256) for c in (3, 3, 3, 1, 3)]
    assert depth.shape == (2, 1, 32, 32)


def test_the_papers_discriminators_at_its_size() -> None:
    assert sides(256) == (32, 96, 256, 256) and sides(112) == (14, 42, 112, 112)
    with torch.device("meta"):
        maps = Discriminators(256).eval()([torch.empty(2, 3, 256, 256)] * 4)
    assert [tuple(one.shape) for one in maps] == [(2, 1, 8, 8), (2, 1, 12, 12), (2, 1, 32, 32), (2, 1, 32, 32)]


def test_the_defaults_of_a_training_are_the_papers() -> None:
    config, shape = StdnTraining(), GeneratorConfig()
    assert (config.faces.size, config.batch, config.lr, config.steps) == (256, 8, 5e-5, 150_000)
    assert (config.widths, config.blocks, config.stem) == (shape.widths, shape.blocks, shape.stem)
    weights = (config.mask_weight, config.gan_weight, config.depth_weight, config.trace_weight, config.harder_weight)
    assert weights == (1, 5, 10, 10, 1) and config.discriminator_rate == 0.5
    assert (config.regularise_live, config.regularise_spoof, config.paired_weight) == (10, 1e-4, 0)


@pytest.mark.parametrize("changes", [{}, {"fold": 2}, {"size": 48}])
def test_outputs_stay_in_their_ranges(changes: dict[str, int]) -> None:
    network = tiny.generator(loud=200.0, **changes)
    traces, depth = network(tiny.images(2, network.config.size))
    for part in traces[:3]:
        assert part.shape[-1] == network.config.size and float(part.abs().max()) <= 1
        assert float(part.min()) < 0 < float(part.max())
    for part in (traces.P, traces.I_P, depth):
        assert float(part.min()) >= 0 and float(part.max()) <= 1


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_what_repeats_with_the_fold_is_taken_out_and_nothing_moves(fold: int) -> None:
    coin = torch.Generator().manual_seed(fold)
    tile = torch.randn(2, 3, fold, fold, generator=coin)
    mean = tile.mean((2, 3), keepdim=True)
    inside = slice(fold - 1, -(fold - 1) or None)
    made = evened(tile.tile(1, 1, 24 // fold, 24 // fold), fold)
    assert torch.allclose(made[..., inside, inside], mean.expand_as(made[..., inside, inside]), atol=1e-6)
    if fold == 2:
        assert torch.allclose(made, mean.expand_as(made), atol=1e-6), "up to the border, too"
    ramp = torch.arange(24.0).expand(1, 1, 24, 24) + 3 * torch.arange(24.0)[:, None]
    assert torch.allclose(evened(ramp, fold)[..., inside, inside], ramp[..., inside, inside], atol=1e-4)


def test_a_smooth_generator_has_no_grid_and_takes_the_tensors_of_one_that_has() -> None:
    rough = tiny.generator(loud=4.0, fold=2)
    smooth = Generator(GeneratorConfig(**(tiny.GENERATOR | {"fold": 2, "smooth": True}))).eval()
    smooth.load_state_dict(rough.state_dict())
    grey = torch.full((1, 3, 256, 256), 0.5)

    def grid(network: Generator) -> float:
        with torch.no_grad():
            # Far from the border, where nothing but the place within the fold differs.
            middle = network(grey).traces.T[..., 120:136, 120:136]
        places = torch.stack([middle[..., row::2, column::2].mean((2, 3)) for row in (0, 1) for column in (0, 1)])
        return float((places.amax(0) - places.amin(0)).max())

    assert grid(rough) > 0.01 and grid(smooth) < 0.05 * grid(rough)


def test_traces_and_mask_begin_small() -> None:
    traces, _ = tiny.generator(loud=1.0)(tiny.images(2))
    assert float(traces.P.mean()) < 0.05
    assert max(float(part.abs().mean()) for part in traces[:3]) < 0.2


def test_no_two_discriminators_share_weights() -> None:
    judges = Discriminators(64, 4)
    owners = [{id(p) for p in judge.parameters()} for judge in judges]
    assert len(set.union(*owners)) == sum(map(len, owners))


def test_a_folder_gives_the_generator_back(tmp_path: Path) -> None:
    network = tiny.generator(fold=2, alpha0=3.0)
    network.save(tmp_path)
    again = Generator.load(tmp_path)
    assert again.config == network.config and again.config.alpha0 == 3
    assert torch.equal(again(tiny.images(1)).depth, network(tiny.images(1)).depth)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    tiny.generator().save(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "Generator", "size": 33}')
    with pytest.raises(WeightsError, match="size 33 is no multiple of 8"):
        Generator.load(tmp_path)
    with pytest.raises(WeightsError, match="not readable"):
        Generator.load(tmp_path / "nothing")
