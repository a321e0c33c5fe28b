"""The data card: what a delivery holds, how it was made, how to read it, what it may and may not be used for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fasgen.manifests.products import CueFacts

_HEAD = """\
---
configs:
- config_name: default
  data_files: fas-*.tar
---
"""
"""Tells `datasets` that the shards are the data, and the manifests beside them are not."""

_READING = """\
Plain webdataset:

```python
import webdataset as wds

for sample in wds.WebDataset("fas-000000.tar", shardshuffle=False).decode("rgb8"):
    {webdataset}
```

fasgen's reader, which splits shards over ranks and workers, moves image and cues together and scales the cues:

```python
from torch.utils.data import DataLoader
from fasgen.reader import FasDataset, JointAugment, SampleDecoder, collate

decoder = SampleDecoder({names}, augment=JointAugment(flip=0.5), cue_scale="standardised")
loader = DataLoader(FasDataset(".", decoder, shuffle=500), batch_size=32, num_workers=4, collate_fn=collate)
```

Hugging Face's `datasets` takes this folder as it is, `load_dataset(FOLDER)`, or its shards, `load_dataset("webdataset",
data_files="FOLDER/fas-*.tar")`; `croissant.json` describes all files for whatever reads Croissant.

The SHA-256 of every shard stands in `index.json`. The manifests (`00000.parquet` and so on) beside the shards hold one row for
every sample that was planned, with the reason where it is not here.
"""

_TOGETHER = """\
Image and cues must always be moved together: a flip of one alone compares mirrored faces.
"""

_USE = """\
Intended for training and evaluating face presentation attack detection (live against spoof) and for research on it. It is not
intended for recognising or identifying people, nor for judging age, origin, health or character.

- Faces are personal data. Whoever holds this delivery is answerable for consent, storage and deletion as for the sources.
- Labels, subjects and attack types are those of the sources; fasgen checks none of them.
- A cue tells what one generator, with the weights named above, could not reproduce. It is evidence, not proof, and changes
  with the weights, with image quality and with people unlike those the generator was trained on.
- Rows without a subject cannot be kept apart by person: do not split them into training and test at random and expect the
  result to hold for new people.
- Where `synthetic` is true the image was generated. It must not enter a test set of real attacks.
"""


def data_card(index: Mapping[str, Any]) -> str:
    """Markdown of the data card, from what ``index.json`` holds."""
    total = index["total"]
    counts = total["counts"]
    stages = index["stages"]
    told = {name: CueFacts(**facts) for name, facts in index.get("cues", {}).items()}
    settings = next((stage["config"] or {} for stage in stages if stage["plan_hash"] == index["plan_hash"]), {})
    form = settings.get("cue_format", "npy")
    cues = total["cues"]
    packed, planned = index["units"]["packed"], index["units"]["planned"]
    parts = [
        _HEAD,
        "# Face anti-spoofing data: images, cues and provenance",
        f"{total['samples']} samples in {total['shards']} shards, {_size(total['bytes'])}; {total['subjects']} known subjects, "
        f"{total['samples_without_subject']} samples without one; {total['synthetic']} synthetic. Made by fasgen under plan "
        f"`{str(index['plan_hash'])[:16]}`.",
    ]
    if packed != planned and planned is not None:
        parts.append(f"**Not complete:** {packed} of {planned} units are packed. Run pack again to add the rest.")
    parts += [
        "## What is in it",
        _splits(total["labels_by_split"]),
        _counts("attack type", counts["attack_type"], "none or unknown"),
        _counts("data set", counts["dataset"]),
        _counts("domain (data set, device, attack)", counts["domain"]),
        "## Licences",
        "Every sample inherits the licence of its source; nothing here loosens it. What has no licence stated must be taken as "
        "all rights reserved. Synthetic samples inherit the strictest licence among their parents.",
        _counts("licence", counts["licence"], "not stated"),
        "## Members of a sample",
        _members(settings, cues, told, form),
        "## The cue" if len(cues) == 1 else "## The cues" if cues else "",
        *(_prose(told[name].card) for name in cues if name in told),
        _TOGETHER if cues else "",
        "## How it was made",
        _made(stages),
        _details(stages),
        "## What was left out",
        _left_out(stages),
        "## How to read it",
        _reading([_word(name) for name in cues], form),
        "## Intended use and limits",
        _USE,
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _splits(entries: Sequence[Mapping[str, Any]]) -> str:
    labels = sorted({entry["label"] for entry in entries})
    splits = sorted({entry["split"] for entry in entries})
    found = {(entry["split"], entry["label"]): entry["samples"] for entry in entries}
    rows = [[plain_cell(split) or "no split", *(found.get((split, label), 0) for label in labels)] for split in splits]
    return _table(["split", *(plain_cell(label) or "unknown" for label in labels)], rows) if rows else "No samples."


def _counts(head: str, counts: Mapping[str, int], unknown: str = "unknown") -> str:
    return _table([head, "samples"], [[plain_cell(name) or unknown, count] for name, count in counts.items()]) if counts else ""


def _reading(cues: Sequence[str], form: str) -> str:
    image = 'image, record = sample["png"], sample["json"]'
    if cues:
        image = f'image, cue, record = sample["png"], sample["{cues[0]}.{form}"], sample["json"]'
    quoted = "".join(f'"{name}", ' for name in cues)
    return _READING.replace("{webdataset}", image).replace("{names}", f"cues=({quoted.rstrip()})")


def _members(settings: Mapping[str, Any], cues: Mapping[str, int], told: Mapping[str, CueFacts], form: str) -> str:
    rows = [["`<id>.png`", "aligned face, RGB, 8 bits, the very bytes that the store holds"]]
    for name, samples in cues.items():
        what = _prose(told[name].doc) if name in told else f"cue {name_cell(name)}"
        rows.append([f"`<id>.{_word(name)}.{form}`", f"{what} ({samples} samples)"])
        if settings.get("reconstruction") and name in told and told[name].leaves:
            rows.append([f"`<id>.{_word(told[name].leaves)}.png`", f"image - {_word(name)}, RGB, 8 bits"])
    if settings.get("embedding"):
        rows.append(["`<id>.embedding.npy`", "identity embedding, float32"])
    rows.append(
        [
            "`<id>.json`",
            "labels, geometry, quality, statistics of each cue with the seed, plan hash and weights digest that made it; of a "
            "synthetic sample, under `synthesis`, what it was made by, how, and of whom. Every sample has the same keys, each "
            "of one type: what is not known is an empty word, a whole number of -1, a measure of -9999.0, or a list of one of "
            "these (fasgen's reader gives None)",
        ]
    )
    return _table(["member", "content"], rows)


def _word(name: str) -> str:
    """A name as part of a code span or a program; whatever else stands in its place loses what could break out."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _prose(text: str) -> str:
    """What a stage says of a cue, in its own Markdown; anything that could be markup of another kind, as plain text."""
    one_line = " ".join(text.split())
    return one_line if _SAID.fullmatch(one_line) and one_line.count("`") % 2 == 0 else plain_cell(text)


def _made(stages: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for stage in stages:
        digests = sorted((stage["weights"] or {}).items())
        weights = ", ".join(f"{name_cell(role)} {code_cell(str(digest)[:16])}" for role, digest in digests)
        summary = " ".join(str(stage["summary"]).split())
        names = name_cell(stage["stage"]), summary if _SUMMARY.fullmatch(summary) else plain_cell(summary)
        rows.append([*names, name_cell(stage["version"]), code_cell(str(stage["plan_hash"])[:16]), weights or "none"])
    return _table(["stage", "what it does", "version", "plan", "weights (SHA-256)"], rows)


def _details(stages: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        f"{name_cell(stage['stage'])}: {json.dumps(stage['config'], sort_keys=True, ensure_ascii=True)}" for stage in stages
    ]
    return "Settings, as they entered the plan hashes:\n\n" + "\n".join(f"    {line}" for line in lines)


def _left_out(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for stage in stages:
        counts = stage["rows"]
        if counts is None:
            rows.append([name_cell(stage["stage"]), "", "", "", "", "its manifests are no longer in the store"])
            continue
        reasons = ", ".join(f"{name_cell(reason)} {count}" for reason, count in counts["reasons"].items())
        rows.append(
            [name_cell(stage["stage"]), *(counts[name] for name in ("planned", "ok", "filtered", "failed")), reasons or "none"]
        )
    head = ["stage", "planned", "ok", "filtered", "failed", "reasons"]
    return (
        _table(head, rows)
        + "\n\nA stage plans what its upstream finished. `filtered` is what a setting turned away, `failed` what broke."
    )


_SUMMARY = re.compile(r"[A-Za-z0-9 ,.:;()/+-]*")
_SAID = re.compile(r"[A-Za-z0-9 ,.:;()/+=`'^*_%!?-]*")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def plain_cell(name: str) -> str:
    """A name from a user's folder as plain text: nothing in it breaks a table or becomes markup."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(name.split()))


def name_cell(name: object) -> str:
    """A name that fasgen itself gave, as it is; anything else that stands in its place, as plain text."""
    text = str(name)
    return text if re.fullmatch(r"[A-Za-z0-9_.-]*", text) else plain_cell(text)


def code_cell(text: object) -> str:
    """A text as code, out of which nothing in it can break."""
    return "`" + " ".join(str(text).split()).replace("`", "'").replace("|", "\\|") + "`"


def _size(count: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
