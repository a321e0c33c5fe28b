"""Listings as ingest would make them, from the authors' naming schemes alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pyarrow as pa

COLUMNS = ("sample_id", "dataset", "path", "kind", "frame_k", "subject", "label", "attack_type", "attack_family", "attack_raw")
COLUMNS += ("device", "session", "split")


def row(dataset: str, path: str, subject: str | None, label: str, **values: Any) -> dict[str, Any]:
    given = {"kind": "video", "frame_k": 0, "sample_id": f"{dataset}:{path}:{values.get('frame_k', 0)}"}
    known = dict.fromkeys(COLUMNS) | given | {"dataset": dataset, "path": path, "label": label}
    return known | {"subject": None if subject is None else f"{dataset}/{subject}"} | values


def oulu_npu(frames: int = 1) -> Iterator[dict[str, Any]]:
    """P_S_UU_F: phone, session, user, file; users 1 to 20 train, 21 to 35 tune, 36 to 55 test. 1,980 clips of the three."""
    for user, phone, session, file, k in product(range(1, 56), range(1, 7), range(1, 4), range(1, 6), range(frames)):
        split = "train" if user <= 20 else "dev" if user <= 35 else "test"
        label = "live" if file == 1 else "spoof"
        path = f"{split.title()}_files/{phone}_{session}_{user:02d}_{file}.avi"
        values = {"device": f"phone-{phone}", "session": str(session), "split": split, "frame_k": k}
        yield row("oulu-npu", path, f"{user:02d}", label, attack_raw=str(file), **values)


def siw() -> Iterator[dict[str, Any]]:
    """Subjects 1 to 90 train, 91 to 165 test; one live and six spoof clips each."""
    for subject, kind in product(range(1, 166), ("1-1", "2-1", "2-2", "3-1", "3-2", "3-3", "3-4")):
        split, label = "train" if subject <= 90 else "test", "live" if kind == "1-1" else "spoof"
        path = f"{split.title()}/{label}/{subject:03d}/{subject:03d}-1-{kind}-1.mov"
        yield row("siw", path, f"{subject:03d}", label, attack_raw=kind, split=split)


def siw_m() -> Iterator[dict[str, Any]]:
    """660 live of which every fifth tests, and the published numbers of each attack (13 kinds, the cuts in two)."""
    for number in range(660):
        split = "test" if number % 5 == 0 else "train"
        yield row("siw-m", f"Live/{split.title()}/Live_{number}.mov", f"Live_{number}", "live", split=split)
    counts = {
        "Replay": 99,
        "Paper": 118,
        "Mask_Half": 72,
        "Mask_Silicone": 27,
        "Mask_Trans": 88,
        "Mask_Paper": 17,
        "Mask_Mann": 40,
    }
    counts |= {"Makeup_Ob": 23, "Makeup_Im": 61, "Makeup_Co": 50, "Partial_Funnyeye": 160, "Partial_Paperglass": 127}
    for kind, count in (counts | {"Partial_Eye": 43, "Partial_Mouth": 43}).items():
        for number in range(count):
            yield row("siw-m", f"{kind}/{kind}_{number}.mov", f"{kind}_{number}", "spoof", attack_type=kind)


def wmca(splits: bool = True) -> Iterator[dict[str, Any]]:
    """Twelve clients, one clip of each family; thirds by client."""
    families = ("glasses", "fake_head", "mask_rigid", "mask_flexible", "mask_paper", "print", "replay", "makeup", None)
    for client, family in product(range(12), families):
        split = ("train", "dev", "test")[client // 4] if splits else None
        label = "spoof" if family else "live"
        yield row("wmca", f"{client:03d}_01_000_0_{family}.h5", f"{client:03d}", label, attack_family=family, split=split)


def simple(dataset: str, splits: dict[str, int]) -> Iterator[dict[str, Any]]:
    """So many subjects a split, one live and two spoof files each."""
    for split, count in splits.items():
        for subject, number in product(range(count), range(3)):
            label = "spoof" if number else "live"
            yield row(dataset, f"{split}/{subject}/{number}.mov", f"{split}-{subject}", label, split=split)


def table(*rows: Iterator[dict[str, Any]]) -> pa.Table:
    """With the decoded frame, which align has not yet found out."""
    flat = [one | {"frame": None} for some in rows for one in some]
    kinds = {"frame": pa.int32(), "frame_k": pa.int32()}
    return pa.Table.from_pylist(flat, pa.schema([(name, kinds.get(name, pa.string())) for name in (*COLUMNS, "frame")]))
