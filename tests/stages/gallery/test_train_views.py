"""Windows of pictures: whole pixels, from where they were asked for, the edge beyond the edge."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from fasgen.stages.gallery.train_views import moved, window

MOST = 3


def test_moving_copies_whole_pixels() -> None:
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert torch.equal(moved(x, torch.tensor([[0, 0]])), x)
    down = moved(x, torch.tensor([[1, -2]]))
    assert torch.equal(down[0, 0, :5, 2:], x[0, 0, 1:, :4])


def by_padding(x: Tensor, by: Tensor) -> Tensor:
    """The definition: the edge repeated, and a view cut out."""
    height, width = x.shape[2:]
    padded = F.pad(x, (MOST,) * 4, mode="replicate")
    places = (by + MOST).tolist()
    return torch.stack([p[:, dy : dy + height, dx : dx + width] for p, (dy, dx) in zip(padded, places, strict=True)])


@given(st.lists(st.tuples(st.integers(-MOST, MOST), st.integers(-MOST, MOST)), min_size=1, max_size=4))
def test_the_edge_is_repeated_and_gradients_go_back_to_where_values_came_from(moves: list[tuple[int, int]]) -> None:
    one = torch.rand(len(moves), 2, 5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    two = one.detach().clone().requires_grad_(True)
    by, weight = torch.tensor(moves), torch.rand(len(moves), 2, 5, 7, generator=torch.Generator().manual_seed(1))
    made, wanted = moved(one, by), by_padding(two, by)
    assert torch.equal(made, wanted)
    (made * weight).sum().backward()  # type: ignore[no-untyped-call]
    (wanted * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None and two.grad is not None and torch.allclose(one.grad, two.grad)


def test_a_window_is_a_part() -> None:
    x = torch.arange(2 * 3 * 6 * 8.0).reshape(2, 3, 6, 8)
    out = window(x, torch.tensor([[0, 0], [2, 5]]), 4, 3)
    assert torch.equal(out[0], x[0, :, :4, :3]) and torch.equal(out[1], x[1, :, 2:, 5:])
