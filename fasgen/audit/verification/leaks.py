"""Whether the networks behind a store have seen what is tested: rows of split test, and test sides of its protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fasgen.audit.verification.findings import Finding, Learnt, remark, wrong
from fasgen.errors import StoreError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import latest
from fasgen.manifests.products import cutter, units_of
from fasgen.manifests.seen_file import networks
from fasgen.manifests.unit import manifest_path
from fasgen.seen import Network, Target, overlaps
from fasgen.selection.row_sets import FOLDER, REPORT, TEST

_COLUMNS = ("sample_id", "subject", "dataset", "split")


def check_leaks(store: Path, stages: Mapping[str, Learnt], strict: bool) -> Iterator[Finding]:
    """What the networks of the current generations have seen of each set of rows that is tested.

    Args:
        store: the store.
        stages: what was learnt of its generations.
        strict: whether it is an error; else it is a warning, since no row is less true for it.
    """
    current = {one.folder for one in latest(store)}
    behind = list(networks(store, [stage.plan for stage in stages.values() if stage.folder in current]))
    say = wrong if strict else remark
    for what, tested in _tested(store):
        for sentence in dict.fromkeys(sentence for one in behind for sentence in _sentences(one, tested)):
            yield say(f"{store}: {what}", sentence)


def _sentences(network: Network, tested: Target) -> Iterator[str]:
    yield from overlaps(network.name, network.seen, tested)


def _tested(store: Path) -> Iterator[tuple[str, Target]]:
    """The split test and each protocol's test side, where there are such rows."""
    rows = [
        row
        for folder, unit in units_of(cutter(store))
        for row in read_table(manifest_path(folder, unit), _COLUMNS).select(list(_COLUMNS)).to_pylist()
    ]
    if own := [row for row in rows if row["split"] == TEST]:
        yield "split test", Target.of((row["sample_id"], row["subject"], row["dataset"]) for row in own)
    for report in sorted((store / FOLDER).glob(f"*/{REPORT}")):
        path = report.with_name(f"{TEST}.parquet")
        try:
            ids = set(read_table(path, ("sample_id",))["sample_id"].to_pylist()) if path.exists() else set()
        except StoreError:
            # Row sets are made again by their own command; what is damaged there takes nothing from the store.
            continue
        if some := [row for row in rows if row["sample_id"] in ids]:
            tested = Target.of((row["sample_id"], row["subject"], row["dataset"]) for row in some)
            yield f"test side of {report.parent.name}", tested
