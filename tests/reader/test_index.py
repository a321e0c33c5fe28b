"""Any sample by its number, equal to what the stream gives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fasgen.errors import ConfigError
from fasgen.reader import FasDataset, FasIndex, SampleDecoder, ShardError, collate

Packed = Callable[..., Path]
Members = Callable[..., dict[str, bytes]]
Write = Callable[..., Path]


def test_equals_the_stream(packed: Packed) -> None:
    folder = packed([3, 0, 4])
    index = FasIndex(folder)
    assert len(index) == 7
    for number, sample in enumerate(FasDataset(folder)):
        other = index[number]
        assert torch.equal(sample["image"], other["image"]) and torch.equal(sample["residual"], other["residual"])
        assert sample["meta"] == other["meta"] == index.meta(number)
        assert index.number_of[sample["meta"]["sample_id"]] == number


def test_reads_in_any_order_by_forked_and_by_pickled_workers(packed: Packed) -> None:
    index = FasIndex(packed([5, 6]))
    index[3]
    loader = DataLoader(index, batch_size=3, shuffle=True, num_workers=2, collate_fn=collate)
    assert sorted(meta["number"] for batch in loader for meta in batch["meta"]) == list(range(11))
    assert pickle.loads(pickle.dumps(index))[10]["meta"]["number"] == 10
    index.close()
    assert index[0]["meta"]["number"] == 0


def test_select_numbers_only_what_is_wanted(packed: Packed) -> None:
    index = FasIndex(packed([10]), SampleDecoder(select={"label": ["live"]}))
    assert [sample["meta"]["number"] for sample in index] == [1, 3, 5, 7, 9]
    with pytest.raises(IndexError):
        index[5]


def test_damage_is_named(packed: Packed, tmp_path: Path, members: Members, write_shard: Write) -> None:
    folder = packed([3])
    path = folder / "fas-000000.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ShardError, match=r"fas-000000\.tar, sample 0000000000000000: the shard is truncated"):
        FasIndex(folder)
    write_shard(path, [("aa", members(1))])
    with pytest.raises(ShardError, match="states 3 samples, the shard has 1"):
        FasIndex(folder)


def test_remote_shards_are_refused() -> None:
    with pytest.raises(ConfigError, match="local disk"):
        FasIndex("https://example.org/fas-000000.tar")
