"""Tables in the papers' layouts, as text, CSV and LaTeX; each states protocol, level and threshold policy.

Layouts: ``full``, a row an experiment with everything; ``cross``, a row a method and HTER and AUC for each protocol, as in
cross-data-set papers; ``intra``, APCER, BPCER and ACER for each protocol and method, as in intra-data-set papers;
``summary``, a row a method over all folds. A protocol whose folds are named ``NAME/FOLD`` has a row more in ``intra``, mean and
standard deviation over its folds, as OULU-NPU 3 and 4, SiW 2 and 3 and SiW-M are reported. Where a method has several seeds,
``cross`` and ``intra`` give mean and standard deviation (of the sample) over them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

from fasgen.downstream.evaluate import FIGURES, Evaluation
from fasgen.downstream.summary import CAPTION, HEADER, summary_rows

Layout = Literal["full", "cross", "intra", "summary"]
Form = Literal["text", "csv", "latex"]

_TITLES = {"auc": "AUC", "eer": "EER", "hter": "HTER", "apcer": "APCER", "bpcer": "BPCER", "acer": "ACER"}
_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPES |= {"±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table before it is set.

    Attributes:
        caption: protocol, level, threshold policy and intervals.
        header: names of the columns.
        rows: cells.
        words: number of leading columns that hold words.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int


def build(evaluations: Sequence[Evaluation], layout: Layout) -> Table:
    """The table of ``evaluations``; all of them have the same settings, but for the level. Figures are in %."""
    settings = evaluations[0].settings
    caption = settings.words()
    if len({one.settings.level for one in evaluations}) > 1:
        stills = ", ".join(dict.fromkeys(one.protocol for one in evaluations if one.settings.level == "frame"))
        video = next(one.settings for one in evaluations if one.settings.level == "video")
        caption = f"{video.words()}; frame level where there are stills alone: {stills}"
    if layout == "full":
        return _full(evaluations, f"All rates in %; {caption}; {settings.interval_words()}.")
    if layout == "summary":
        return Table(f"HTER and AUC in %, {caption}; {CAPTION}.", HEADER, tuple(summary_rows(evaluations)), 1)
    seeds = max(len(group) for group in _grouped(evaluations).values())
    spread = f"; mean ± standard deviation over up to {seeds} seeds" if seeds > 1 else ""
    if layout == "cross":
        protocols = list(dict.fromkeys(e.protocol for e in evaluations))
        return _cross(evaluations, protocols, f"Protocols: {'; '.join(protocols)}. HTER and AUC in %, {caption}{spread}.")
    return _intra(evaluations, f"APCER (worst attack type), BPCER and ACER in %, {caption}{spread}.")


def render(table: Table, form: Form) -> str:
    """The table as text, CSV or LaTeX (booktabs), ending with a line break."""
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*table.header, "conditions"))
        writer.writerows((*row, table.caption) for row in table.rows)
        return stream.getvalue()
    if form == "latex":
        return _latex(table)
    widths = [max(len(line[i]) for line in (table.header, *table.rows)) for i in range(len(table.header))]

    def line(cells: Sequence[str]) -> str:
        sides = [
            cell.ljust(w) if i < table.words else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(sides).rstrip()

    return "\n".join([table.caption, "", line(table.header), *map(line, table.rows)]) + "\n"


def _full(evaluations: Sequence[Evaluation], caption: str) -> Table:
    kinds = list(dict.fromkeys(kind for e in evaluations for kind in e.apcer_of))
    settings = evaluations[0].settings
    titles = _TITLES | {
        "tpr_at_fpr": f"TPR live@FPR={settings.fpr:.3g}",
        "tdr_at_fdr": f"TDR spoof@FDR={settings.fdr:.3g}",
    }
    header = ("protocol", "method", "seed", "live", "spoof", "threshold", *(titles[name] for name in FIGURES))
    rows = []
    for e in evaluations:
        cells = [_with_interval(e.values[name], e.intervals.get(name)) for name in FIGURES]
        cells += [_with_interval(e.apcer_of.get(kind, math.nan), e.intervals.get(f"apcer:{kind}")) for kind in kinds]
        rows.append((e.protocol, e.method, e.seed, str(e.live), str(e.spoof), f"{e.threshold:.6g}", *cells))
    return Table(caption, (*header, *(f"APCER {kind}" for kind in kinds)), tuple(rows), 3)


def _cross(evaluations: Sequence[Evaluation], protocols: Sequence[str], caption: str) -> Table:
    groups = _grouped(evaluations)
    header = ["method", *(f"{p} {figure}" for p in protocols for figure in ("HTER", "AUC")), "mean HTER", "mean AUC"]
    rows = []
    for method in dict.fromkeys(e.method for e in evaluations):
        cells = [_over_seeds(groups.get((p, method), ()), name) for p in protocols for name in ("hter", "auc")]
        for name in ("hter", "auc"):
            means = [mean(e.values[name] for e in groups[p, method]) for p in protocols if (p, method) in groups]
            cells.append(_percent(mean(means)) if len(means) == len(protocols) else "-")
        rows.append((method, *cells))
    return Table(caption, tuple(header), tuple(rows), 1)


def _intra(evaluations: Sequence[Evaluation], caption: str) -> Table:
    names = ("apcer", "bpcer", "acer")
    groups = _grouped(evaluations)
    rows = [(p, m, *(_over_seeds(group, name) for name in names)) for (p, m), group in groups.items()]
    families: dict[tuple[str, str], list[Sequence[Evaluation]]] = {}
    for (protocol, method), group in groups.items():
        family, fold, _ = protocol.partition("/")
        if fold:
            families.setdefault((family, method), []).append(group)
    for (family, method), folds in families.items():
        if len(folds) > 1:
            means = [[mean(one.values[name] for one in group) for group in folds] for name in names]
            rows.append(
                (f"{family}, {len(folds)} folds", method, *(f"{_percent(mean(m))} ± {_percent(stdev(m))}" for m in means))
            )
    return Table(caption, ("protocol", "method", *(_TITLES[name] for name in names)), tuple(rows), 2)


def _grouped(evaluations: Sequence[Evaluation]) -> dict[tuple[str, str], list[Evaluation]]:
    groups: dict[tuple[str, str], list[Evaluation]] = {}
    for e in evaluations:
        groups.setdefault((e.protocol, e.method), []).append(e)
    return groups


def _over_seeds(group: Sequence[Evaluation], name: str) -> str:
    values = [e.values[name] for e in group]
    if not values:
        return "-"
    spread = f" ± {_percent(stdev(values))}" if len(values) > 1 and not any(map(math.isnan, values)) else ""
    return _percent(mean(values)) + spread


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _with_interval(value: float, bounds: tuple[float, float] | None) -> str:
    if bounds is None or math.isnan(value) or math.isnan(bounds[0]):
        return _percent(value)
    return f"{_percent(value)} [{_percent(bounds[0])}, {_percent(bounds[1])}]"


def _latex(table: Table) -> str:
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{_escape(table.caption)}}}", rf"\begin{{tabular}}{{{columns}}}"]
    lines += [r"\toprule", _latex_row(table.header), r"\midrule", *map(_latex_row, table.rows), r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escape, cells)) + r" \\"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in text)
