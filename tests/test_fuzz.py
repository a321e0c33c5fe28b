"""The short form of `make fuzz`."""

from __future__ import annotations

import pytest

from tests.fuzz import TARGETS, fuzz, mutate


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_crashes_and_nothing_is_lost(name: str) -> None:
    share = TARGETS[name][1]
    assert sum(fuzz(name, 12 * share, seed=1).values()) >= 12 * share


def test_mutations_are_the_same_for_the_same_seed_and_always_change_something() -> None:
    import random

    data = bytes(range(256)) * 4
    one, two = ([mutate(random.Random(seed), data) for seed in range(200)] for _ in range(2))
    assert one == two and data not in one
