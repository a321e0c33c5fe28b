"""A trained detector applied to shards: a score for each sample, or the reason why it has none; of videos the mean."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.downstream.config import IMAGE
from fasgen.downstream.data import Batch
from fasgen.downstream.detector import SIGN, Detector
from fasgen.downstream.scores import Score
from fasgen.errors import FasgenError
from fasgen.reader import FasSample, RawSample, SampleDecoder, Shard, ShardError, collate, list_shards, read_samples
from fasgen.reader.decode import UNKNOWN
from fasgen.reader.shards import open_shard

AT_ONCE = 64
_THREADS = 4

DAMAGED, MISFIT, NOT_FINITE = "damaged", "misfit", "not_finite"
"""Why a sample of a shard has no score: it cannot be read; it lacks what the detector reads, or has it in another shape; the
network gives no finite number."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One sample, with its score or with the reason why it has none.

    Attributes:
        row: what is known of it, its score among it; NaN where it has none, and the label -1 where it is not known.
        subject: who it shows; empty where unknown.
        path, frame: where it comes from; the frame is None for a still.
        variant: 0 for what was photographed.
        reason, detail: why it has no score; empty where it has one.
    """

    row: Score
    subject: str = ""
    path: str = ""
    frame: int | None = None
    variant: int = 0
    reason: str = ""
    detail: str = ""

    def record(self) -> dict[str, Any]:
        """As a row of a table: what `fasgen.downstream.scores` reads, and the rest."""
        row, has = self.row, not self.reason
        return {
            "sample": row.sample,
            "label": {1: "live", 0: "spoof"}.get(row.label, "unknown"),
            "score": row.score if has else None,
            "higher": SIGN,
            "video": row.video,
            "attack_type": row.attack_type,
            "split": row.split,
            "dataset": row.dataset,
            "method": row.method,
            "protocol": row.protocol,
            "seed": row.seed,
            "subject": self.subject,
            "path": self.path,
            "frame": self.frame,
            "variant": self.variant,
            "reason": self.reason,
            "detail": self.detail,
        }


@dataclass(slots=True)
class Scores:
    """What a detector says of samples.

    Attributes:
        rows: in the order of the shards.
        features: (N, width) float32 of those rows that have a score, in their order; None where none were asked for.
    """

    rows: list[Scored] = field(default_factory=list)
    features: NDArray[np.float32] | None = None


def score_shards(detector: Detector, where: Sequence[Path], *, features: bool = False) -> Scores:
    """Score all samples of shards. A damaged sample, and what follows a break in a shard, costs no other.

    Args:
        detector: the detector.
        where: folders that pack wrote, or shards.
        features: also take the features.

    Raises:
        StoreError: there are no shards.
    """
    out, found = Scores(), list[torch.Tensor]()
    size = (detector.experiment.data.size,) * 2
    members = tuple(name for name in detector.cues if name != IMAGE)
    data = detector.experiment.data
    decoder = SampleDecoder(members, cue_scale=data.cue_scale, size=size, mask=data.mask)
    with ThreadPoolExecutor(_THREADS) as pool:
        raws = _raw(list_shards(where), out)
        while group := list(islice(raws, AT_ONCE)):
            decoded = list(pool.map(lambda raw: _decoded(detector, decoder, raw), group))
            _score(detector, list(zip(group, decoded, strict=True)), out, found if features else None)
    if features:
        out.features = torch.cat(found).numpy() if found else np.empty((0, 0), np.float32)
    return out


def _raw(shards: Sequence[Shard], out: Scores) -> Iterator[RawSample]:
    """The samples of shards; what is lost with a broken one becomes a row."""
    for shard in shards:
        count = 0
        try:
            with open_shard(shard) as stream:
                for raw in read_samples(stream, shard.url):
                    count += 1
                    yield raw
            if shard.samples is not None and count < shard.samples:
                raise ShardError(f"its index states {shard.samples} samples, it ends after {count}", shard.url)
        except FasgenError as error:
            lost = f", {shard.samples - count} samples" if shard.samples is not None else ""
            name = Path(shard.url).name
            out.rows.append(
                Scored(_nothing(name), path=shard.url, reason=DAMAGED, detail=f"the rest of a shard{lost}: {error}")
            )


def _decoded(detector: Detector, decoder: SampleDecoder, raw: RawSample) -> FasSample | Scored:
    try:
        if (sample := decoder(raw)) is not None:
            return sample
        detail = "nothing of it was read"
    except FasgenError as error:
        detail = str(error)
    try:
        meta = decoder.meta(raw)
    except FasgenError:
        return Scored(_nothing(raw.key), path=raw.shard, reason=DAMAGED, detail=detail)
    return _without(_known(detector, meta), DAMAGED, detail)


def _score(
    detector: Detector,
    group: Sequence[tuple[RawSample, FasSample | Scored]],
    out: Scores,
    features: list[torch.Tensor] | None,
) -> None:
    """Score a group; where that fails, one by one, so that the sample at fault alone has no score."""
    good: list[FasSample] = []
    places: list[int] = []
    for _, sample in group:
        if isinstance(sample, Scored):
            out.rows.append(sample)
        else:
            places.append(len(out.rows))
            good.append(sample)
            out.rows.append(_known(detector, sample["meta"]))
    if not good:
        return
    try:
        scores, found = _called(detector, good, features is not None)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        if len(good) > 1:
            del out.rows[len(out.rows) - len(group) :]
            for one in group:
                _score(detector, [one], out, features)
        else:
            out.rows[places[0]] = _without(out.rows[places[0]], MISFIT, str(error).splitlines()[0])
        return
    finite = torch.isfinite(scores)
    for place, value, ok in zip(places, scores.tolist(), finite.tolist(), strict=True):
        row = out.rows[place]
        out.rows[place] = _with(row, value) if ok else _without(row, NOT_FINITE, f"the network gives {value}")
    if features is not None and found is not None:
        features.append(found[finite])


def _called(detector: Detector, samples: Sequence[FasSample], features: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    scale = detector.experiment.data.cue_scale
    batch = Batch(collate(list(samples)), detector.cues, scale, detector.device)
    return detector.score(batch), detector.features(batch) if features else None


def _known(detector: Detector, meta: Mapping[str, Any]) -> Scored:
    label = meta.get("label_index")
    frame, path = meta.get("frame"), str(meta.get("path") or "")
    row = Score(
        sample=str(meta.get("sample_id") or ""),
        label=UNKNOWN if label is None else int(label),
        score=float("nan"),
        video=str(meta.get("video") or "") if frame is None else path,
        attack_type=str(meta.get("attack_type") or ""),
        split=str(meta.get("split") or ""),
        dataset=str(meta.get("dataset") or ""),
        method=detector.method,
        protocol=detector.protocol,
        seed=detector.seed,
    )
    variant = int((meta.get("synthesis") or {}).get("variant") or 0)
    return Scored(row, str(meta.get("subject") or ""), path, None if frame is None else int(frame), variant)


def _nothing(name: str) -> Score:
    return Score(name, UNKNOWN, float("nan"))


def _with(one: Scored, score: float) -> Scored:
    return replace(one, row=replace(one.row, score=score))


def _without(one: Scored, reason: str, detail: str) -> Scored:
    return replace(one, reason=reason, detail=detail)


def of_videos(rows: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row for each video, photographed frames only: the mean of its frames' scores, and how many frames have none."""
    videos: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for one in rows:
        if one.row.video and not one.variant:
            videos[one.row.dataset, one.row.video].append(one)
    out = []
    for _, frames in sorted(videos.items()):
        scores = [one.row.score for one in frames if not one.reason]
        mean = float(np.mean(scores)) if scores else None
        first = frames[0].record()
        kept = {
            key: first[key] for key in ("label", "attack_type", "split", "dataset", "method", "protocol", "seed", "subject")
        }
        out.append(
            {"sample": frames[0].row.video, "score": mean, "higher": SIGN, "video": frames[0].row.video, **kept}
            | {"frames": len(frames), "without_score": len(frames) - len(scores)}
            | {"reason": "" if scores else frames[0].reason}
        )
    return out


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSON lines (``.jsonl``) or, for any other suffix, as CSV; put in place when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8", newline="", errors="surrogateescape") as file:
        if path.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows({key: repr(v) if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    new.replace(path)


def write_features(path: Path, scores: Scores) -> None:
    """Write features with the ids of their samples: ``.safetensors`` (ids in its header, a JSON list) or ``.npz``.

    Arrays are ``features`` (N, width) float32, ``variant`` (N,) and, in npz, ``sample`` (N,) text.
    """
    from safetensors.numpy import save_file

    kept = [one for one in scores.rows if not one.reason]
    ids, variants = [one.row.sample for one in kept], np.array([one.variant for one in kept], np.int32)
    features = scores.features if scores.features is not None else np.empty((0, 0), np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.stem + ".new" + path.suffix)
    if path.suffix.lower() == ".safetensors":
        save_file({"features": np.ascontiguousarray(features), "variant": variants}, new, {"sample": json.dumps(ids)})
    else:
        np.savez(new, sample=np.array(ids, np.str_), variant=variants, features=features)
    new.replace(path)
