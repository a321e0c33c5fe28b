"""Every stage that is on, tried with a few pictures: two people, live and attacked, so that every stage gets what it needs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen import stages
from fasgen.errors import FasgenError
from fasgen.manifests.images import encode_png
from fasgen.manifests.parquet import read_table
from fasgen.manifests.unit import manifest_path
from fasgen.pipeline.estimate import Probe, probe
from fasgen.pipeline.libraries import Check
from fasgen.pipeline.plan import Plan, build_plan
from fasgen.pipeline.resources import claim, machine
from fasgen.pipeline.wiring import Wiring, wire
from fasgen.sources.config import Limits, SourceConfig
from fasgen.stages.stage import RGB

if TYPE_CHECKING:
    from fasgen.config import Config

OWN, YOURS = "carried", "yours"
"""Sources of a trial: the pictures that fasgen carries, and the one that was named."""

_ATTACK = "replay_phone"
_PATTERN = r"^(?P<label>live|spoof)/(?P<subject>[a-z_]+)(?:\.(?P<attack_type>replay))?\."


def wired(config: Config) -> dict[str, Wiring]:
    """The stages that are on, in order.

    Raises:
        ConfigError: they do not fit together.
    """
    return wire(stages.specs(), config.stage)


def trial(config: Config, gpus: int | None, image: Path | None = None) -> Iterator[Check]:
    """Two people's portraits and a simulated attack on each, through every stage, in this process; the store is not touched.

    Args:
        config: the configuration; its sources are not looked at.
        gpus: GPUs to try; all there are if ``None``.
        image: a picture of the user's, tried beside them.
    """
    with tempfile.TemporaryDirectory(prefix="fasgen-doctor-") as scratch:
        folder = Path(scratch)
        try:
            on = wired(config)
            able, left_out = _able(config, on)
            yield from left_out.values()
            if not able:
                return
            plan = _plan(config, able, gpus, image, folder)
        except (FasgenError, OSError) as error:
            yield Check("fail", "stages", str(error), "mend this first; no stage was tried")
            return
        # Rows of two sources never share a unit of a store; here they do, since a guide may lie in either.
        everything = plan.listing.some(list(plan.listing.numbers), len(plan.listing.rows))
        for seen in probe(plan, folder / "made", everything):
            yield _judge(seen)
            if image and seen.folder:
                yield from _yours(seen, image)


def _able(config: Config, on: Mapping[str, Wiring]) -> tuple[list[str], dict[str, Check]]:
    """Stages that can be built, and why others cannot."""
    specs = stages.specs()
    sections: dict[str, Any] = {wiring.stage: config.stage(wiring.stage) for wiring in on.values()}
    able: list[str] = []
    left_out: dict[str, Check] = {}
    for name, wiring in on.items():
        stage = wiring.stage
        without = next((read for read in wiring.stages if read not in able), None)
        if without:
            left_out[name] = Check("warn", f"stage {name}", f"not tried: it reads {without}, which was not tried")
        elif why := specs[stage].refusal(sections[stage], sections):
            left_out[name] = Check(
                "fail", f"stage {name}", f"cannot run with this configuration: {why.removeprefix(f'{stage}: ')}"
            )
        elif not _there(specs[stage].weights, sections[stage]):
            left_out[name] = Check("warn", f"stage {name}", "not tried: its weights are not there")
        else:
            able.append(name)
    return able, left_out


def _there(weights: Any, section: Any) -> bool:
    try:
        return all(path.exists() for path in weights(section).values())
    except FasgenError:
        return False


def _plan(config: Config, able: Sequence[str], gpus: int | None, image: Path | None, folder: Path) -> Plan:
    _portray(folder / "carried")
    sources = [SourceConfig(name=OWN, path=folder / "carried", pattern=_PATTERN, licence="public-domain")]
    if image:
        (folder / "yours").mkdir()
        shutil.copy(image, folder / "yours" / image.name)
        sources.append(SourceConfig(name=YOURS, path=folder / "yours", label="live"))
    # One unit, however small those of the configuration are: a guide may lie anywhere.
    chosen = config.model_copy(update={"sources": tuple(sources), "unit_rows": 64})
    resources = claim(machine(), gpus, threads=config.threads)
    return build_plan(chosen, able, folder / "store", resources=resources, targets=stages.STAGES)


def _portray(folder: Path) -> None:
    """Write the carried portraits, and an attack on each."""
    from fasgen.sources.image import decode_image
    from fasgen.stages.physical.config import PhysicalConfig
    from fasgen.stages.physical.simulate import simulate

    live, spoof = folder / "live", folder / "spoof"
    live.mkdir(parents=True)
    spoof.mkdir()
    with as_file(files("fasgen") / "portraits") as carried:
        for number, path in enumerate(sorted(carried.glob("*.jpg"))):
            shutil.copy(path, live / path.name)
            portrait = decode_image(path.read_bytes(), Limits())
            # Mirrored as well: of a handful of spoofs each in another style, hardly all miss theirs.
            _write(live / f"{path.stem}.mirrored.png", portrait[:, ::-1])
            _write(spoof / f"{path.stem}.replay.png", simulate(portrait, _ATTACK, number, PhysicalConfig()).image)


def _write(path: Path, picture: RGB) -> None:
    path.write_bytes(encode_png(picture, path.name))


@dataclass(frozen=True, slots=True)
class _Row:
    """What became of a row."""

    dataset: str
    status: str
    reason: str
    detail: str


def _rows(seen: Probe) -> list[_Row]:
    assert seen.folder and seen.summary
    columns = ("dataset", "status", "reason", "detail")
    table = read_table(manifest_path(seen.folder, seen.summary.unit), columns).to_pylist()
    return [_Row(*(str(row[name] or "") for name in columns)) for row in table]


def _judge(seen: Probe) -> Check:
    what = f"stage {seen.stage}"
    if seen.summary is None:
        return Check("warn" if seen.skipped else "fail", what, seen.error)
    if not seen.summary.planned:
        return Check("warn", what, "not tried: the stages before it turned all pictures away")
    seconds, counts = seen.seconds, seen.summary
    times = f"{seconds.get('build', 0.0):.1f} s to build, {seconds.get('compute', 0.0):.2f} s to compute"
    refused = next((row for row in _rows(seen) if row.status != "ok"), None)
    found = f"{counts.ok} of {counts.planned} pictures, {times}" + (f"; {refused.reason}: {refused.detail}" if refused else "")
    if counts.failed:
        return Check("fail", what, found, "a run would fail on yours as well: mend this first")
    if counts.ok:
        return Check("ok", what, found)
    return Check(
        "warn", what, found, "the settings turn away even the pictures that fasgen carries; a run may keep nothing here"
    )


def _yours(seen: Probe, image: Path) -> Iterator[Check]:
    """A line on the user's picture at one stage, where it is turned away there."""
    for row in _rows(seen):
        if row.dataset == YOURS and row.status != "ok":
            yield Check(
                "fail" if row.status == "failed" else "warn", f"{image.name}, {seen.stage}", f"{row.reason}: {row.detail}"
            )
