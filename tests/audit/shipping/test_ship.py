"""A store that is shipped: what comes is whole at every moment, goes on after a break, and nothing rotten is in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import toy
from click.testing import CliRunner
from PIL import Image

from fasgen.audit.shipping.ship import Shipped, ship
from fasgen.audit.shipping.target import Folder, Remote, Target
from fasgen.audit.verify import verify
from fasgen.cli import main
from fasgen.errors import StoreError
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.parquet import encode_table
from fasgen.manifests.plan_file import read_current
from fasgen.manifests.tombstones import Tombstone, write_tombstone
from fasgen.manifests.unit import committed_units
from fasgen.pipeline.outcome import Outcome
from fasgen.reader import FasDataset
from fasgen.remote.path import RemotePath
from tests.s3 import serving


def run(pictures: Path, store: Path, **changes: Any) -> None:
    source = toy.SourceConfig(name="toys", path=pictures, label="live", limits=toy.Limits(min_side=4))
    made = toy.plan(toy.configure(source, unit_rows=4, **changes), store)
    assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store, and what it is after it has grown, a picture has changed, and noisy has another setting."""
    folder = tmp_path_factory.mktemp("stores")
    toy.make_source(folder / "in", 7)
    run(folder / "in", folder / "early")
    shutil.copytree(folder / "early", folder / "late")
    Image.new("RGB", (20, 20), (90, 1, 1)).save(folder / "in" / "001.png")
    Image.new("RGB", (20, 20), (91, 1, 1)).save(folder / "in" / "new.png")
    run(folder / "in", folder / "late")
    run(folder / "in", folder / "late", noisy=toy.NoisyConfig(strength=5.0))
    return folder / "early", folder / "late"


def errors(store: Path) -> list[str]:
    return [f"{one.where}: {one.what}" for one in verify(store) if one.severity == "error"]


def files(store: Path) -> dict[str, bytes]:
    """All files that are shipped."""
    found = {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name.partition("/")[0] not in ("runs", "spare", "believed.json")}


class Breaking:
    """A target at which the operation of a number, counted from 1, and all after it fail."""

    parallel = 1

    def __init__(self, inner: Target, at: int) -> None:
        self._inner, self._left = inner, at

    def __getattr__(self, name: str) -> Any:
        if name in ("write", "send", "remove"):
            self._left -= 1
            if self._left <= 0:
                raise KeyboardInterrupt
        return getattr(self._inner, name)


def test_at_every_moment_there_is_a_whole_store_at_the_target(stores: tuple[Path, Path], tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    ship(stores[0], Folder(begun))
    for store, before in ((stores[0], None), (stores[1], begun)):
        at, ended = 0, False
        while not ended:
            # Not every operation of hundreds, but in turn each kind of them.
            at += 1 if at < 6 else 13
            there = tmp_path / f"{store.name}-{at}"
            if before is not None:
                shutil.copytree(before, there)
            try:
                ship(store, Breaking(Folder(there), at), delete=True)
                ended = True
            except KeyboardInterrupt:
                pass
            if there.exists():
                assert read_current(there) is not None and not errors(there), at
                ship(store, Folder(there), delete=True)
            if there.exists():
                assert files(there) == files(store), at
                assert not errors(there)
                shutil.rmtree(there)
        assert at > 30


def test_what_is_there_is_not_sent_again_and_what_is_too_much_goes_when_asked(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    early, late = stores
    first = ship(early, Folder(tmp_path / "there"))
    assert first.kept_files == 0 and first.files == len(files(early)) and first.bytes == sum(map(len, files(early).values()))
    assert [name for name, _ in first.left_out] == ["runs", "spare"] and not first.more
    again = ship(early, Folder(tmp_path / "there"))
    assert (again.files, again.kept_files, again.kept_bytes) == (0, first.files, first.bytes)
    shutil.copytree(late, tmp_path / "late")
    for gone in (tmp_path / "late").glob("noisy-????????"):
        if gone.name not in {one[0].folder for one in read_current(late).values()}:
            shutil.rmtree(gone)
    grown = ship(tmp_path / "late", Folder(tmp_path / "there"))
    assert 0 < grown.files < len(files(late)) and grown.kept_files > 10
    assert grown.more and all(name.startswith("noisy-") for name in grown.more) and grown.removed == 0
    (tmp_path / "there" / "mine.txt").write_text("mine")
    assert ship(tmp_path / "late", Folder(tmp_path / "there"), delete=True).removed == len(grown.more)
    assert (tmp_path / "there" / "mine.txt").read_text() == "mine"
    (tmp_path / "there" / "mine.txt").unlink()
    assert files(tmp_path / "there") == files(tmp_path / "late")


def test_files_of_others_in_folders_that_are_called_alike_are_neither_sent_nor_removed(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    store, there = tmp_path / "store", tmp_path / "there"
    shutil.copytree(stores[0], store)
    rows = encode_table(pa.table({"sample_id": ["a"], "variant": [0], "subject": ["anna"]}))
    own = {
        "protocols/oulu-1/report.json": b'{"protocol": "oulu-1", "family": "oulu", "sides": {}}',
        "protocols/oulu-1/train.parquet": rows,
        "identities/identify-0123abcd.json": b"{}",
        "attached/depth/files.json": b"{}",
        "attached/depth/origin.json": b'{"format": "fasgen-attached/1"}',
        f"seen/{'0' * 64}.json": b"{}",
    }
    foreign = {
        "protocols/minutes.txt": b"of a meeting",
        "protocols/oulu-1/notes.txt": b"x",
        "protocols/mine/train.parquet": encode_table(pa.table({"face": ["a"]})),
        "protocols/mine/report.json": b"{}",
        "identities/passport.png": b"x",
        "attached/letters/files.json": b"{}",
        "attached/letters/origin.json": b'{"format": "letters"}',
        "attached/depth/face.npy": b"x",
        "seen/places.json": b"{}",
        "added/guests.txt": b"x",
        "retracted/claims.txt": b"x",
        "rows/boats/0.parquet": b"x",
    }
    for name, data in (own | foreign).items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(data)
    done = ship(store, Folder(there))
    assert not done.damaged and foreign.keys().isdisjoint(files(there)) and own.items() <= files(there).items()
    assert done.left_out[-1][0] == "added/guests.txt and 10 more", "rows/ is looked through for records alone"
    for name, data in foreign.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(data)
    for name in own:
        (store / name).unlink()
    assert ship(store, Folder(there), delete=True).more == sorted(own)
    assert foreign.items() <= files(there).items() and own.keys().isdisjoint(files(there))


def test_shards_alone_are_what_trainers_read(stores: tuple[Path, Path], tmp_path: Path) -> None:
    early, _ = stores
    there = tmp_path / "there"
    done = ship(early, Folder(there), shards=True)
    (delivery,) = there.glob("join-????????")
    assert {path.name for path in there.iterdir()} == {"current.json", "rows", delivery.name}
    assert committed_units(delivery) and (delivery / "index.json").is_file()
    assert not errors(there)
    assert any("no current delivery" in why for _, why in done.left_out)
    assert len(FasDataset(str(delivery)).shards) == len(list(delivery.glob("toy-*.tar")))
    # The whole may follow, and shards after it: neither takes from the other.
    ship(early, Folder(there))
    ship(early, Folder(there), shards=True)
    assert files(there) == files(early)


def test_nothing_rotten_is_shipped(stores: tuple[Path, Path], tmp_path: Path) -> None:
    store, there = tmp_path / "store", tmp_path / "there"
    shutil.copytree(stores[0], store)
    (shard,) = store.glob("join-*/toy-000001.tar")
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)
    done = ship(store, Folder(there))
    assert [one.name for one in done.damaged] == [shard.relative_to(store).as_posix()]
    assert not errors(there) and not list(there.glob("join-*/index.json")) and not list(there.glob("join-*/00001.parquet"))
    told = CliRunner().invoke(main, ["ship", str(store), str(there)])
    assert told.exit_code == 2 and f"damaged, not sent: {done.damaged[0].name}" in told.stderr
    # Of what is damaged here, the target keeps what it has, even where all else is to be removed.
    ship(stores[0], Folder(there))
    (there / shard.relative_to(store)).with_name("00001.sha256").write_text("")
    assert ship(store, Folder(there), delete=True).damaged
    assert (there / shard.relative_to(store)).read_bytes() == (stores[0] / shard.relative_to(store)).read_bytes()


def test_names_in_manifests_lead_nowhere_else(stores: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(stores[0], store)
    (listing,) = store.glob("rows/*/*.sha256")
    listing.write_text(listing.read_text().replace("00000.parquet", "../../../secret"))
    assert "another file" in ship(store, Folder(tmp_path / "there")).damaged[0].why


@pytest.mark.parametrize("held", ["another", "things", "run", "format"])
def test_what_holds_something_else_is_left_alone(stores: tuple[Path, Path], tmp_path: Path, held: str) -> None:
    there = tmp_path / "there"
    there.mkdir()
    if held == "another":
        toy.make_source(tmp_path / "in", 3)
        (tmp_path / "in" / "000.png").rename(tmp_path / "in" / "other.png")
        run(tmp_path / "in", tmp_path / "other")
        ship(tmp_path / "other", Folder(there))
    elif held == "things":
        (there / "thesis.tex").write_text("x")
    elif held == "run":
        shutil.copytree(stores[0], there, dirs_exist_ok=True)
        (there / "runs" / "driver.lock").write_text("{}")
    else:
        (there / "current.json").write_text('{"format": "fasgen/1", "stages": {}, "digest": ""}')
    before = files(there)
    with pytest.raises(StoreError, match=r"another store|other things|a run works there|of the format 'fasgen/1'"):
        ship(stores[0], Folder(there))
    assert files(there) == before


def test_a_store_that_is_worked_on_waits(stores: tuple[Path, Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(stores[0], store)
    with StoreLock(store), pytest.raises(StoreError):
        ship(store, Folder(tmp_path / "there"))
    write_tombstone(store, Tombstone("0" * 64, frozenset(), False, {}, frozenset(), None))
    with pytest.raises(StoreError, match="half taken out"):
        ship(store, Folder(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("store/below", "one of the two lies in the other"),
        ("file:///data/x", "is an address of this machine: write /data/x"),
        ("s3:/bucket/x", "too few slashes"),
        ("simplecache::s3://bucket/x", "a chain of addresses"),
        ("sftp://me:secret@host/x", "holds a password"),
        ("nosuch://bucket/x", "nosuch:// cannot be opened"),
    ],
)
def test_targets_that_are_none(stores: tuple[Path, Path], tmp_path: Path, target: str, said: str, monkeypatch: Any) -> None:
    shutil.copytree(stores[0], tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, ["ship", "store", target])
    assert told.exit_code == 2 and said in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.fixture(params=["memory", "s3"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    pytest.importorskip("fsspec")
    if request.param == "s3":
        with serving("ships") as bucket:
            yield f"{bucket}/here"
    else:
        yield f"memory://{request.node.name.replace('[', '-').replace(']', '')}"


def fetched(address: str, folder: Path) -> Path:
    for one in RemotePath(address).files():
        (folder / one.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / one.name).write_bytes((RemotePath(address) / one.name).read())
    return folder


def test_to_an_object_store_with_a_break_in_the_midst(stores: tuple[Path, Path], tmp_path: Path, address: str) -> None:
    early, late = stores
    with pytest.raises(KeyboardInterrupt):
        ship(early, Breaking(Remote(RemotePath(address)), 30))
    half = fetched(address, tmp_path / "half")
    assert not errors(half) and 20 < len(files(half)) < len(files(early))
    told = CliRunner().invoke(main, ["ship", str(early), address])
    assert told.exit_code == 0 and f"{address}: sent" in told.stdout and "were there" in told.stdout, told.output
    assert files(fetched(address, tmp_path / "whole")) == files(early)
    assert not errors(tmp_path / "whole")
    done: Shipped = ship(late, Remote(RemotePath(address)), delete=True)
    assert done.files and done.kept_files
    assert files(fetched(address, tmp_path / "late")) == files(late)
    assert not errors(tmp_path / "late")
