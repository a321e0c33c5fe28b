"""``fasgen score``: a trained detector on shards, videos and folders that it has not met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import click

from fasgen.commands import options

if TYPE_CHECKING:
    from fasgen.downstream.detector import Detector
    from fasgen.downstream.scoring import Scored, Scores
    from fasgen.seen import Seen


@click.command(short_help="Apply a trained detector to shards, videos or folders.")
@click.argument("run", type=options.PATH)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... [KEY=VALUE]...")
@click.option("--out", type=options.FILE, default=Path("scores.csv"), show_default=True, help="Table: CSV, or .jsonl.")
@click.option("--features", type=options.FILE, metavar="FILE", help="Also the features with ids: .npz or .safetensors.")
@click.option("--scatter", type=options.FILE, metavar="NAME", help="Draw the features, as NAME.svg and NAME.pdf.")
@click.option(
    "--projection",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    show_default=True,
    help="Of --scatter: exact principal components, or t-SNE (fasgen[tsne]).",
)
@click.option("--store", type=options.PATH, metavar="DIR", help="Keep crops and cues that are made on the way here.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Of the detector: auto, cpu, cuda:1.")
@click.option("--strict", is_flag=True, help="Refuse where the detector has seen what is scored, or does not say.")
@options.worker_options(engine="local")
def score(
    run: Path,
    inputs: Sequence[str],
    out: Path,
    features: Path | None,
    scatter: Path | None,
    projection: Literal["pca", "tsne"],
    store: Path | None,
    device: str,
    strict: bool,
    workers: options.Workers,
) -> int:
    """Score INPUTs by the detector of RUN, the folder of a run of `fasgen experiment`.

    An INPUT is a folder of shards, a shard, a store (its shards), or a folder of pictures and videos, or one of those. Of the
    last three, crops and the detector's cues are made on the way by the stages, as they were set where the detector's shards
    were made. KEY=VALUE says what paths do not: of the sources (label=live, frames=5, 'pattern=^(?P<label>live|spoof)/'), or of
    stages (where weights lie, as defake.weights=PATH; their digest must be the detector's).

    The score is the liveness in [0, 1]; the column `higher` says so. A sample that cannot be scored is a row with its reason.
    Of videos there is a table of means beside the first, with `-videos` in its name.
    """
    from fasgen.commands.device import torch_device
    from fasgen.downstream.detector import load_detector
    from fasgen.downstream.scoring import score_shards, write_features

    detector = load_detector(run, torch_device(device))
    shards, media, settings = _sorted(inputs)
    for note in [note for path in shards for note in _other_settings(detector, path)]:
        click.echo(f"note: {note}", err=True)
    with ExitStack() as stack:
        lost: list[Scored] = []
        twins: Mapping[str, Sequence[str]] = {}
        if media:
            from fasgen.commands.making import make_shards

            if store is None:
                store = Path(stack.enter_context(TemporaryDirectory(prefix="fasgen-score-")))
            made = make_shards(detector, media, settings, store, workers)
            lost, twins = made.lost, made.twins
            shards = [*shards, *made.shards]
        elif settings:
            raise click.UsageError(f"{settings[0]}: shards are scored as they are; settings are for folders and videos")
        wanted = features is not None or scatter is not None
        scores = score_shards(detector, shards, features=wanted) if shards else None
    rows = [*(scores.rows if scores else ()), *lost]
    _name_leaks(detector, rows, twins, strict)
    if features is not None and scores is not None:
        write_features(features, scores)
    _write(out, rows)
    if features is not None:
        click.echo(f"features: {features}", err=True)
    if scatter is not None and scores is not None:
        _draw(scatter, scores, projection, f"{detector.method}, {detector.protocol}, seed {detector.seed}")
    return 0


def _draw(scatter: Path, scores: Scores, projection: Literal["pca", "tsne"], caption: str) -> None:
    import numpy as np

    from fasgen.downstream.scatter import Shown, draw_features

    rows = [one for one in scores.rows if not one.reason]
    shown = [Shown(one.row.sample, one.row.label, one.row.attack_type, one.row.dataset, one.variant > 0) for one in rows]
    features = scores.features if scores.features is not None else np.empty((0, 0), np.float32)
    scatter.parent.mkdir(parents=True, exist_ok=True)
    draw_features(features, shown, projection, caption).write(scatter)
    click.echo(f"features drawn: {scatter}.svg, {scatter}.pdf", err=True)


def _sorted(inputs: Sequence[str]) -> tuple[list[Path], list[Path], list[str]]:
    """Shards, media and settings among the arguments.

    Raises:
        SourceError: a path is not there, or a store has no shards.
    """
    from fasgen.errors import SourceError
    from fasgen.manifests.plan_file import CURRENT

    shards: list[Path] = []
    media: list[Path] = []
    settings: list[str] = []
    for text in inputs:
        path = Path(text).expanduser()
        if not path.exists() and "=" in text:
            settings.append(text)
        elif not path.exists():
            raise SourceError(f"{path}: is not there: name shards, a store, a folder of pictures or videos, or one of those")
        elif (path / CURRENT).is_file():
            shards.append(_delivery(path))
        elif path.suffix == ".tar" or (path.is_dir() and next(path.glob("*.tar"), None)):
            shards.append(path)
        else:
            media.append(path.absolute())
    return shards, media, settings


def _delivery(store: Path) -> Path:
    from fasgen.errors import SourceError
    from fasgen.manifests.plan_file import latest, read_plan

    found = next((one.folder for one in latest(store) if read_plan(one.folder).get("shipped")), None)
    if found is None:
        raise SourceError(f"{store}: this store has no shards yet: `fasgen run` makes them")
    return found


def _other_settings(detector: Detector, shards: Path) -> list[str]:
    """Where shards were made otherwise than those that the detector learnt from, in words."""
    from fasgen.downstream.detector import stages_of

    found = []
    for one in stages_of(shards):
        own = detector.made.get(one["stage"])
        if own is None or one["stage"] == "pack":
            continue
        mine, theirs = own["config"], one["config"]
        # A setting that is not told has its default.
        keys = [key for key in {**mine, **theirs} if key != "batch" and mine.get(key) != theirs.get(key)]
        keys += ["its weights"] * (own["weights"] != one["weights"]) + ["its version"] * (own["version"] != one["version"])
        if keys:
            found.append(f"{shards}: {one['stage']} has other settings than where the detector learnt: {', '.join(keys)}")
    return found


def _name_leaks(detector: Detector, rows: Sequence[Scored], twins_of: Mapping[str, Sequence[str]], strict: bool) -> None:
    """Say what the detector has seen of what is scored.

    Raises:
        ConfigError: it has seen some, or does not say, and ``strict`` asks.
    """
    from fasgen.errors import ConfigError
    from fasgen.seen import Target, digest, overlaps

    tested = Target.of((one.row.sample, one.subject, one.row.dataset) for one in rows if not one.reason)
    found = list(overlaps("the detector", detector.seen, tested))
    learnt = set(_learnt(detector.seen))
    twins = {own for other, owns in twins_of.items() if digest(other) in learnt for own in owns if digest(own) not in learnt}
    if twins:
        found.append(
            f"the detector has learnt from the files of {len(twins)} scored samples under other names, such as {min(twins)}"
        )
    for sentence in dict.fromkeys(found):
        if strict:
            raise ConfigError(f"--strict: {sentence}: nothing is written; score what it has not seen")
        click.echo(f"leak: {sentence}", err=True)


def _learnt(seen: Seen | None) -> Iterator[str]:
    """Digests of all samples that a network has learnt from, by itself or through its parents."""
    if seen is not None:
        yield from seen.samples or ()
        for parent in seen.parents.values():
            yield from _learnt(parent)


def _write(out: Path, rows: Sequence[Scored]) -> None:
    from collections import Counter

    from fasgen.downstream.scoring import of_videos, write_table

    write_table(out, [one.record() for one in rows])
    reasons = Counter(one.reason for one in rows if one.reason)
    told = "".join(f", {count} {reason}" for reason, count in sorted(reasons.items()))
    click.echo(f"scored {len(rows) - reasons.total()} of {len(rows)}{told}; liveness in [0, 1], higher is more live: {out}")
    videos: list[dict[str, Any]] = of_videos(rows)
    if videos:
        beside = out.with_name(f"{out.stem}-videos{out.suffix}")
        write_table(beside, videos)
        click.echo(f"videos {len(videos)}, mean over frames: {beside}")
