"""The video that stills are frames of, through listings and manifests, and what has none unchanged to the byte."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import toy

from fasgen.audit.inventory import inventory
from fasgen.audit.query import show
from fasgen.audit.readings import counted, read
from fasgen.audit.verify import verify
from fasgen.manifests.sources_file import read_sources
from fasgen.manifests.unit import committed_units, manifest_path
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.sources.config import SourceConfig

WITH = r"(?P<video>\d)/"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten stills in two folders, and twelve files besides."""
    folder = tmp_path_factory.mktemp("faces") / "in"
    toy.make_source(folder, 20)
    for number in range(10):
        (folder / str(number // 5)).mkdir(exist_ok=True)
        (folder / f"{number:03d}.png").rename(folder / str(number // 5) / f"{number:03d}.png")
    return folder


def made(pictures: Path, store: Path, pattern: str | None) -> None:
    source = SourceConfig(name="toys", path=pictures, label="live", pattern=pattern, limits=toy.Limits(min_side=4))
    plan = toy.plan(toy.configure(source), store)
    result, _, _ = toy.go(plan, LocalEngine(plan.resources, depth=1))
    assert result.outcome is Outcome.FINISHED and result.remaining == 0


def has_video(store: Path) -> dict[str, list[bool]]:
    """By stage, whether the manifest of each unit has the column."""
    return {
        folder.name[:-9]: ["video" in pq.read_schema(manifest_path(folder, unit)).names for unit in committed_units(folder)]
        for folder in sorted(store.glob("*-????????"))
    }


def test_units_without_a_video_have_the_bytes_that_they_had(pictures: Path, tmp_path: Path) -> None:
    made(pictures, tmp_path / "a", None)
    made(pictures, tmp_path / "b", WITH)
    assert not any(map(any, has_video(tmp_path / "a").values()))
    # Of the units of eight rows, the one in the middle has no still of a video.
    assert set(map(tuple, has_video(tmp_path / "b").values())) == {(True, False, True)}
    a, b = toy.content(tmp_path / "a"), toy.content(tmp_path / "b")
    assert {name for name in a if name.endswith("00001.parquet") and a[name] == b[name]} >= {
        f"{folder.name}/00001.parquet" for folder in (tmp_path / "a").glob("*-????????")
    }
    assert {name: digest for name, digest in a.items() if name.endswith(".tar")}.items() <= b.items()


def test_a_store_that_learns_of_videos_remakes_their_rows_alone_and_reads_as_one(pictures: Path, tmp_path: Path) -> None:
    made(pictures, tmp_path, None)
    before = toy.content(tmp_path)
    made(pictures, tmp_path, WITH)
    after = toy.content(tmp_path)
    assert {name for name in before if "00001" in name and before[name] != after[name]} == set()
    assert verify(tmp_path) == []
    rows = show(tmp_path, "status = 'ok' and stage = 'join'", ("path", "video"), None).to_pylist()
    assert {row["video"] for row in rows} == {None, "0", "1"}
    assert all(row["video"] == (row["path"][0] if "/" in row["path"] else None) for row in rows)
    assert show(tmp_path, "video = '1' and stage = 'shrink'", ("sample_id",), None).num_rows == 5
    assert show(tmp_path, "video is null and stage = 'shrink'", ("sample_id",), None).num_rows == 12
    [count, whole] = inventory(tmp_path)
    assert (count.split, count.files, count.videos, count.pictures) == ("-", 22, 2, 12) == ("-", *(whole.files, 2, 12))
    told = read(tmp_path, "toys")
    assert told is not None and (told.clips, told.stills) == (2, 10)
    assert counted("toys", read_sources(tmp_path, "toys")).clips == 2
