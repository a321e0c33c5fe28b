"""The table of a chain: its figures in both readings beside those of the paper."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fasgen import __version__
from fasgen.audit.protocol_sets import find_protocols
from fasgen.chains.config import Chain, fold_name
from fasgen.chains.outcome import SCORES, is_done, read_outcome, score_file
from fasgen.chains.run import Result
from fasgen.chains.steps import Cell
from fasgen.downstream import conditions
from fasgen.downstream.config import ScoringConfig
from fasgen.downstream.evaluate import Evaluation, Settings, evaluate_all, family_of, trials
from fasgen.downstream.report import write_report
from fasgen.downstream.scores import Score, ScoreTable, read_scores
from fasgen.downstream.tables import POLARITY, TITLES, families, grouped, over_folds, over_seeds
from fasgen.manifests.atomic import write_atomic
from fasgen.selection.row_sets import row_set
from fasgen.sources.protocols import FAMILIES

Told = Callable[[str, str], str]
"""From a figure's name and a reading to a cell."""

READINGS = ("realistic", "idealised")

NAME = "table"


@dataclass(frozen=True)
class PaperTable:
    """A table that is ready to be written.

    Attributes:
        title: what it is.
        header: its columns.
        rows: cells.
        foot: sentences that must be read with it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.header, tuple("---" if i < 2 else "---:" for i in range(len(self.header))), *self.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"# {self.title}\n\n{body}\n\n" + "\n".join(f"- {one[:1].upper()}{one[1:]}." for one in self.foot) + "\n"


def write_table(chain: Chain, result: Result) -> PaperTable | None:
    """Evaluate all scores that are there and write ``table.md``, ``.csv`` and ``.json``, and below ``report`` every layout
    with ROC, DET and score distributions.

    Returns:
        the table; None where there are no scores at all.
    """
    rows, foot, lacking = _scores(chain, result)
    if not rows:
        return None
    evaluations = evaluate_all(trials(ScoreTable(rows)), _scoring(chain))
    table = build(chain, evaluations, [*foot, *result.notes, *lacking])
    write_report(chain.out / "report", evaluations, foot)
    write_atomic(chain.out / f"{NAME}.md", table.markdown().encode())
    write_atomic(chain.out / f"{NAME}.csv", _csv(table).encode())
    document = _document(chain, result, evaluations, table)
    write_atomic(chain.out / f"{NAME}.json", json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")
    return table


def build(chain: Chain, evaluations: Sequence[Evaluation], foot: Iterable[str] = ()) -> PaperTable:
    """Rows by protocol and method, then those over all folds of a protocol, then each attack's APCER."""
    kinds = list(dict.fromkeys(kind for one in evaluations for kind in one.realistic.apcer_of))
    settings = evaluations[0].settings
    per_attack = [f"apcer:{kind}" for kind in kinds] if len(kinds) > 1 else []
    names = [*chain.figures, *per_attack]
    rates = {"tpr_at_fpr": f"TPR at FPR {settings.fpr:.1%}", "tdr_at_fdr": f"TDR at FDR {settings.fdr:.1%}"}
    titles = [*((TITLES | rates)[name] for name in chain.figures), *(f"APCER {kind}" for kind in kinds if per_attack)]
    header = ["protocol", "method"]
    for name, title in zip(names, titles, strict=True):
        header += [title, f"{title} idealised", *([f"{title} paper"] if name in chain.figures else [])]
    papers = _published(chain)
    rows = [
        _row(names, (protocol, method), partial(over_seeds, runs), papers.get((protocol, method), {}))
        for (protocol, method), runs in grouped(evaluations).items()
    ]
    rows += [
        _row(names, (f"{family}, {len(folds)} folds", method), partial(over_folds, folds), papers.get((family, method), {}))
        for family, method, folds in families(evaluations)
    ]
    paper = chain.paper
    said = [
        f"all figures in %, {settings.words()}",
        POLARITY,
        "the columns without a word are realistic; the paper's stand beside idealised ones, which is how papers report",
        f"paper: {'; '.join(filter(None, (paper.title, paper.where)))}" if paper.title else "",
        "" if paper.figures else "the paper's figures are not in this file: give them as paper.figures",
        *foot,
    ]
    return PaperTable(chain.about or NAME, tuple(header), tuple(rows), tuple(dict.fromkeys(filter(None, said))))


def _row(names: Sequence[str], cells: Sequence[str], told: Told, published: Mapping[str, str]) -> tuple[str, ...]:
    out = [*cells]
    for name in names:
        out += [told(name, at) for at in READINGS]
        if ":" not in name:
            out.append(published.get(name, ""))
    return tuple(out)


def _published(chain: Chain) -> dict[tuple[str, str], dict[str, str]]:
    """Figures of the paper as cells, by what the table calls a fold, or a family of them, and by method."""
    return {
        (_folded(protocol), method): {name: f"{v:.2f}" if isinstance(v, float | int) else v for name, v in told.items()}
        for protocol, methods in chain.paper.figures.items()
        for method, told in methods.items()
    }


def _folded(name: str) -> str:
    """A fold as the table calls it, however it was named; a family stays what it is."""
    return name if name in FAMILIES else fold_name(find_protocols(name)[0])


def _scores(chain: Chain, result: Result) -> tuple[list[Score], list[str], list[str]]:
    """Scores of all cells, what they rest on, and which cells have none."""
    rows: list[Score] = []
    foot: list[str] = []
    lacking = []
    for cell in result.graph.cells:
        step = result.graph.steps[cell.step]
        if not is_done(step):
            why = result.failed.get(step.key, "not made yet")
            lacking.append(f"{cell.protocol.name}, {cell.method}: no figures: {why}")
            continue
        name = row_set(chain.store, cell.protocol.name).name
        path = step.folder / SCORES if cell.column is None else score_file(step.folder, cell.column)
        rows += [replace(row, method=cell.method, protocol=name) for row in read_scores(path).rows]
        made = read_outcome(step.folder)
        foot += conditions.beside(path) if cell.column is None else made.scores[cell.column] if made else []
    return rows, list(dict.fromkeys(foot)), lacking


def _scoring(chain: Chain) -> Settings:
    """How scores become figures: the detectors' common settings."""
    told = ScoringConfig.model_validate_json(json.dumps(chain.detector.get("scoring") or {}), strict=True)
    return Settings(told.level, told.threshold, bpcer=told.bpcer, shared=told.shared, bootstrap=told.bootstrap)


def _csv(table: PaperTable) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return stream.getvalue()


def _document(chain: Chain, result: Result, evaluations: Sequence[Evaluation], table: PaperTable) -> dict[str, Any]:
    by_cell = {(one.protocol, one.method, one.seed): one for one in evaluations}
    return {
        "about": chain.about,
        "version": __version__,
        "paper": chain.paper.model_dump(),
        "foot": list(table.foot),
        "rows": [dict(zip(table.header, row, strict=True)) for row in table.rows],
        "figures": [
            {
                "protocol": protocol,
                "family": family_of(protocol),
                "method": method,
                "seed": seed,
                "live": one.live,
                "spoof": one.spoof,
                **{
                    at: {
                        "threshold": _known(reading.threshold),
                        "step": reading.step,
                        **{name: _known(value) for name, value in reading.values.items()},
                        "apcer_of": {kind: _known(value) for kind, value in reading.apcer_of.items()},
                    }
                    for at, reading in (("realistic", one.realistic), ("idealised", one.idealised))
                },
            }
            for (protocol, method, seed), one in by_cell.items()
        ],
        "steps": [_told(result, cell) for cell in result.graph.cells],
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _told(result: Result, cell: Cell) -> dict[str, Any]:
    """Which trainings a cell rests on."""
    trained = {one.name: one.key for one in result.graph.ancestors(cell.step)}
    return {
        "protocol": cell.protocol.name,
        "method": cell.method,
        "step": cell.step,
        "trainings": dict(sorted(trained.items())),
    }
