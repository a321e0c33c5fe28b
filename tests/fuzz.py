"""Mutated pictures, films, configurations, stores, model folders and shards, by fixed seeds: nothing crashes, nothing is lost.

``python -m tests.fuzz --count 2000`` runs as many and prints what became of them; tests run a few hundred.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click.testing import CliRunner
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))

import mixing
import toy

from fasgen.audit.verify import verify
from fasgen.cli import main as cli
from fasgen.config import load as load_config
from fasgen.errors import FasgenError
from fasgen.manifests.unit import committed_units
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.reader import FasDataset
from fasgen.sources.config import Limits, SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.scan import scan
from fasgen.stages.stage import StageConfig
from tests.reader.conftest import members, write_shard

Random = random.Random
Tally = Counter[str]

_WORDS = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"null",
    b"-1",
    b"1e999",
    b"{{",
    b"\n",
)


def mutate(draw: Random, data: bytes) -> bytes:
    """Some bytes flipped, set, cut out, put in, doubled, or the end cut off; never the same bytes."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        at = draw.randrange(len(found) + 1)
        length = draw.choice((1, 2, 4, 16, 64, 512))
        match draw.randrange(7):
            case 0 if found:
                found[at % len(found)] ^= draw.randrange(1, 256)
            case 1:
                found[at : at + 4] = draw.choice(_WORDS)
            case 2:
                del found[at : at + length]
            case 3:
                found[at:at] = draw.randbytes(length)
            case 4:
                found[at:at] = found[at : at + length]
            case 5:
                found[at : at + length] = bytes(length)
            case _:
                del found[at:]
    return bytes(found) if bytes(found) != data else data + b"\0"


def _picture(number: int, side: int = 40) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)


def _all_accounted(source: SourceConfig, store: Path, files: int) -> Tally:
    """Every row decodes or says why not; and a run has a row for each."""
    rows = scan(source)
    decoder, tally = Decoder(source.path, source.limits), Counter[str]()
    for row in rows:
        try:
            image, _ = decoder.read(row)
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
            tally["decoded"] += 1
        except SampleError as error:
            tally[error.reason.value] += 1
    made = toy.plan(toy.configure(source, unit_rows=64), store, ["shrink"])
    result, _, _ = toy.go(made, LocalEngine(made.resources))
    assert result.outcome is Outcome.FINISHED and result.planned == len(rows) >= files
    assert result.planned == result.ok + result.filtered + result.failed
    return tally


def images(draw: Random, count: int, folder: Path) -> Tally:
    """Stills of every kind that is read."""
    good: list[tuple[str, bytes]] = []
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {})):
        out = io.BytesIO()
        Image.fromarray(_picture(1)).save(out, kind, **options)
        good.append((kind.lower(), out.getvalue()))
    (folder / "in").mkdir()
    for number in range(count):
        extension, data = draw.choice(good)
        (folder / "in" / f"{number:05d}.{extension}").write_bytes(mutate(draw, data))
    source = SourceConfig(name="fuzz", path=folder / "in", label="live", limits=Limits(min_side=4))
    return _all_accounted(source, folder / "store", count)


def videos(draw: Random, count: int, folder: Path) -> Tally:
    """Films in two containers, two frames of each."""
    good: list[tuple[str, bytes]] = []
    for extension, code in (("mp4", "mp4v"), ("avi", "MJPG")):
        path = folder / f"good.{extension}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (48, 32))
        for number in range(6):
            writer.write(np.full((32, 48, 3), 30 * number, np.uint8))
        writer.release()
        good.append((extension, path.read_bytes()))
    (folder / "in").mkdir()
    for number in range(count):
        extension, data = draw.choice(good)
        (folder / "in" / f"{number:05d}.{extension}").write_bytes(mutate(draw, data))
    source = SourceConfig(name="fuzz", path=folder / "in", label="live", frames=2, limits=Limits(min_side=4))
    return _all_accounted(source, folder / "store", count)


_CONFIG = """
store: store
seed: 3
unit_rows: 64
budget: {max_failed: 3, max_failed_rate: 0.5}
sources:
  - name: mine
    path: faces
    pattern: '^(?P<label>live|spoof)/(?P<subject>[^/]+)/'
    licence: consent
    frames: 5
    limits: {min_side: 4, max_pixels: 1000000}
align: {size: 112, detector: retinaface}
defake: {t: 600, steps: 20}
synth: {variants: 2, styles: ['*|print']}
pack: {licences: ['cc-*'], labels: [live, spoof]}
"""


def configurations(draw: Random, count: int, folder: Path) -> Tally:
    """Files and settings on the command line."""
    tally: Tally = Counter()
    path = folder / "fasgen.yaml"
    keys = ("seed", "defake.t", "sources", "synth.styles", "budget.max_failed", "align", "", "a.b.c", "sources.0.path")
    for _ in range(count):
        path.write_bytes(mutate(draw, _CONFIG.encode()))
        value = draw.choice(("1", "[1, {a: b}]", "!!python/object:os.system x", "*a"))
        setting = mutate(draw, f"{draw.choice(keys)}={value}".encode())
        settings = [setting.decode("utf-8", "replace")] if draw.random() < 0.3 else []
        try:
            load_config(path, settings)
            tally["taken"] += 1
        except FasgenError as error:
            assert "\n\n" not in str(error) and "Traceback" not in str(error)
            tally["refused"] += 1
    return tally


def _store(folder: Path) -> Callable[[], Plan]:
    source = toy.make_source(folder / "in", 10)
    config = toy.configure(source, mix=mixing.MixConfig(), compare=StageConfig(), collect=StageConfig(), unit_rows=8)

    def plan() -> Plan:
        return build_plan(config, ["all"], folder / "store", resources=Resources(0, 1), targets=mixing.TARGETS)

    made = plan()
    assert toy.go(made, LocalEngine(made.resources))[0].outcome is Outcome.FINISHED
    return plan


def stores(draw: Random, count: int, folder: Path) -> Tally:
    """Any file of a store: verify names what its digests cover, and no command falls over what it finds."""
    plan = _store(folder)
    store, tally = folder / "store", Counter[str]()
    files = sorted(path for path in store.rglob("*") if path.is_file() and "runs" not in path.parts)
    for number in range(count):
        path = draw.choice(files)
        good = path.read_bytes()
        path.write_bytes(mutate(draw, good))
        named = [finding for finding in verify(store) if finding.severity == "error"]
        tally["named" if named else "not covered"] += 1
        # Timings are outside every digest.
        covered = ".timing." not in path.name
        # A listing of digests that was altered accuses the file it lies about.
        assert not covered or named, f"{path.relative_to(store)} was altered and nothing was said"
        for folder_ in store.glob("*-????????"):
            for unit in committed_units(folder_):
                try:
                    with UnitReader(folder_, unit) as reader:
                        for row in reader.rows[:2]:
                            if row["status"] == "ok":
                                reader.members(int(str(row["row"])), int(str(row["variant"])))
                except FasgenError:
                    tally["refused by the reader"] += 1
        for command in (["status"], ["show", "status != 'ok'"]) if number % 8 == 0 else ():
            done = CliRunner().invoke(cli, [*command, "--store", str(store)])
            assert done.exit_code in {0, 2} and isinstance(done.exception, SystemExit | None), done.exception
        if number % 8 == 4:
            copy = folder / "copy"
            shutil.copytree(store, copy)
            try:
                made = plan()
                toy.go(made, LocalEngine(made.resources))
            except FasgenError:
                tally["a run refused"] += 1
            shutil.rmtree(store)
            copy.rename(store)
        path.write_bytes(good)
    assert verify(store) == []
    return tally


def models(draw: Random, count: int, folder: Path) -> Tally:
    """Identity networks in every kind of file."""
    import torch
    from safetensors.torch import save_file

    from fasgen.stages.identify.load import load
    from tests.stages.identify.networks import Export, random_network

    network = random_network()
    (folder / "folder").mkdir()
    (folder / "folder" / "config.json").write_text(json.dumps(network.config.to_dict()))
    save_file(network.state_dict(), folder / "folder" / "model.safetensors")
    torch.save(network.state_dict(), folder / "plain.pth")
    Export(network, merged=False).save(folder / "graph.onnx")
    wholes = {
        folder / "folder": [folder / "folder" / "config.json", folder / "folder" / "model.safetensors"],
        folder / "plain.pth": [folder / "plain.pth"],
        folder / "graph.onnx": [folder / "graph.onnx"],
    }
    tally: Tally = Counter()
    for _ in range(count):
        whole = draw.choice(list(wholes))
        path = draw.choice(wholes[whole])
        good = path.read_bytes()
        # Headers are where it hurts.
        cut = len(good) if draw.random() < 0.3 else min(len(good), 2000)
        path.write_bytes(mutate(draw, good[:cut]) + good[cut:])
        try:
            load(whole)
            tally["taken"] += 1
        except FasgenError:
            tally["refused"] += 1
        path.write_bytes(good)
    return tally


def shards(draw: Random, count: int, folder: Path) -> Tally:
    """Delivered shards and their index, as trainers read them."""
    write_shard(folder / "fas-000000.tar", [(f"{n:016x}", members(n)) for n in range(3)])
    (folder / "index.json").write_text(json.dumps({"shards": [{"name": "fas-000000.tar", "samples": 3}]}))
    tally: Tally = Counter()
    for _ in range(count):
        path = folder / draw.choice(("fas-000000.tar", "fas-000000.tar", "fas-000000.tar", "index.json"))
        good = path.read_bytes()
        path.write_bytes(mutate(draw, good))
        for on_error in ("raise", "skip"):
            try:
                read = sum(1 for _ in FasDataset(folder, on_error=on_error))  # type: ignore[arg-type]
                tally[f"{on_error}: {'whole' if read == 3 else 'less'}"] += 1
            except FasgenError:
                tally[f"{on_error}: refused"] += 1
        path.write_bytes(good)
    return tally


TARGETS: dict[str, tuple[Callable[[Random, int, Path], Tally], int]] = {
    "images": (images, 6),
    "videos": (videos, 2),
    "configurations": (configurations, 4),
    "stores": (stores, 4),
    "models": (models, 2),
    "shards": (shards, 2),
}
"""The kinds of input, and each one's share of the count."""


def fuzz(name: str, count: int, seed: int = 0) -> Tally:
    """Run ``count`` mutations of one kind."""
    work, _ = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fasgen-fuzz-") as folder:
        return work(random.Random(f"{name} {seed}"), count, Path(folder))


def main() -> None:
    """Print what became of every kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TARGETS, action="append")
    options: Any = parser.parse_args()
    names = options.only or list(TARGETS)
    shares = sum(TARGETS[name][1] for name in names)
    total = 0
    for name in names:
        count = -(-options.count * TARGETS[name][1] // shares)
        began = time.perf_counter()
        tally = fuzz(name, count, options.seed)
        total += count
        outcomes = ", ".join(f"{number} {what}" for what, number in tally.most_common())
        print(f"{name:<16} {count:>6} mutations {time.perf_counter() - began:7.1f} s  {outcomes}", flush=True)
    print(f"{total} mutations, seed {options.seed}: no crash, no traceback, every planned row accounted for")


if __name__ == "__main__":
    main()
