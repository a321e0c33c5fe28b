"""Styles on strangers: who meets whom, and what the loss asks for."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from fasgen.stages.denoising.schedule import noised
from fasgen.stages.gallery.train_gallery import Gallery
from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.train_transfer import (
    FIRST,
    TONE,
    UNKNOWN,
    Meetings,
    Strangers,
    bands_loss,
    draw_levels,
    statistics_loss,
    transfer_loss,
)
from fasgen.stages.synth.difffas.training_config import TransferConfig

from .tiny import STYLES, encoder, images

T_MAX = 500


def gallery() -> Gallery:
    out = Gallery()
    out.add(torch.zeros(90, 3, 8, 8, dtype=torch.uint8), ["live"] * 90, ["live"] * 90, ["a"] * 90, True)
    out.add(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), ["d|x|live"] * 3, ["d|x|live"] * 3, ["b"] * 3, True)
    for style, count in ((STYLES[1], 40), (STYLES[2], 2), ("d|x|unknown to the encoder", 5)):
        out.add(torch.zeros(count, 3, 8, 8, dtype=torch.uint8), [style] * count, [style] * count, ["c"] * count, False)
    return out


def test_every_style_is_as_likely_as_any_other_known_to_the_encoder_or_not() -> None:
    live, guide, style = Meetings(gallery(), STYLES).draw(3000, torch.Generator().manual_seed(0))
    assert bool((live < 93).all()) and bool((guide >= 93).all()) and bool((guide < 140).all())
    wanted = torch.where(guide < 133, 1, torch.where(guide < 135, 2, UNKNOWN))
    assert torch.equal(style, wanted), "the label is the guide's style, where there is one"
    for label in (1, 2, UNKNOWN):
        assert 0.3 < Counter(style.tolist())[label] / 3000 < 0.37, "two and five pictures against forty of another"
    few = float((live >= 90).float().mean())
    assert 0.22 < few < 0.31, "half of the draws take a source first, half a picture: 1/4 + 3/93/2"
    assert Meetings(gallery(), STYLES).some() and not Meetings(Gallery(), STYLES).some()


def test_levels_start_high_and_cover_all() -> None:
    first, t = draw_levels(50, T_MAX, torch.Generator().manual_seed(1))
    assert int(first.min()) >= FIRST * T_MAX and int(first.max()) <= T_MAX
    assert sorted(((t - 1) // 10).tolist()) == list(range(50)), "one a stratum of ten"


def test_statistics_are_means_and_deviations_in_the_wanted_units() -> None:
    x = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(2))
    assert float(statistics_loss([x, x], [x, x.flip(2, 3)]).mean()) == pytest.approx(0, abs=1e-9), "where things are is free"
    aim = torch.zeros(1, 1, 2, 2)
    aim[0, 0] = torch.tensor([[1.0, 1.0], [3.0, 3.0]])  # mean 2, deviation 1, mean square 5
    found = torch.full((1, 1, 2, 2), 4.0)  # mean 4, deviation 0
    assert float(statistics_loss([found], [aim])) == pytest.approx((4 + 1) / 5, rel=2e-3)


def test_bands_tell_noise_of_colour_from_what_a_picture_has() -> None:
    x = images(3, 64, seed=7)
    assert float(bands_loss(x, x.flip(3)).max()) == pytest.approx(0, abs=1e-9), "where things are is free"
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(8)) * 0.1
    grey = noise.mean(1, keepdim=True).expand_as(noise)
    assert float(bands_loss(x + noise, x).mean()) > float(bands_loss(x + grey, x).mean()) > 0.07

    def checks(amplitude: float) -> torch.Tensor:
        sign = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 2.0 - 1
        return amplitude * sign.expand(1, 3, 8, 8)

    # All of it is brightness of the finest octave: of 18 bands and 3 tones one differs, by a factor of e.
    assert float(bands_loss(checks(0.1 * math.e), checks(0.1))) == pytest.approx(1 / 21, rel=1e-2)


def test_tones_and_the_coarsest_contrast_count() -> None:
    x = 0.5 * images(3, 64, seed=7)
    assert float(bands_loss(x + TONE, x).mean()) == pytest.approx(1 / 21, rel=1e-4), "lighter throughout: one tone"
    cast = torch.tensor([0.06, 0.0, -0.06])[:, None, None]
    assert float(bands_loss(x + cast, x).mean()) == pytest.approx((0.06**2 + 0.09**2) / TONE**2 / 21, rel=1e-3)
    ramp = torch.linspace(-0.5, 0.5, 64)[:, None].expand(1, 3, 64, 64)
    assert float(bands_loss(0.5 * ramp, ramp)) == pytest.approx(6 * math.log(2) ** 2 / 21, rel=0.1), "also the last band"


def test_a_style_unknown_to_the_encoder_asks_for_all_but_its_verdict() -> None:
    model, abar = encoder().requires_grad_(False), Schedule().abar()
    who = strangers(model)
    known = who.label.clone()
    who.label[1] = UNKNOWN

    def parts(label: Tensor) -> dict[str, Tensor]:
        one = who._replace(label=label)
        config = TransferConfig(share=1)
        return dict(
            transfer_loss(lambda *_: who.live, model, None, one, model.features(who.guide), abar, "sample", config, T_MAX)[1]
        )

    rest = torch.nn.functional.cross_entropy(model.logits(who.live), known, reduction="none")
    rest[1] = 0
    found = parts(who.label)
    assert float(found["style"]) == pytest.approx(float(rest.mean()), rel=1e-4)
    assert torch.equal(found["statistics"], parts(known)["statistics"]) and float(found["bands"]) > 0


def strangers(model: Any, count: int = 4, gamma: float = 1.0) -> Strangers:
    live, guide = images(count, seed=3), images(count, seed=4)
    first, t = draw_levels(count, T_MAX, torch.Generator().manual_seed(5))
    noise = torch.randn(2, *live.shape, generator=torch.Generator().manual_seed(6))
    moves = torch.zeros(count, 2, dtype=torch.int64)
    label = model.logits(guide).argmax(1)
    return Strangers(live, guide, label, first, noise[0], t, noise[1], moves, torch.full((count,), gamma))


def test_a_network_that_returns_the_guide_lacks_no_style_and_one_that_returns_the_live_face_no_identity() -> None:
    model, config = encoder().requires_grad_(False), TransferConfig(share=0.5, style=1, statistics=1, bands=1, identity=1)
    abar = Schedule().abar()
    who = strangers(model)
    guide = images(4, seed=4)

    def embed(x: Tensor) -> Tensor:
        return torch.nn.functional.normalize(x.flatten(1), dim=1)

    def run(answer: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        total, parts = transfer_loss(
            lambda *_: answer, model, embed, who, model.features(who.guide), abar, "sample", config, T_MAX
        )
        return total, dict(parts)

    total, as_guide = run(guide)
    assert float(as_guide["statistics"]) == pytest.approx(0, abs=1e-9)
    assert float(as_guide["bands"]) == pytest.approx(0, abs=1e-9)
    assert float(total) == pytest.approx(sum(map(float, as_guide.values())), rel=1e-6)
    _, as_live = run(who.live)
    assert float(as_live["identity"]) == pytest.approx(0, abs=1e-6)
    assert float(as_guide["identity"]) > 0.1
    wanted = torch.nn.functional.cross_entropy(model.logits(guide), who.label)
    assert float(as_guide["style"]) == pytest.approx(float(wanted), rel=1e-5)


def test_low_levels_are_noised_from_what_the_network_made_of_the_first() -> None:
    model, abar = encoder().requires_grad_(False), Schedule().abar()
    who = strangers(model)
    made = images(4, seed=9)
    seen: list[Tensor] = []

    def denoise(z_t: Tensor, t: Tensor, null: bool) -> Tensor:
        assert not null, "without guidance there is one pass"
        seen.append(z_t)
        return made

    transfer_loss(denoise, model, None, who, model.features(who.guide), abar, "sample", TransferConfig(share=1), T_MAX)
    start, step = seen
    assert torch.equal(start, noised(who.live, who.first_eps, abar[who.first].float()[:, None, None, None]))
    low = who.t < FIRST * T_MAX
    assert bool(low.any()) and not bool(low.all())
    base = torch.where(low[:, None, None, None], made, who.live)
    assert torch.equal(step, noised(base, who.eps, abar[who.t].float()[:, None, None, None]))


def test_saturated_pixels_can_come_back() -> None:
    model, abar = encoder().requires_grad_(False), Schedule().abar()
    answer = torch.full((4, 3, 32, 32), 1.5, requires_grad=True)
    who = strangers(model)
    style = model.features(who.guide)
    total, _ = transfer_loss(lambda *_: answer, model, None, who, style, abar, "sample", TransferConfig(share=1), T_MAX)
    total.backward()  # type: ignore[no-untyped-call]
    assert cast(Tensor, answer.grad).abs().max() > 0


def test_guidance_goes_from_the_null_pass_through_the_pass_under_the_style_and_weighs_more() -> None:
    model, abar = encoder().requires_grad_(False), Schedule().abar()
    plain, guided = strangers(model), strangers(model, gamma=2.0)
    without = TransferConfig(share=1, style=1, statistics=1, bands=1, identity=1)
    under_two = without.model_copy(update={"gamma": (2.0, 2.0)})
    null, answer = 0.1 * images(4, seed=11), (0.1 * images(4, seed=12)).requires_grad_(True)

    def embed(x: Tensor) -> Tensor:
        return torch.nn.functional.normalize(x.flatten(1), dim=1)

    def run(who: Strangers, under: Tensor, config: TransferConfig) -> tuple[Tensor, dict[str, Tensor]]:
        total, parts = transfer_loss(
            lambda *a: null if a[2] else under, model, embed, who, model.features(who.guide), abar, "sample", config, T_MAX
        )
        return total, dict(parts)

    total, parts = run(guided, answer, under_two)
    _, wanted = run(plain, (2 * answer - null).detach(), without)
    for name, part in wanted.items():
        assert float(parts[name].detach()) == pytest.approx(float(part), rel=1e-5), "the image is null + 2 (answer - null)"
    weighed = 2 * (parts["style"] + parts["statistics"] + parts["bands"]) + parts["identity"] / 2
    assert float(total.detach()) == pytest.approx(float(weighed.detach()), rel=1e-5)
    total.backward()  # type: ignore[no-untyped-call]
    assert cast(Tensor, answer.grad).abs().max() > 0


@pytest.mark.parametrize("gamma", [(0.0, 2.0), (3.0, 1.0)])
def test_guidance_that_is_no_range_above_zero_is_refused(gamma: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no range above 0"):
        TransferConfig(gamma=gamma)
