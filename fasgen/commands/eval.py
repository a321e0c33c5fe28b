"""``fasgen eval``: the field's metrics from files of scores, or from a score that a stage of a store gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options

if TYPE_CHECKING:
    from fasgen.downstream.evaluate import Trial
    from fasgen.downstream.scores import ScoreTable

LAYOUTS, FORMS = ("full", "cross", "intra", "summary"), ("text", "csv", "latex")


@click.command(name="eval", short_help="Metrics, tables and pictures from files of scores, or of a stage's score.")
@click.argument("files", nargs=-1, required=True, type=options.PATH, metavar="SCORES|STORE...")
@click.option(
    "--score",
    metavar="COLUMN",
    help="Of a STORE, the score that is evaluated, such as lgsc_score; which way it points, its stage says.",
)
@click.option(
    "--threshold",
    default="dev-eer",
    show_default=True,
    metavar="POLICY",
    help="Of the realistic figures. dev-eer: EER of the rows with split dev; dev-bpcer: where at most --bpcer of their live "
    "ones are rejected; or a number.",
)
@click.option("--bpcer", default=0.01, show_default=True, metavar="RATE", help="Of --threshold dev-bpcer.")
@click.option(
    "--shared", is_flag=True, help="One threshold for all folds of a protocol, from their dev rows together, not one for each."
)
@click.option("--level", type=click.Choice(["video", "frame"]), default="video", show_default=True, help="What is scored.")
@click.option("--protocol", default="", metavar="NAME", help="Name of the protocol, where the rows do not say it.")
@click.option(
    "--store",
    type=options.PATH,
    metavar="DIR",
    help="Take --protocol, all its folds or one (oulu-3/2), from the row sets that `fasgen protocol` wrote here; a STORE that "
    "is evaluated is its own.",
)
@click.option(
    "--weights",
    multiple=True,
    type=options.PATH,
    metavar="PATH",
    help="Say what these have seen of what is tested: a folder of weights, of a run, or of shards. May be repeated.",
)
@click.option("--strict", is_flag=True, help="Refuse where --weights have seen what is tested, or do not say.")
@click.option("--where", metavar="EXPR", help="Only rows that pass this SQL expression over their columns.")
@click.option("--layout", type=click.Choice(LAYOUTS), default="full", show_default=True, help="Of the printed table.")
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="Of the printed table.")
@click.option(
    "--fpr", default=0.005, show_default=True, metavar="RATE", help="Share of spoofs passed at which TPR of live is read."
)
@click.option(
    "--fdr",
    default=0.005,
    show_default=True,
    metavar="RATE",
    help="Share of live taken for spoofs at which TDR of spoofs is read.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    metavar="N",
    help="Draws for intervals of AUC, EER, TPR and TDR.",
)
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the bootstrap.")
@click.option("--out", type=options.PATH, metavar="DIR", help="Also write all tables in all forms, and pictures, here.")
def evaluate(
    files: Sequence[Path],
    score: str | None,
    threshold: str,
    bpcer: float,
    shared: bool,
    level: str,
    protocol: str,
    store: Path | None,
    where: str | None,
    weights: Sequence[Path],
    strict: bool,
    layout: str,
    form: str,
    fpr: float,
    fdr: float,
    bootstrap: int,
    seed: int,
    out: Path | None,
) -> None:
    """Evaluate SCORES, CSV or Parquet: AUC, EER, HTER, APCER of each attack type, BPCER, ACER; TPR (live passed) at an
    FPR (spoofs passed), and TDR (spoofs detected) at an FDR (live taken for spoofs).

    Every table has two readings: realistic, with the threshold of --threshold and the step of the training that is best on dev,
    and idealised, at the EER of the tested rows themselves and the step that is best on them.

    Columns: sample, label (1 or live, 0 or spoof), score (higher is more live), video, attack_type, split, dataset, subject,
    step; also method, protocol and seed, by which rows are told apart. Only label and score must be there. A file without a
    method is called after its name. Rows with the split train are left out, rows with the split dev set thresholds only. With
    --store the protocol's row sets say who is tested and who sets thresholds, by the sample's id.

    A STORE in place of a file is evaluated by --score, the column of one of its stages, over its photographs.
    """
    from fasgen.downstream.evaluate import Settings, evaluate_all, trials
    from fasgen.downstream.report import write_report
    from fasgen.downstream.scores import passing_scores, under
    from fasgen.downstream.tables import build, render
    from fasgen.selection.row_sets import row_sets

    at: str | float = threshold if threshold in {"dev-eer", "dev-bpcer"} else _number(threshold)
    settings = Settings(level, at, bpcer, shared, fpr, fdr, bootstrap, seed=seed)  # type: ignore[arg-type]
    if store is not None and not protocol:
        raise click.UsageError("--store: name the protocol whose row sets lie there by --protocol")
    if strict and not weights:
        raise click.UsageError("--strict: name the weights whose scores these are by --weights")
    found: list[Trial] = []
    subjects: dict[str, str] = {}
    foot: list[str] = []
    for path in files:
        table, name, told = _scores(path, score)
        foot += told
        place = store if store is not None else path if path.is_dir() and protocol else None
        sets = row_sets(place, protocol) if place is not None else []
        if table.unscored:
            click.echo(f"{path.name}: {table.unscored} rows have a reason in place of a score and are not tested", err=True)
        if where:
            whole, table = len(table), passing_scores(table, where)
            click.echo(f"{path.name}: left out {whole - len(table)} rows that do not pass --where", err=True)
        for rows in sets:
            chosen, counts = under(table, rows)
            found += trials(chosen, name)
            subjects |= rows.subjects
            for what, count in counts.items():
                click.echo(f"{path.name}: {count} {what}", err=True)
        found += [] if sets else trials(table, name, protocol)
    for trial in found:
        _name_leaks(trial, weights, subjects, strict)
    evaluations = evaluate_all(found, settings)
    foot = list(dict.fromkeys(foot))
    click.echo(render(build(evaluations, layout, foot), form), nl=False)  # type: ignore[arg-type]
    # A table as text has them below it.
    for note in dict.fromkeys(f"{one.protocol}: {note}" for one in evaluations for note in one.notes if form != "text"):
        click.echo(f"warning: {note}", err=True)
    if out is not None:
        write_report(out, evaluations, foot)
        click.echo(f"written: {out}", err=True)


def _scores(path: Path, column: str | None) -> tuple[ScoreTable, str, list[str]]:
    """Scores of a file or a store, the name of their method, and what the table's foot says of them."""
    from fasgen.audit.scored import stage_scores
    from fasgen.downstream import conditions
    from fasgen.downstream.scores import read_scores, table_of

    if not path.is_dir():
        return read_scores(path), path.stem, conditions.beside(path)
    if column is None:
        raise click.UsageError(f"{path}: is a folder; name the score of that store by --score, such as lgsc_score")
    made = stage_scores(path, column)
    faces = conditions.of_faces(made.faces, made.rows) if made.faces else []
    return table_of(made.table, str(path)), column, [made.sign, *faces]


def _name_leaks(trial: Trial, weights: Sequence[Path], subjects: Mapping[str, str], strict: bool) -> None:
    """Say what the weights have seen of what a trial tests.

    Raises:
        ConfigError: they have seen some, or do not say, and ``strict`` asks.
    """
    from fasgen.downstream.evaluate import tested
    from fasgen.errors import ConfigError
    from fasgen.seen import Target, overlaps, read_networks, read_seen

    rows = Target.of((row.sample, subjects.get(row.sample), row.dataset) for row in tested(trial.table).rows)
    for path in weights:
        behind = read_networks(path)
        named = [(str(path), read_seen(path))] if behind is None else [(one.name, one.seen) for one in behind]
        for sentence in dict.fromkeys(sentence for name, seen in named for sentence in overlaps(name, seen, rows)):
            click.echo(f"{trial.protocol}: leak: {sentence}", err=True)
            if strict:
                raise ConfigError(f"--strict: {trial.protocol}: {sentence}: take weights that learnt without it")


def _number(text: str) -> float:
    from fasgen.errors import ConfigError

    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"--threshold {text}: wanted is dev-eer, dev-bpcer or a number; the target's own EER is the "
            "idealised reading, which is always there"
        ) from None
