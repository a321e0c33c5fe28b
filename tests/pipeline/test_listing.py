"""Listings hold a record a file; rows, digests and parquet are as if each row had been held."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fasgen.errors import ConfigError
from fasgen.manifests.sources_file import read_left_out, read_sources, write_sources
from fasgen.manifests.sources_rows import COLUMNS
from fasgen.manifests.tombstones import Retracted, Tombstone, subject_digest
from fasgen.pipeline.listing import only, take
from fasgen.sources.config import Limits, SourceConfig
from fasgen.sources.sampling import Sampling

PATTERN = r"^(?P<label>real|attack)/(?P<subject>.)"


@pytest.fixture
def sources(tmp_path: Path) -> list[SourceConfig]:
    names = (
        'real/7"frame_k":0,.mov',
        "attack/8é.MP4",
        "real/8.png",
        "real/n\n.png",
        "attack/z.mp4",
        "other.jpg",
        "back\\s.avi",
    )
    for name in names:
        path = tmp_path / "one" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    two = tmp_path / "two/real"
    two.mkdir(parents=True)
    (two / "7.mp4").write_bytes(b"x")
    return [
        SourceConfig(name="one", path=tmp_path / "one", pattern=PATTERN, frames=3, licence="free, “as is”"),
        SourceConfig(name="two", path=tmp_path / "two", pattern=PATTERN, frames=2),
    ]


def test_a_digest_is_over_all_that_a_row_is_made_from(sources: list[SourceConfig]) -> None:
    listing = take(sources, 4)
    before = dict(zip(listing.sample_ids(), map(tuple, listing.digests.tolist()), strict=True))
    assert len(set(before.values())) == len(before)
    gone = Retracted([Tombstone(subject_digest("one/8"), frozenset())])
    assert np.array_equal(take(sources, 4, gone).digests, listing.digests)

    def others(*changed: SourceConfig) -> set[str]:
        after = take(changed, 4)
        return {
            sample
            for sample, now in zip(after.sample_ids(), map(tuple, after.digests.tolist()), strict=True)
            if before[sample] != now
        }

    one, two = sources
    assert others(one, two) == set()
    movies = {row.sample_id for row in listing.rows if row.kind == "video" and row.dataset == "two"}
    assert others(one, two.model_copy(update={"frames": Sampling(policy="uniform", count=1)})) < movies
    stills = {row.sample_id for row in listing.rows if row.dataset == "one"}
    assert others(one.model_copy(update={"limits": Limits(min_side=17)}), two) == stills
    assert others(one.model_copy(update={"licence": "other"}), two) == stills
    path = one.path / "real" / "8.png"
    (sample,) = (row.sample_id for row in listing.rows if row.path == "real/8.png")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert others(one, two) == {sample}
    hashed = [source.model_copy(update={"hash": True}) for source in sources]
    by_content = take(hashed, 4)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert np.array_equal(take(hashed, 4).digests, by_content.digests)
    path.write_bytes(b"y" * path.stat().st_size)
    assert (take(hashed, 4).digests != by_content.digests).any(axis=1).sum() == 1


def test_units_cut_the_rows_of_a_video_and_of_two_sources(sources: list[SourceConfig]) -> None:
    listing = take(sources, 4)
    rows = list(listing.rows)
    assert len(rows) == len(listing.rows) == 4 * 3 + 3 + 2
    assert [row.sample_id for row in rows] == list(listing.sample_ids())
    sliced = [listing.slice(unit) for unit in listing.numbers]
    assert [row for one in sliced for row in one.rows] == rows
    assert [len(one.rows) for one in sliced] == [listing.rows_of(unit) for unit in listing.numbers]
    assert [listing.rows[place] for place in range(-len(rows), len(rows))] == rows * 2
    assert all(len(one.decoding) == 1 for one in sliced) and set(sliced[-1].decoding) == {"two"}
    with pytest.raises(IndexError):
        listing.rows[len(rows)]


def test_what_is_written_is_what_is_planned(sources: list[SourceConfig], tmp_path: Path) -> None:
    gone = Retracted([Tombstone(subject_digest("one/8"), frozenset({take(sources, 4).rows[-1].sample_id}))])
    for number, retracted in enumerate((None, gone)):
        listing = take(sources, 4, retracted)
        store, by_row = tmp_path / f"{number}-files", tmp_path / f"{number}-rows"
        listing.write(store)
        for name, found in listing.scans.items():
            plain = [
                {k: row.as_dict()[k] for k in ("sample_id", "dataset")} if row.is_blank else row.as_dict() for row in found
            ]
            assert read_sources(store, name).to_pylist() == [{c.name: row.get(c.name) for c in COLUMNS} for row in plain]
            write_sources(by_row, name, plain, reading=found.reading.document())
            for path in (store / "sources" / name).iterdir():
                assert path.read_bytes() == (by_row / "sources" / name / path.name).read_bytes(), path.name
        blank = [row.sample_id for row in listing.rows if row.is_blank]
        assert len(blank) == (0 if retracted is None else 3 + 1 + 1)


def test_some_rows(sources: list[SourceConfig]) -> None:
    listing = take(sources, 4)
    wanted = [listing.rows[place].sample_id for place in (13, 2)]
    some = only(listing, wanted, 9, (0, 3))
    assert list(some.sample_ids()) == wanted and some.rows == (listing.rows[13], listing.rows[2])
    assert some.slice(9).rows == some.rows and some.units == 1
    assert some.before == listing.numbers and some.earlier == (0, 3)
    with pytest.raises(ConfigError, match="sample 0000 is not among the sources: set them"):
        only(listing, ["0000"], 9, ())


def test_what_nobody_knows_is_read_back(tmp_path: Path) -> None:
    left = {"a\\x0a.mp4": "no pattern\tmatches it", "ü": "odd"}
    write_sources(tmp_path, "s", [{"path": "a"}], left)
    assert read_left_out(tmp_path, "s") == left
    assert read_left_out(tmp_path, "other") == {}
