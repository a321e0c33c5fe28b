"""No sample lost, none doubled; the same order for the same seed; damage is named or counted."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from fasgen.errors import ConfigError, StoreError
from fasgen.reader import FasDataset, JointAugment, SampleDecoder, Shard, ShardError, collate, scale_cue
from fasgen.reader.dataset import buffered
from fasgen.reader.split import Consumer, shard_order, spans

Packed = Callable[..., Path]
Members = Callable[..., dict[str, bytes]]
Write = Callable[..., Path]


def numbers(data: FasDataset) -> list[int]:
    return [sample["meta"]["number"] for sample in data]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_spans_deal_every_sample_once(
    counts: list[int], world: int, workers: int, indexed: bool, even: bool, epoch: int
) -> None:
    shards = [Shard(str(i), count if indexed else None) for i, count in enumerate(counts)]
    shards = [shards[i] for i in shard_order(len(shards), 7, epoch)]
    even = even and indexed
    seen: Counter[tuple[str, int]] = Counter()
    of_rank: Counter[int] = Counter()
    for rank in range(world):
        for worker in range(workers):
            for span in spans(shards, Consumer(rank, world, worker, workers), even=even):
                stop = counts[int(span.shard.url)] if span.stop is None else span.stop
                seen.update((span.shard.url, i) for i in range(span.start, stop))
                of_rank[rank] += stop - span.start
    assert set(seen.values()) <= {1}
    total = sum(counts)
    assert len(seen) == (total - total % world if even else total)
    if indexed:
        assert max(of_rank[r] for r in range(world)) - min(of_rank[r] for r in range(world)) <= (0 if even else 1)


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_lose_and_double_nothing(packed: Packed, index: bool, workers: int) -> None:
    folder = packed([5, 1, 7], index=index)
    data = FasDataset(folder, shuffle=4, seed=3)
    loader = DataLoader(data, batch_size=4, num_workers=workers, collate_fn=collate)
    seen = [meta["number"] for batch in loader for meta in batch["meta"]]
    assert sorted(seen) == list(range(13))
    if index:
        assert len(data) == 13


def test_tensors(packed: Packed) -> None:
    [first, *_] = FasDataset(packed([2]), SampleDecoder(cue_scale="signed"))
    rng = np.random.default_rng(0)
    image, made = rng.integers(0, 256, (2, 16, 16, 3), np.uint8)
    assert first["image"].dtype == first["residual"].dtype == torch.float32
    assert np.array_equal(first["image"].permute(1, 2, 0).numpy(), image.astype(np.float32) / np.float32(127.5) - 1)
    assert np.allclose(first["residual"].permute(1, 2, 0).numpy(), (image.astype(np.int16) - made) / 127.5)
    assert first["label"] == 0 and first["meta"]["shard"].endswith("fas-000000.tar")
    [levels, *_] = FasDataset(packed([2]), SampleDecoder(cue_scale="levels"))
    assert torch.equal(first["image"] - levels["residual"] / 127.5, first["image"] - first["residual"])


def test_cue_is_standardised_by_default(packed: Packed) -> None:
    for sample in FasDataset(packed([3])):
        assert abs(float(sample["residual"].double().mean())) < 1e-6
        assert abs(float(sample["residual"].double().std(correction=0)) - 1) < 1e-6


def several(tmp_path: Path, members: Members, write_shard: Write) -> Path:
    """Three samples with a residual, an LGSC map whose JSON names its scale, and a cue of two channels that is damaged."""
    samples = []
    for n in range(3):
        files = members(n)
        rng = np.random.default_rng(100 + n)
        told = json.loads(files["json"])
        told["cues"]["lgsc"] = {"one": 32767.0}
        stream = io.BytesIO()
        np.save(stream, rng.integers(-32767, 32768, (16, 16, 3)).astype(np.int16))
        more = {"lgsc.npy": stream.getvalue(), "traces.npy": b"no array", "json": json.dumps(told).encode()}
        samples.append((f"{n:016x}", files | more))
    return write_shard(tmp_path / "fas-000000.tar", samples)


def test_only_the_cues_that_are_asked_for_are_decoded(tmp_path: Path, members: Members, write_shard: Write) -> None:
    shard = several(tmp_path, members, write_shard)
    [first, *_] = FasDataset(shard, SampleDecoder(cues=("lgsc", "residual"), cue_scale={"lgsc": "signed"}))
    assert set(first) == {"image", "residual", "lgsc", "label", "meta"}
    expected = np.random.default_rng(100).integers(-32767, 32768, (16, 16, 3)).astype(np.float32) / np.float32(32767)
    assert np.array_equal(dict(first)["lgsc"].permute(1, 2, 0).numpy(), expected)
    assert abs(float(first["residual"].double().std(correction=0)) - 1) < 1e-6
    [alone, *_] = FasDataset(shard, SampleDecoder(cues=()))
    assert set(alone) == {"image", "label", "meta"}
    with pytest.raises(ShardError, match=r"traces\.npy cannot be decoded"):
        list(FasDataset(shard, SampleDecoder(cues=("traces",))))


@given(st.integers(0, 2**31), st.booleans())
def test_image_and_all_cues_move_as_one(seed: int, flip: bool) -> None:
    augment = JointAugment(flip=float(flip), degrees=20, scale=(0.8, 1.2), shift=0.1, crop=(12, 12))
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(seed))
    fields = {"image": image, "residual": 2 * image, "lgsc": 1 - image, "traces": torch.cat([image, -image])}
    moved = augment(fields, torch.Generator().manual_seed(seed))
    assert torch.allclose(moved["residual"], 2 * moved["image"], atol=1e-6)
    assert torch.allclose(moved["lgsc"], 1 - moved["image"], atol=1e-6)
    assert torch.allclose(moved["traces"], torch.cat([moved["image"], -moved["image"]]), atol=1e-6)


def test_a_cue_is_standardised_alike_whatever_its_scale() -> None:
    x = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    levels, fixed = scale_cue(127.5 * x, "standardised"), scale_cue(32767 * x, "standardised", 32767)
    assert torch.allclose(levels, fixed, atol=1e-5)
    assert torch.equal(scale_cue(torch.full((3, 4, 4), 9.0), "standardised", 32767), torch.zeros(3, 4, 4))


def test_order_depends_on_seed_and_epoch_only(packed: Packed) -> None:
    folder = packed([6, 6, 6])
    data, again = FasDataset(folder, shuffle=5, seed=1), FasDataset(folder, shuffle=5, seed=1)
    first = numbers(data)
    assert first == numbers(again) != numbers(FasDataset(folder, shuffle=5, seed=2))
    data.set_epoch(1)
    assert numbers(data) != first and sorted(numbers(data)) == sorted(first)
    assert numbers(FasDataset(folder)) == list(range(18))


def test_persistent_workers_follow_the_epoch(packed: Packed) -> None:
    data = FasDataset(packed([8, 8]), shuffle=6)
    loader = DataLoader(data, batch_size=2, num_workers=1, persistent_workers=True, collate_fn=collate)
    orders = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        orders.append([meta["number"] for batch in loader for meta in batch["meta"]])
    assert orders[0] == orders[2] != orders[1]


def test_augmentation_of_a_sample_does_not_depend_on_workers(packed: Packed) -> None:
    decoder = SampleDecoder(augment=JointAugment(degrees=10, shift=0.1), seed=5)
    folder = packed([4, 5])
    results = []
    for workers in (0, 2):
        loader = DataLoader(FasDataset(folder, decoder), batch_size=1, num_workers=workers, collate_fn=collate)
        results.append({batch["meta"][0]["number"]: batch["image"] for batch in loader})
    assert all(torch.equal(results[0][n], results[1][n]) for n in range(9))


def test_ranks_share_without_overlap_and_evenly_if_asked(packed: Packed) -> None:
    folder = packed([5, 6])
    both = [numbers(FasDataset(folder, shuffle=3, rank=rank, world=2)) for rank in (0, 1)]
    assert sorted(both[0] + both[1]) == list(range(11))
    even = [FasDataset(folder, even=True, rank=rank, world=2) for rank in (0, 1)]
    assert [len(numbers(data)) for data in even] == [len(data) for data in even] == [5, 5]


def test_rank_of_the_launcher_is_used(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert numbers(FasDataset(packed([4]))) == [2, 3]


def test_select_passes_over_what_is_not_wanted(packed: Packed) -> None:
    folder = packed([10])
    data = FasDataset(folder, SampleDecoder(select={"split": {"train"}, "label": {"live"}}))
    assert numbers(data) == [1, 3, 7, 9]
    with pytest.raises(TypeError, match="not known"):
        len(data)


def test_buffer_keeps_every_item() -> None:
    out = list(buffered(range(100), 7, np.random.default_rng(0)))
    assert sorted(out) == list(range(100)) != out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200_000))
def test_a_truncated_shard_ends_with_its_name_or_is_counted(members: Members, write_shard: Write, cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_shard(folder / "fas-000000.tar", [(f"{n:016x}", members(n)) for n in range(6)])
        whole = path.read_bytes()
        content_end = len(whole.rstrip(b"\0"))
        path.write_bytes(whole[: cut % content_end])
        (folder / "index.json").write_text('{"shards":[{"name":"fas-000000.tar","samples":6}]}')
        with pytest.raises(ShardError, match=r"fas-000000\.tar") as caught:
            list(FasDataset(folder))
        assert caught.value.shard == str(path)
        data = FasDataset(folder, on_error="skip")
        seen = numbers(data)
        assert seen == list(range(len(seen))) and len(seen) + data.skipped == 6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_header_byte_is_noticed(members: Members, write_shard: Write, place: int, change: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = write_shard(Path(name) / "s.tar", [("a", members(1))])
        content = bytearray(path.read_bytes())
        content[place % 512] ^= change
        path.write_bytes(content)
        try:
            seen = numbers(FasDataset(path))
        except ShardError as error:
            assert error.shard == str(path)
        else:  # blanks around the checksum carry nothing
            assert 148 <= place % 512 < 156 and seen == [1]


@pytest.mark.parametrize("missing", ["png", "residual.npy", "json"])
def test_a_missing_member_is_named_or_counted(tmp_path: Path, missing: str, members: Members, write_shard: Write) -> None:
    broken = members(1)
    del broken[missing]
    path = write_shard(tmp_path / "s.tar", [("aa", members(0)), ("bb", broken), ("cc", members(2))])
    with pytest.raises(ShardError, match=f"sample bb: member {missing} is missing"):
        list(FasDataset(path))
    data = FasDataset(path, on_error="skip")
    loader = DataLoader(data, batch_size=2, num_workers=1, collate_fn=collate)
    assert [meta["number"] for batch in loader for meta in batch["meta"]] == [0, 2]
    assert data.skipped == 1


@pytest.mark.parametrize(
    "extension, damage",
    [("png", b"no image"), ("png", b""), ("residual.npy", b"\x93NUMPY\x01"), ("json", b"[1"), ("json", b"[]")],
)
def test_a_member_that_cannot_be_decoded_is_named(
    tmp_path: Path, extension: str, damage: bytes, members: Members, write_shard: Write
) -> None:
    path = write_shard(tmp_path / "s.tar", [("bb", {**members(1), extension: damage})])
    with pytest.raises(ShardError, match=rf"s\.tar, sample bb: member {extension} cannot be decoded"):
        list(FasDataset(path))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["residual.npy.gz", "residual.npy", "png"]), st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_payloads_end_as_shard_errors_or_not_at_all(
    members: Members, write_shard: Write, extension: str, place: int, value: int
) -> None:
    files = members(1)
    if extension == "residual.npy.gz":
        files[extension] = gzip.compress(files.pop("residual.npy"), mtime=0)
    content = bytearray(files[extension])
    content[place % min(len(content), 200)] = value
    with tempfile.TemporaryDirectory() as name:
        path = write_shard(Path(name) / "s.tar", [("bb", {**files, extension: bytes(content)})])
        try:
            list(FasDataset(path))
        except ShardError as error:
            assert error.sample == "bb"


def test_damage_met_by_a_worker_keeps_its_type_and_names(tmp_path: Path, members: Members, write_shard: Write) -> None:
    path = write_shard(tmp_path / "s.tar", [("bb", {**members(1), "png": b""})])
    loader = DataLoader(FasDataset(path), batch_size=1, num_workers=1, collate_fn=collate)
    with pytest.raises(ShardError, match=r"s\.tar, sample bb: member png"):
        list(loader)


def test_pickles_are_not_loaded(tmp_path: Path, members: Members, write_shard: Write) -> None:
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    path = write_shard(tmp_path / "s.tar", [("bb", {**members(1), "residual.npy": stream.getvalue()})])
    with pytest.raises(ShardError, match="allow_pickle"):
        list(FasDataset(path))


def test_an_index_that_states_more_is_noticed(packed: Packed) -> None:
    folder = packed([3])
    (folder / "index.json").write_text('{"shards":[{"name":"fas-000000.tar","samples":4}]}')
    with pytest.raises(ShardError, match="states 4 samples, the shard ends after 3"):
        list(FasDataset(folder))


def test_what_cannot_be_used_is_refused(packed: Packed, tmp_path: Path) -> None:
    folder = packed([2])
    with pytest.raises(ConfigError, match="belong together"):
        FasDataset(folder, rank=0)
    with pytest.raises(ConfigError, match="allowed are 0 to 1"):
        FasDataset(folder, rank=2, world=2)
    with pytest.raises(ConfigError, match="use one of the two"):
        FasDataset(folder, SampleDecoder(select={"split": {"train"}}), even=True)
    with pytest.raises(ConfigError, match=r"index\.json"):
        list(FasDataset(folder / "fas-000000.tar", even=True, rank=0, world=1))
    with pytest.raises(StoreError, match="cannot be opened"):
        list(FasDataset(folder / "none.tar"))
    (folder / "fas-000000.tar").unlink()
    with pytest.raises(StoreError, match="not there"):
        FasDataset(folder)
    (folder / "index.json").write_text("{}")
    with pytest.raises(StoreError, match="not an index"):
        FasDataset(folder)
    (folder / "index.json").unlink()
    with pytest.raises(StoreError, match="no shards"):
        FasDataset(folder)


def test_brace_patterns_and_lists(packed: Packed) -> None:
    folder = packed([2, 2, 1])
    assert numbers(FasDataset(f"{folder}/fas-{{000000..000001}}.tar")) == [0, 1, 2, 3]
    assert numbers(FasDataset([folder / "fas-000002.tar", folder / "fas-000000.tar"])) == [4, 0, 1]


def test_a_stream_that_cannot_seek_gives_the_same(packed: Packed) -> None:
    path = packed([4], index=False) / "fas-000000.tar"
    assert numbers(FasDataset(f"pipe:cat {path}")) == [0, 1, 2, 3]


def test_sizes_that_differ_are_named_and_can_be_resized(tmp_path: Path, members: Members, write_shard: Write) -> None:
    path = write_shard(tmp_path / "s.tar", [("aa", members(0, 16)), ("bb", members(1, 20))])
    with pytest.raises(ValueError, match="size="):
        collate(list(FasDataset(path)))
    batch = collate(list(FasDataset(path, SampleDecoder(size=(12, 14)))))
    assert batch["image"].shape == batch["residual"].shape == (2, 3, 12, 14)
    assert batch["label"].tolist() == [0, 1]


def test_a_dataset_can_be_sent_to_spawned_workers(packed: Packed) -> None:
    data = FasDataset(packed([3]), SampleDecoder(augment=JointAugment(), select={"split": ["train"]}))
    assert numbers(pickle.loads(pickle.dumps(data))) == numbers(data)
