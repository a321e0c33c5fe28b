"""The data card: what a delivery holds, how it was made, how to read it, what it may and may not be used for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_READING = """\
Plain webdataset:

```python
import webdataset as wds

for sample in wds.WebDataset("fas-000000.tar", shardshuffle=False).decode("rgb8"):
    {webdataset}
```

fasgen's reader, which splits shards over ranks and workers, moves image and cue together and scales the cue:

```python
from torch.utils.data import DataLoader
from fasgen.reader import FasDataset, JointAugment, SampleDecoder, collate

decoder = SampleDecoder({names}augment=JointAugment(flip=0.5), cue_scale="standardised")
loader = DataLoader(FasDataset(".", decoder, shuffle=500), batch_size=32, num_workers=4, collate_fn=collate)
```

The SHA-256 of every shard stands in `index.json`. The manifests (`00000.parquet` and so on) beside the shards hold one row for
every sample that was planned, with the reason where it is not here.
"""

_CUE_MEMBERS = {"residual": "cue"}
"""Member of a cue where its name is another."""

_CUES = {
    "residual": """\
`cue` is the anomalous cue of AG-FAS, kept raw: `image - reconstruction`, per pixel and channel, in signed 8-bit levels (int16,
H x W x 3, RGB, range -255 to 255). The reconstruction is what a generator trained on live faces alone makes of the image; it is
`image - cue`, bit for bit. AG-FAS standardises the cue per image (minus mean, over standard deviation + 1e-8), which removes
its magnitude. Here mean, standard deviation, mean absolute value and energy in the face are in each sample's JSON, so a reader
can standardise or not.
""",
    "lgsc": """\
`lgsc` is the spoof cue map of LGSC (int16, H x W x 3, range -32767 to 32767): the tanh of a generator that was taught to draw
nothing on live faces, times 32767 and rounded; divide by 32767 to have it back. Its mean absolute value is the score in each
sample's JSON, high for a spoof.
""",
    "stdn": """\
`stdn` is the additive spoof trace of STDN+ (int16, H x W x 3, RGB, signed, in 1/32 of an 8-bit level; divide by 32 to have
levels): what its generator takes a spoof to have added to a live face, from colour shifts to texture, and little on live
faces. The score in each sample's JSON is high for live.
""",
}

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
    settings = next((stage["config"] or {} for stage in stages if stage["plan_hash"] == index["plan_hash"]), {})
    form = settings.get("cue_format", "npy")
    cues = total["cues"]
    packed, planned = index["units"]["packed"], index["units"]["planned"]
    parts = [
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
        _members(settings, cues, form),
        "## The cue" if len(cues) == 1 else "## The cues" if cues else "",
        *(_CUES.get(name, f"`{name}` is described in each sample's JSON, under `cues`.") for name in _listed(cues)),
        _TOGETHER if cues else "",
        "## How it was made",
        _made(stages),
        _details(stages),
        "## What was left out",
        _left_out(stages),
        "## How to read it",
        _reading([_CUE_MEMBERS.get(name, name) for name in _listed(cues)], form),
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


def _listed(cues: Iterable[str]) -> list[str]:
    """The residual first, then by name."""
    return sorted(cues, key=lambda name: (name != "residual", name))


def _reading(members: Sequence[str], form: str) -> str:
    image = 'image, record = sample["png"], sample["json"]'
    if members:
        image = f'image, cue, record = sample["png"], sample["{members[0]}.{form}"], sample["json"]'
    quoted = "".join(f'"{name}", ' for name in members)
    names = "" if list(members) == ["cue"] else f"cues=({quoted.rstrip()}), "
    return _READING.replace("{webdataset}", image).replace("{names}", names)


def _members(settings: Mapping[str, Any], cues: Mapping[str, int], form: str) -> str:
    rows = [["`<id>.png`", "aligned face, RGB, 8 bits, the very bytes that align stored"]]
    told = {
        "residual": "residual cue, int16, H x W x 3, signed 8-bit levels",
        "lgsc": "spoof cue map of LGSC, int16, H x W x 3",
        "stdn": "additive spoof trace of STDN+, int16, H x W x 3, signed, in 1/32 of an 8-bit level",
    }
    for name in _listed(cues):
        what = f"{told.get(name, f'cue {name}')} ({cues[name]} samples)" if name != "residual" else told[name]
        rows.append([f"`<id>.{_CUE_MEMBERS.get(name, name)}.{form}`", what])
    if settings.get("reconstruction"):
        rows.append(["`<id>.reconstruction.png`", "the generator's version of the face, RGB, 8 bits"])
    if settings.get("embedding"):
        rows.append(["`<id>.embedding.npy`", "identity embedding, float32"])
    rows.append(
        [
            "`<id>.json`",
            "labels, geometry, quality, cue statistics, seed, plan hash and weights digest of the generator; of a synthetic "
            "sample, under `synthesis`, method, style, strengths (`strength_t` and `gamma`, or `trace_strength`) and parents",
        ]
    )
    return _table(["member", "content"], rows)


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
