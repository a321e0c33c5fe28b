"""Where data lies: rows are the same wherever they are taken from, and only so much of a device is taken."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fasgen.training import residency
from fasgen.training.draws import CPU
from fasgen.training.residency import Bank, Fetch, fits, gathered, sent

CUDA = torch.device("cuda")


def parts_of(lengths: list[int]) -> list[Tensor]:
    """Rows (3, 2) that hold their own number."""
    starts = np.cumsum([0, *lengths])
    return [torch.arange(a, b).reshape(-1, 1, 1).expand(-1, 3, 2).contiguous() for a, b in pairwise(starts)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any), st.data())
def test_rows_are_counted_through_all_parts(lengths: list[int], data: st.DataObject) -> None:
    parts, count = parts_of(lengths), sum(lengths)
    index = torch.tensor(data.draw(st.lists(st.integers(0, count - 1), max_size=6)), dtype=torch.int64)
    wanted = index.reshape(-1, 1, 1).expand(-1, 3, 2)
    assert torch.equal(gathered(parts, index), wanted)
    out = torch.full((len(index), 3, 2), -1)
    assert torch.equal(gathered(parts, index, out), wanted) and torch.equal(out, wanted)
    for resident in (True, False):
        bank = Bank(parts, CPU, resident)
        assert len(bank) == count and torch.equal(bank.take(index), wanted)


def test_parts_become_one_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device: each part is copied some rows at a time, the last of them fewer."""
    parts = parts_of([5, 0, 3])
    monkeypatch.setattr(residency, "_PORTION", 2 * parts[0][0].nbytes)
    assert torch.equal(residency._moved(parts, CPU), torch.cat(parts))


def test_mapped_files_are_read_where_they_lie(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(12, dtype=np.uint8).reshape(4, 3))
    mapped = torch.from_numpy(np.load(tmp_path / "rows.npy", mmap_mode="r+"))
    bank = Bank([mapped], CPU, fits([mapped], CPU))
    assert bank.resident and bank.take(torch.tensor([2])).tolist() == [[6, 7, 8]]


def test_a_stated_share_of_what_is_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [torch.zeros(30, dtype=torch.uint8), torch.zeros(10, dtype=torch.uint8)]
    for free, fit in ((100, True), (99, False)):
        monkeypatch.setattr(residency, "free_memory", lambda device, free=free: free)
        assert fits(rows, CUDA) == fit, "forty bytes in 0.4 of what is free"
    assert fits(rows, CPU)


def test_rows_on_the_host_are_asked_for_by_numbers_on_the_host() -> None:
    assert Bank([torch.zeros(3)], CUDA, resident=False).where == CPU


def test_what_is_fetched_is_what_it_was() -> None:
    values = torch.tensor([1.5, float("inf")])
    fetch = Fetch(values)
    values += 1
    assert fetch.ready() and fetch.read() == [1.5, float("inf")]


def test_what_is_there_is_not_sent() -> None:
    x = torch.zeros(3)
    assert sent(x, CPU) is x
