"""The morning report: one page that tells what a store holds, how it came about, and what was thrown away and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.own_files import claim
from fasgen.audit.report.bundle import Bundle
from fasgen.audit.report.facts import Facts, gather
from fasgen.audit.report.illustrate import ACROSS, CELL, Originals, Pictures, illustrate
from fasgen.audit.report.markdown import markdown
from fasgen.audit.report.pages import assemble
from fasgen.audit.report.samples import FACETS, KINDS, STATUSES, Samples, collect
from fasgen.audit.stage_rows import StageRows
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.products import products
from fasgen.sources.reading import Reading

FORMAT = "fasgen-report/1"
PAGE, SHORT = "report.html", "REPORT.md"

BUDGET = 64_000_000
"""Bytes that the page may have where nothing else is said."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        page: the page.
        short: the same in a few lines of Markdown.
        bytes: size of the page.
        samples: samples in it.
        thumbnails: samples of them that have a thumbnail.
        strips: samples with all their pictures.
        unreadable: samples whose pictures are damaged.
    """

    page: Path
    short: Path
    bytes: int
    samples: int
    thumbnails: int
    strips: int
    unreadable: int


def write_report(store: Path, out: Path, *, budget: int = BUDGET, originals: Originals | None = None) -> Written:
    """Write ``report.html`` and ``REPORT.md`` into ``out``.

    The same store gives the same bytes. Data rows always enter; pictures take what the budget leaves.

    Args:
        store: the store.
        out: folder to write to.
        budget: bytes that the page should not exceed.
        originals: finds the source's own picture of a sample, for examples of rejects that have no crop.

    Raises:
        StoreError: nothing is committed, a manifest is damaged, or a file of one of these names is there that is not fasgen's.
    """
    for name in (PAGE, SHORT):
        claim(out / name, "give a folder of its own with --out")
    samples = collect(store)
    facts = gather(store, samples)
    # Columns and text take about as much without pictures as with them, so what is left can be known before.
    bare = len(_encoded(facts, samples, Pictures(1, *_nothing(samples))))
    pictures = illustrate(samples, budget - bare - 4 * len(samples) - _PAGE, originals)
    page = assemble(_encoded(facts, samples, pictures), pictures)
    write_atomic(out / PAGE, page)
    short = markdown(facts, samples)
    write_atomic(out / SHORT, short.encode("utf-8", "backslashreplace"))
    thumbnails, strips = int((pictures.thumb >= 0).sum()), int((pictures.strip >= 0).sum())
    return Written(out / PAGE, out / SHORT, len(page), len(samples), thumbnails, strips, pictures.unreadable)


_PAGE = 150_000
"""Room for the page's own text, styles and program."""


def _nothing(samples: Samples) -> tuple[Any, Any]:
    return np.full(len(samples), -1, np.int32), np.full(len(samples), -1, np.int32)


def _encoded(facts: Facts, samples: Samples, pictures: Pictures) -> str:
    bundle = Bundle()
    offsets = np.cumsum([0, *map(len, samples.parents)], dtype=np.int32)
    above = np.array([parent for parents in samples.parents for parent in parents], np.int32)
    frames = {str(number): frame for number, frame in enumerate(samples.frames) if frame is not None}
    document = {
        "format": FORMAT,
        "store": facts.name,
        "verdict": facts.verdict,
        "well": facts.well,
        "statuses": list(STATUSES),
        "kinds": list(KINDS),
        "warnings": facts.warnings,
        "totals": facts.totals,
        "stages": facts.stages,
        "waiting": facts.waiting,
        "drawn": facts.drawn,
        "runs": facts.runs,
        "sources": [_source(one) for one in facts.sources],
        "samples": {
            "count": len(samples),
            "ids": samples.ids,
            "variants": bundle.column(samples.variants),
            "paths": [path or "" for path in samples.paths],
            "frames": frames,
            "facets": {name: bundle.words(samples.facets[name]) for name in FACETS},
            "kinds": bundle.column(samples.kinds),
            "ended": bundle.column(samples.ended),
            "status": bundle.column(samples.status),
            "parents": {"offsets": bundle.column(offsets), "to": bundle.column(above)},
            "absent": {str(number): names for number, names in samples.absent.items()},
            "thumb": bundle.column(pictures.thumb),
            "strip": bundle.column(pictures.strip),
        },
        "rejects": [list(reject) for reject in samples.rejects()],
        "scores": [
            {"name": one.name, "stages": one.stages, "doc": one.doc, "unit": one.unit, "higher": one.higher}
            | {"values": bundle.column(one.values)}
            for one in samples.scores
        ],
        "provenance": [_provenance(bundle, samples, number, stage) for number, stage in enumerate(samples.stages)],
        "pictures": {
            **{"side": pictures.side, "across": ACROSS, "cell": CELL, "strips": pictures.names},
            **{"unreadable": pictures.unreadable, "cues": sorted(_cues(samples))},
        },
    }
    return bundle.encode(document)


def _cues(samples: Samples) -> set[str]:
    """Names of pictures that are drawn cues and no faces."""
    return {name for stage in samples.stages for name in products(stage.plan).cues}


def _source(reading: Reading) -> dict[str, Any]:
    """What was read of a source, what is odd in sentences."""
    return {**reading.document(), "odd": [[one.what, one.change] for one in reading.odd]}


def _provenance(bundle: Bundle, samples: Samples, number: int, stage: StageRows) -> dict[str, Any]:
    """By sample: unit of its row at this stage (-1 for none), status, seed, and the first 8 bytes of its payload's digest."""
    mine = samples.numbers[number]
    units, status = np.full(len(samples), -1, np.int32), np.zeros(len(samples), np.uint8)
    seeds, digests = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64)
    units[mine] = stage.table["unit"].to_numpy()
    code = {name: index for index, name in enumerate(STATUSES)}
    status[mine] = [code.get(name, 2) for name in stage.table["status"].to_pylist()]
    seeds[mine] = stage.table["seed"].to_numpy()
    digests[mine] = [_first_bytes(digest) for digest in stage.table["payload_digest"].to_pylist()]
    columns: dict[str, NDArray[Any]] = {"unit": units, "status": status, "seed": seeds, "digest": digests}
    return {name: bundle.column(values) for name, values in columns.items()}


def _first_bytes(digest: str | None) -> int:
    try:
        return int.from_bytes(bytes.fromhex((digest or "")[:16]), "big", signed=True)
    except ValueError:
        # Not a digest: verify names the row, the report goes on.
        return 0
