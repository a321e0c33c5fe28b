"""Reading packed shards into tensors: fasgen.reader against plain webdataset with the same decoding."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from bench.harness import Row, alternate, median_ratio, table

SAMPLES, SIDE, ROUNDS, BATCH = 192, 224, 3, 16


def write_shard(path: Path) -> None:
    """A shard of made-up pictures that compress about as well as photographs do."""
    from fasgen.manifests.tar import TarWriter

    rng = np.random.default_rng(0)
    tar = TarWriter(path)
    for number in range(SAMPLES):
        smooth = cv2.resize(rng.integers(0, 256, (28, 28, 3), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        image = np.clip(smooth.astype(np.int16) + rng.integers(-3, 4, smooth.shape), 0, 255).astype(np.uint8)
        cue = io.BytesIO()
        np.save(cue, image.astype(np.int16) - cv2.blur(image, (9, 9)))
        png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        record = {"sample_id": f"{number:016x}", "label": ("spoof", "live")[number % 2], "label_index": number % 2}
        for extension, data in (("png", png), ("residual.npy", cue.getvalue()), ("json", json.dumps(record).encode())):
            tar.add(f"{number:016x}.{extension}", data)
    tar.close()


def ours(path: Path) -> int:
    """Decode every sample with fasgen.reader; the cue in [-2, 2], so that both do the same arithmetic."""
    from fasgen.reader import FasDataset, SampleDecoder

    return sum(1 for _ in FasDataset(path, SampleDecoder(("residual",), cue_scale="signed")))


def balanced(path: Path) -> int:
    """The same number of samples in random order, live and spoof one to one; opening the shard and its labels included."""
    from fasgen.reader import BalancedSampler, FasIndex, SampleDecoder, SampleTable

    index = FasIndex(path, SampleDecoder(("residual",), cue_scale="signed"))
    sampler = BalancedSampler(SampleTable.of(index), BATCH, steps=SAMPLES // BATCH, rank=0, world=1)
    return sum(len([index[draw] for draw in draws]) for draws in sampler)


def first_batch(path: Path, step: int) -> None:
    """From nothing to the first batch of a run that begins, or goes on, at ``step``."""
    from fasgen.reader import BalancedSampler, FasIndex, SampleDecoder, SampleTable, collate

    index = FasIndex(path, SampleDecoder(("residual",), cue_scale="signed"))
    sampler = BalancedSampler(SampleTable.of(index), BATCH, start=step, rank=0, world=1)
    collate([index[draw] for draw in next(iter(sampler))])


def webdataset_plain(path: Path) -> int:
    """The same tensors from plain webdataset and its own decoders."""
    import torch
    import webdataset

    count = 0
    for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode("rgb8"):
        image = torch.from_numpy(sample["png"].copy()).permute(2, 0, 1).contiguous().float() / 127.5 - 1
        cue = torch.from_numpy(sample["residual.npy"]).permute(2, 0, 1).contiguous().float() / 127.5
        count += image.shape == cue.shape
    return count


def webdataset_opencv(path: Path) -> int:
    """Plain webdataset with OpenCV decoding the images: what is left is the reading of the shard."""
    import torch
    import webdataset

    def decode(data: bytes) -> torch.Tensor:
        rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(rgb).permute(2, 0, 1).contiguous().float().div_(127.5).sub_(1)

    count = 0
    handler = webdataset.handle_extension("png", decode)
    for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode(handler):
        cue = torch.from_numpy(sample["residual.npy"]).permute(2, 0, 1).contiguous().float() / 127.5
        count += sample["png"].shape == cue.shape
    return count


def run() -> list[Row]:
    """Images a second on a made-up shard, one thread each, best of alternating rounds; all must read every sample."""
    import torch

    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    peer = f"webdataset {version('webdataset')}"
    readers = {
        "fasgen.reader": ours,
        peer: webdataset_plain,
        f"{peer}, OpenCV decoding": webdataset_opencv,
        "fasgen.reader in balanced batches": balanced,
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fas-000000.tar"
            write_shard(path)
            times = alternate([partial(_complete, name, reader, path) for name, reader in readers.items()], ROUNDS)
            firsts = alternate([partial(first_batch, path, step) for step in (0, 1_000_000)], ROUNDS)
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
    rate = [SAMPLES / min(each) for each in times]
    name = f"read shards, {SIDE} px image + cue"
    peers = list(zip(readers, rate, times, strict=True))[1:3]
    random_order = f"the same in random balanced batches of {BATCH}, opening included"
    return [
        *(Row(name, rate[0], theirs, other, median_ratio(times[0], each), None, "images/s") for other, theirs, each in peers),
        Row(random_order, rate[3], rate[1], f"{peer} in sequence", median_ratio(times[3], times[1]), 1.0, "images/s"),
        Row(random_order, rate[3], rate[0], "fasgen.reader in sequence", median_ratio(times[3], times[0]), None, "images/s"),
        Row("first batch of a new run", 1e3 * min(firsts[0]), None, "", None, None, "ms"),
        Row("first batch resumed at step 1,000,000", 1e3 * min(firsts[1]), None, "", None, None, "ms"),
    ]


def _complete(name: str, reader: Callable[[Path], int], path: Path) -> None:
    count = reader(path)
    if count != SAMPLES:
        raise RuntimeError(f"{name} read {count} of {SAMPLES} samples: the comparison is void")


if __name__ == "__main__":
    print(table(run()))
