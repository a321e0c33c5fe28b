"""``fasgen eval``: the field's metrics from files of scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options

LAYOUTS, FORMS = ("full", "cross", "intra", "summary"), ("text", "csv", "latex")


@click.command(name="eval", short_help="Metrics, tables and pictures from files of scores.")
@click.argument("files", nargs=-1, required=True, type=options.PATH, metavar="SCORES...")
@click.option(
    "--threshold",
    default="target-eer",
    show_default=True,
    metavar="POLICY",
    help="dev-eer: EER of the rows with split dev; target-eer: EER of the tested rows themselves; or a number.",
)
@click.option("--level", type=click.Choice(["video", "frame"]), default="video", show_default=True, help="What is scored.")
@click.option("--protocol", default="", metavar="TEXT", help="Name of the protocol, where the rows do not say it.")
@click.option("--layout", type=click.Choice(LAYOUTS), default="full", show_default=True, help="Of the printed table.")
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="Of the printed table.")
@click.option("--fpr", default=0.005, show_default=True, metavar="RATE", help="False positive rate at which TPR is read.")
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True, metavar="N", help="Draws for intervals."
)
@click.option("--seed", default=0, show_default=True, metavar="N", help="Seed of the bootstrap.")
@click.option("--out", type=options.PATH, metavar="DIR", help="Also write all tables in all forms, and pictures, here.")
def evaluate(
    files: Sequence[Path],
    threshold: str,
    level: str,
    protocol: str,
    layout: str,
    form: str,
    fpr: float,
    bootstrap: int,
    seed: int,
    out: Path | None,
) -> None:
    """Evaluate SCORES, CSV or Parquet: AUC, EER, HTER, APCER of each attack type, BPCER, ACER, TPR at an FPR.

    Columns: sample, label (1 or live, 0 or spoof), score (higher is more live), video, attack_type, split, dataset; also
    method, protocol and seed, by which rows are told apart. Only label and score must be there. A file without a method is
    called after its name. Rows with the split train are left out, rows with the split dev set thresholds only.
    """
    from fasgen.downstream.evaluate import Settings, trials
    from fasgen.downstream.evaluate import evaluate as figures
    from fasgen.downstream.report import write_report
    from fasgen.downstream.scores import read_scores
    from fasgen.downstream.tables import build, render

    policy, at = (threshold, None) if threshold in {"dev-eer", "target-eer"} else ("fixed", _number(threshold))
    settings = Settings(level, policy, at, fpr=fpr, bootstrap=bootstrap, seed=seed)  # type: ignore[arg-type]
    found = [trial for path in files for trial in trials(read_scores(path), path.stem, protocol)]
    evaluations = [figures(trial, settings) for trial in found]
    click.echo(render(build(evaluations, layout), form), nl=False)  # type: ignore[arg-type]
    if out is not None:
        write_report(out, found, evaluations)
        click.echo(f"written: {out}", err=True)


def _number(text: str) -> float:
    from fasgen.errors import ConfigError

    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--threshold {text}: wanted is dev-eer, target-eer or a number") from None
