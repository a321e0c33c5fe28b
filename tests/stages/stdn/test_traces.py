"""Composition and decomposition undo each other where they should, with the signs that make it so."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.stdn.bands import cuts, low
from fasgen.stages.stdn.traces import Traces, additive, hierarchy, live_of, spoof_of, stacked, unstacked, weaker

from . import tiny


@given(st.integers(0, 2**32 - 1))
def test_a_spoof_less_its_traces_is_the_live_face(seed: int) -> None:
    live, traces = tiny.images(2, seed=seed), tiny.traces(2, seed=seed, mask=0.0)
    assert torch.allclose(live_of(spoof_of(live, traces, torch.zeros_like(live)), traces), live, atol=1e-5)


def test_traces_are_added_to_a_live_face_and_taken_from_a_spoof() -> None:
    flat = torch.full((1, 3, 32, 32), 0.25)
    zero = torch.zeros_like(flat)
    traces = Traces(zero + 0.125, zero, zero, zero[:, :1], zero)
    assert torch.allclose(spoof_of(zero + 0.5, traces, zero), zero + 0.625)
    assert torch.allclose(live_of(zero + 0.625, traces), zero + 0.5)


def test_under_the_mask_the_spoof_itself_is_laid_over_and_the_content_put_in() -> None:
    live, spoof, traces = tiny.images(1), tiny.images(1, seed=1), tiny.traces(1, mask=1.0)
    assert torch.equal(spoof_of(live, traces, spoof), spoof)
    assert torch.equal(live_of(spoof, traces), traces.I_P)


def test_half_a_mask_blends() -> None:
    zero = torch.zeros(1, 3, 32, 32)
    traces = Traces(zero, zero, zero + 0.2, zero[:, :1] + 0.5, zero + 0.8)
    assert torch.allclose(live_of(zero + 0.6, traces), zero + 0.5 * 0.4 + 0.5 * 0.8)
    assert torch.allclose(spoof_of(zero + 0.4, traces, zero + 1), zero + 0.5 * 0.6 + 0.5)


def test_each_trace_counts_in_its_band_alone() -> None:
    zero = torch.zeros(1, 3, 32, 32)
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float().expand_as(zero) - 0.5
    nothing = additive(Traces(board, board, zero, zero[:, :1], zero))
    assert torch.allclose(nothing, zero, atol=1e-6)
    assert torch.equal(additive(Traces(zero, zero, board, zero[:, :1], zero)), board)


def test_the_hierarchy_takes_no_more_than_each_band_allows() -> None:
    image, traces = tiny.images(1), tiny.traces(1, mask=0.0)
    lowest, middle, highest = hierarchy(image, traces)
    n1, n2 = cuts(32)
    assert torch.allclose(lowest, low(image, n1) - low(traces.B, n1), atol=1e-6)
    assert torch.allclose(middle, low(image, n2) - low(traces.B, n1) - low(traces.C, n2), atol=1e-6)
    assert torch.allclose(highest, live_of(image, traces), atol=1e-6)


def test_with_a_whole_mask_every_scale_shows_the_content() -> None:
    traces = tiny.traces(1, mask=1.0)
    for made, n in zip(hierarchy(tiny.images(1), traces), (8, 16, None), strict=True):
        assert torch.allclose(made, low(traces.I_P, n) if n else traces.I_P, atol=1e-5)


def test_harder_samples_are_weaker_each_in_its_own_way() -> None:
    traces = tiny.traces(64, size=8, mask=0.5)
    weak = weaker(traces, torch.Generator().manual_seed(0))
    for before, after in zip(traces[:3], weak[:3], strict=True):
        scale = (after / before).flatten(1)
        assert torch.allclose(scale, scale[:, :1].expand_as(scale), atol=1e-4)
        assert float(scale.min()) >= 0 and float(scale.max()) <= 1 and float(scale[:, 0].std()) > 0.2
    kept = weak.P.flatten(1).mean(1)
    assert set(kept.tolist()) == {0.0, 0.5} and 16 < int((kept > 0).sum()) < 48
    scales = torch.stack([(a / b).flatten(1)[:, 0] for a, b in zip(weak[:3], traces[:3], strict=True)])
    assert float(torch.corrcoef(scales)[0, 1].abs()) < 0.4


def test_what_is_stacked_comes_apart() -> None:
    traces = tiny.traces(2)
    assert all(torch.equal(a, b) for a, b in zip(traces, unstacked(stacked(traces)), strict=True))
    assert torch.equal(traces.take(slice(1, 2)).P, traces.P[1:2])
