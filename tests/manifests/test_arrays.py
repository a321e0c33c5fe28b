"""Arrays are what zarr itself would have written, and come back bit for bit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader, ArrayWriter, crc32c, little, shard_key

DTYPES = ["int16", "uint8", "float32", "float16", "bool", "int64", "float64"]


def write(
    folder: Path, items: dict[str, np.ndarray], order: list[str] | None = None, dtype: str | None = None
) -> dict[str, str]:
    writer = ArrayWriter(folder, folder.name, dtype or next(iter(items.values())).dtype.name)
    for sample, array in items.items():
        writer.add(sample, little(array))
    return writer.close(order or list(items))


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 9, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_equal_those_of_zarr(tmp_path: Path, dtype: str) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    stack = values(dtype, (5, 30, 20, 3))
    digests = write(tmp_path / "ours", {str(i): item for i, item in enumerate(stack)})
    shuffle = "noshuffle" if stack.itemsize == 1 else "shuffle" if stack.dtype.kind == "f" else "bitshuffle"
    array = zarr.create_array(
        tmp_path / "zarrs",
        shape=stack.shape,
        chunks=(1, *stack.shape[1:]),
        shards=stack.shape,
        dtype=dtype,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle=shuffle, typesize=stack.itemsize),
        filters=None,
    )
    array[:] = stack
    for name in ("zarr.json", shard_key(4)):
        ours = (tmp_path / "ours" / name).read_bytes()
        assert ours == (tmp_path / "zarrs" / name).read_bytes()
        assert digests[name] == hashlib.sha256(ours).hexdigest()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=7))
def test_round_trip_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    import zarr

    items = {f"s{i}": data.draw(hnp.arrays(dtype, shape)) for i in range(data.draw(st.integers(1, 4)))}
    order = data.draw(st.permutations([*items, "absent"]))
    folder = tmp_path_factory.mktemp("arrays")
    write(folder / "a", items, order)
    written = {name: items[name] for name in order if name in items}
    assert write(folder / "b", written, order) == write(folder / "c", items, order)
    assert (folder / "a" / shard_key(1 + len(shape))).read_bytes() == (folder / "b" / shard_key(1 + len(shape))).read_bytes()
    outside = zarr.open_array(folder / "a", mode="r")
    with ArrayReader(folder / "a") as reader:
        for index, name in enumerate(order):
            if name == "absent":
                assert not reader.has(index)
                with pytest.raises(StoreError, match="has no 'a'"):
                    reader.read(index)
            else:
                assert reader.read(index).tobytes() == items[name].tobytes() == np.asarray(outside[index]).tobytes()
                assert reader.read(index).shape == shape


def test_big_endian_and_strided_input_is_stored_little_endian(tmp_path: Path) -> None:
    stack = np.arange(24, dtype=">i2").reshape(4, 6)[:, ::2]
    write(tmp_path / "a", {"s": stack}, dtype="int16")
    with ArrayReader(tmp_path / "a") as reader:
        assert reader.dtype == np.dtype("<i2")
        assert np.array_equal(reader.read(0), stack)


def test_another_shape_names_both_samples(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"sample second has shape \(3,\), that of sample first has \(2,\)"):
        write(tmp_path / "a", {"first": np.zeros(2), "second": np.zeros(3)})


def test_another_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is float32, its stage declares int16"):
        write(tmp_path / "a", {"s": np.zeros(2, np.float32)}, dtype="int16")
    with pytest.raises(StoreError, match="choose one of"):
        ArrayWriter(tmp_path / "b", "b", "complex64")


def test_empty_items_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="0 bytes"):
        write(tmp_path / "a", {"s": np.zeros((0, 3))})


def test_no_sample_leaves_no_array(tmp_path: Path) -> None:
    assert ArrayWriter(tmp_path / "a", "a", "int16").close([]) == {}
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["zarr.json", "c/0/0"])
def test_damage_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a", {"s": np.zeros(200, np.int16)})
    path = tmp_path / "a" / name
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="fasgen verify"):
        ArrayReader(tmp_path / "a")


def test_a_damaged_chunk_names_the_sample(tmp_path: Path) -> None:
    write(tmp_path / "a", {"s": np.zeros(200, np.int16)})
    path = tmp_path / "a" / "c/0/0"
    data = bytearray(path.read_bytes())
    data[4] ^= 0xFF
    path.write_bytes(data)
    with ArrayReader(tmp_path / "a") as reader, pytest.raises(StoreError, match="sample 0 is damaged"):
        reader.read(0)


def test_crc32c_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
