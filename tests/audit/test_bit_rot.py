"""Every kind of file that a store holds, with a bit turned, cut off, emptied and gone: it is named, and it is made again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import mixing
import pytest
import toy
from click.testing import CliRunner

from fasgen.audit.retract import retract, who
from fasgen.audit.take_back import take_back
from fasgen.audit.verify import Finding, verify
from fasgen.cli import main
from fasgen.errors import FasgenError
from fasgen.manifests import spare
from fasgen.manifests.added_file import read_added
from fasgen.manifests.unit import committed_units, unit_facts
from fasgen.pipeline.addition import additions
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.retry import plan_retry
from fasgen.sources.config import SourceConfig
from fasgen.stages.stage import StageConfig
from tests.soak import PORTRAITS

How = Literal["turned", "cut", "emptied", "gone"]
HOWS: tuple[How, ...] = ("turned", "cut", "emptied", "gone")

UNIT, MENDED, NOTE = "unit", "mended", "note"
"""What becomes of it: its unit is taken back by ``verify --take-back``; a run mends it; nothing hangs on it."""

KINDS: dict[str, str] = {
    r"[a-z_]+-[0-9a-f]{8}/\d{5}\.parquet": UNIT,
    r"[a-z_]+-[0-9a-f]{8}/\d{5}\.sha256": UNIT,
    r"[a-z_]+-[0-9a-f]{8}/(\d{5}|fas-\d{6})\.tar": UNIT,
    r"[a-z_]+-[0-9a-f]{8}/\d{5}\.zarr/(\w+/)?zarr\.json": UNIT,
    r"[a-z_]+-[0-9a-f]{8}/\d{5}\.zarr/\w+/c(/\d+)+": UNIT,
    r"[a-z_]+-[0-9a-f]{8}/plan(-\d{5})?\.json": MENDED,
    r"[a-z_]+-[0-9a-f]{8}/(roster|rosters/\d{5})\.(parquet|sha256)": MENDED,
    r"[a-z_]+-[0-9a-f]{8}/((index|networks|croissant)\.json|README\.md)": MENDED,
    r"current\.json": MENDED,
    r"rows/\d+/\d{5}\.(parquet|sha256)": MENDED,
    r"added/[0-9a-f]{8}\.json": MENDED,
    r"retracted/[0-9a-f]{64}\.json": MENDED,
    r"seen/[0-9a-f]{64}\.json": MENDED,
    r"sources/\w+/(\d{5}\.parquet|digest|files\.sha256|reading\.json|left-out\.tsv)": MENDED,
    r"spare/.+": MENDED,
    # Whoever loses these loses a note of what is seen again, or the history, which is never believed.
    r"believed\.json": NOTE,
    r"rows/\d+/seen\.bin": NOTE,
    r"[a-z_]+-[0-9a-f]{8}/\d{5}\.timing\.parquet": NOTE,
    r"runs/.+": NOTE,
}
"""Every kind of file of a store that runs, retries and retractions leave."""


def kind_of(name: str) -> str:
    (found,) = [kind for kind in KINDS if re.fullmatch(kind, name)] or [""]
    assert found, f"{name} is of a kind that nobody has thought of: what becomes of one that is damaged?"
    return found


class Lenient(toy.Shrink):
    """Takes level 7 where the factor is odd."""

    def one(self, sample: Any) -> Any:
        image = sample.images["image"]
        if self.factor % 2 and int(image[0, 0, 0]) == 7:
            image = image.copy()
            image[0, 0, 0] = 8
            sample.images["image"] = image
        return super().one(sample)


@pytest.fixture(scope="module")
def patched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy, "Shrink", Lenient)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    plain = toy.make_source(tmp_path_factory.mktemp("faces") / "in", 14)
    return plain.model_copy(update={"pattern": r"^(?P<subject>\d\d)"})


def configured(source: SourceConfig, **changes: Any) -> Any:
    return toy.configure(source, mix=mixing.MixConfig(), compare=StageConfig(), collect=StageConfig(), **changes)


def planned(source: SourceConfig, store: Path) -> Plan:
    return build_plan(configured(source), ["all"], store, resources=Resources(0, 1), targets=mixing.TARGETS)


def go(plan: Plan) -> None:
    result, _, _ = toy.go(plan, LocalEngine(plan.resources, depth=1))
    assert result.outcome is Outcome.FINISHED, result.error


def run(source: SourceConfig, store: Path) -> None:
    """As `fasgen run` does it: what is damaged beside the units, then the generations, then what was added to them."""
    spare.mend(store)
    go(planned(source, store))
    for number in range(len(read_added(store))):
        found, left = additions(planned(source, store), configured(source), targets=mixing.TARGETS)
        assert not left
        go(found[number])


@pytest.fixture(scope="module")
def whole(source: SourceConfig, patched: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that was made, of which rows were tried again and from which somebody was taken out."""
    store = tmp_path_factory.mktemp("whole") / "store"
    go(planned(source, store))
    base = planned(source, store)
    changed = configured(source, shrink=toy.ShrinkConfig(factor=3))
    go(plan_retry(base, configured(source), changed, "no_face", targets=mixing.TARGETS))
    tombstone = who(store, "toys/00")
    assert tombstone is not None
    retract(store, tombstone)
    run(source, store)
    assert verify(store) == []
    return store


@pytest.fixture(scope="module")
def files(whole: Path) -> list[str]:
    """One file of each name, less its numbers, in each generation."""
    found: dict[str, str] = {}
    for path in sorted(whole.rglob("*")):
        if path.is_file():
            name = path.relative_to(whole).as_posix()
            found[re.sub(r"\d{5,6}", "N", name)] = name
    return list(found.values())


def damage(path: Path, how: How) -> bool:
    """Whether there was something to damage."""
    data = path.read_bytes()
    match how:
        case "turned" if data:
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        case "cut" if len(data) > 1:
            path.write_bytes(data[: 2 * len(data) // 3])
        case "emptied" if data:
            path.write_bytes(b"")
        case "gone":
            path.unlink()
        case _:
            return False
    return True


def content(store: Path) -> dict[str, bytes]:
    """Every file on which something hangs."""
    return {
        name: path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and KINDS[kind_of(name := path.relative_to(store).as_posix())] is not NOTE
    }


def test_every_kind_is_known_and_there(whole: Path, files: list[str]) -> None:
    kinds = {kind_of(name) for name in files}
    assert set(KINDS) - kinds == {r"seen/[0-9a-f]{64}\.json", r"runs/.+"}, "weights and ledgers, which these runs have not"


def is_named(name: str, store: Path, findings: Sequence[Finding]) -> bool:
    """Whether a damaged file is named. Lists of digests accuse the files beside them; a listing is written anew as a whole."""
    path = store / name
    lists = path.suffix == ".sha256" or name.startswith("sources/")
    found = [Path(one.where) for one in findings]
    return path in found or (lists and any(path.parent in (one, one.parent) for one in found))


@pytest.mark.parametrize("how", HOWS)
def test_what_is_damaged_is_named_and_made_again(
    whole: Path, files: list[str], source: SourceConfig, tmp_path: Path, how: How
) -> None:
    """Many at once, but none together that hides another: nothing is said of units under a damaged plan."""
    wanted, store = content(whole), tmp_path / "store"
    shutil.copytree(whole, store)
    groups: dict[str, list[str]] = {}
    for name in files:
        manifest, plan = re.search(r"/\d{5}\.parquet$", name), re.search(r"/plan.*\.json$", name)
        unit = KINDS[kind_of(name)] is UNIT
        group = (
            "spare"
            if name.startswith("spare/")
            else "manifest"
            if unit and manifest
            else UNIT
            if unit
            else "plan"
            if plan
            else ""
        )
        groups.setdefault(group, []).append(name)
    assert len(groups) == 5
    for group, some in groups.items():
        damaged = [name for name in some if damage(store / name, how)]
        assert damaged
        findings = verify(store)
        for name in damaged:
            # Timings are outside every digest; a note that is gone was never written, nor a unit without a manifest.
            silent = KINDS[kind_of(name)] is NOTE and (how == "gone" or "timing" in name)
            if not silent and (group, how) != ("manifest", "gone"):
                assert is_named(name, store, findings), f"{name}, {how}: {[one.where for one in findings]}"
        taken = take_back(store, findings)
        assert bool(taken) == (group == UNIT or (group == "manifest" and how != "gone"))
        run(source, store)
        found = content(store)
        different = sorted(each for each in wanted.keys() | found.keys() if wanted.get(each) != found.get(each))
        assert not different, f"{how}: {different}"
        assert verify(store) == [], how


@pytest.mark.parametrize("kind", [kind for kind, become in KINDS.items() if become is UNIT])
def test_nothing_rotten_is_shipped(whole: Path, files: list[str], source: SourceConfig, tmp_path: Path, kind: str) -> None:
    """Without a check before it: what a delivery is made from is compared as it is read."""
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    (delivery,) = store.glob("collect-*")
    wanted = {path.name: path.read_bytes() for path in delivery.glob("*.tar")}
    for unit in committed_units(delivery):
        (delivery / f"{unit:05d}.parquet").unlink()
    for name in files:
        if re.fullmatch(kind, name) and not name.startswith("collect"):
            damage(store / name, "turned")
    with suppress(FasgenError, AssertionError):
        # Damaged rows of a manifest may refuse the plan: `verify --take-back` is what helps.
        run(source, store)
    for unit in committed_units(delivery):
        tar = f"fas-{unit:06d}.tar"
        assert unit_facts(delivery, unit).tar is None or (delivery / tar).read_bytes() == wanted[tar]


def test_the_commands_mend_and_take_back(tmp_path: Path) -> None:
    """On one of the real stages, with weights of its own."""
    store = tmp_path / "store"
    faces = tmp_path / "faces"
    faces.mkdir()
    for path in sorted(PORTRAITS.glob("*.jpg"))[:2]:
        shutil.copy2(path, faces)

    def fasgen(*arguments: str) -> Any:
        return CliRunner().invoke(main, [*arguments, "--store", str(store)])

    settings = (f"sources=[{{path: {faces}, label: live}}]", "stage=align,identify", "--engine", "local", "--cpus", "1")
    assert fasgen("run", *settings, "--gpus", "0").exit_code == 0
    wanted = content(store)
    assert {kind_of(name) for name in wanted} >= {r"seen/[0-9a-f]{64}\.json"}
    for name in ("current.json", next(each for each in wanted if each.startswith("seen/"))):
        damage(store / name, "turned")
    (align,) = store.glob("align-*")
    damage(align / "00000.tar", "turned")
    checked = fasgen("verify", "--take-back")
    assert checked.exit_code == 2 and f"taken back {align.name} unit 0" in checked.stdout
    again = fasgen("run", *settings, "--gpus", "0")
    assert again.exit_code == 0 and "was damaged or missing, and is mended" in again.stderr
    assert content(store) == wanted and fasgen("verify").exit_code == 0
