"""Tables in the papers' layouts, as text, CSV and LaTeX; each gives the realistic figures beside the idealised ones.

Layouts: ``full``, a row an experiment with everything; ``cross``, a row a method and HTER and AUC for each protocol, as in
cross-data-set papers; ``intra``, APCER, BPCER and ACER for each protocol and method, as in intra-data-set papers;
``summary``, a row a method over all folds. ``full`` and ``intra`` end with mean and standard deviation over the folds of each
protocol that has some, as OULU-NPU 3 and 4, SiW 2 and 3 and SiW-M are reported. Where a method has several seeds,
``cross`` and ``intra`` give mean and standard deviation (of the sample) over them.

Below the table stands under which conditions it holds: how labels and scores point, which frames of a clip count, which
detector found the faces and which it did not find, how far crops reach, and what must be known of the figures.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal

from fasgen.downstream.evaluate import FIGURES, Evaluation, Reading
from fasgen.downstream.summary import CAPTION, HEADER, summary_rows

Layout = Literal["full", "cross", "intra", "summary"]
Form = Literal["text", "csv", "latex"]

POLARITY = "label 1 is live, 0 is spoof; a higher score is more live; accepted as live is what scores at least the threshold"

TITLES = {"auc": "AUC", "eer": "EER", "hter": "HTER", "apcer": "APCER", "bpcer": "BPCER", "acer": "ACER"}
_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPES |= {"±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table before it is set.

    Attributes:
        caption: protocol, level, both readings and intervals.
        header: names of the columns.
        rows: cells.
        words: number of leading columns that hold words.
        foot: conditions, a sentence each.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    foot: tuple[str, ...] = ()


def build(evaluations: Sequence[Evaluation], layout: Layout, conditions: Sequence[str] = ()) -> Table:
    """The table of ``evaluations``; all of them have the same settings, but for the level. Figures are in %.

    Args:
        evaluations: at least one.
        layout: which table.
        conditions: what the foot says beside how labels and scores point, and beside the notes of the evaluations.
    """
    settings = evaluations[0].settings
    caption = settings.words()
    if len({one.settings.level for one in evaluations}) > 1:
        stills = ", ".join(dict.fromkeys(one.protocol for one in evaluations if one.settings.level == "frame"))
        video = next(one.settings for one in evaluations if one.settings.level == "video")
        caption = f"{video.words()}; frame level where there are stills alone: {stills}"
    foot = (POLARITY, *conditions, *_notes(evaluations))
    if layout == "full":
        return _full(evaluations, f"All rates in %; {caption}; {settings.interval_words()}.", foot)
    if layout == "summary":
        return Table(f"HTER and AUC in %, {caption}; {CAPTION}.", HEADER, tuple(summary_rows(evaluations)), 1, foot)
    seeds = max(len(group) for group in grouped(evaluations).values())
    spread = f"; mean ± standard deviation over up to {seeds} seeds" if seeds > 1 else ""
    if layout == "cross":
        protocols = list(dict.fromkeys(e.protocol for e in evaluations))
        return _cross(evaluations, protocols, f"Protocols: {'; '.join(protocols)}. HTER and AUC in %, {caption}{spread}.", foot)
    return _intra(evaluations, f"APCER (worst attack type), BPCER and ACER in %, {caption}{spread}.", foot)


def _notes(evaluations: Sequence[Evaluation]) -> list[str]:
    """Notes with the protocols that they are of, where they are not of all."""
    every = list(dict.fromkeys(e.protocol for e in evaluations))
    out = []
    for note in dict.fromkeys(note for e in evaluations for note in e.notes):
        of = list(dict.fromkeys(e.protocol for e in evaluations if note in e.notes))
        out.append(note if of == every else f"{', '.join(of)}: {note}")
    return out


def render(table: Table, form: Form) -> str:
    """The table as text, CSV or LaTeX (booktabs), ending with a line break."""
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*table.header, "conditions"))
        writer.writerows((*row, " ".join([table.caption, *_sentences(table)])) for row in table.rows)
        return stream.getvalue()
    if form == "latex":
        return _latex(table)
    widths = [max(len(line[i]) for line in (table.header, *table.rows)) for i in range(len(table.header))]

    def line(cells: Sequence[str]) -> str:
        sides = [
            cell.ljust(w) if i < table.words else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(sides).rstrip()

    return "\n".join([table.caption, "", line(table.header), *map(line, table.rows), "", *_sentences(table)]) + "\n"


def _sentences(table: Table) -> list[str]:
    return [f"{one[0].upper()}{one[1:]}." for one in table.foot]


def _full(evaluations: Sequence[Evaluation], caption: str, foot: tuple[str, ...]) -> Table:
    kinds = list(dict.fromkeys(kind for e in evaluations for kind in e.realistic.apcer_of))
    settings = evaluations[0].settings
    titles = TITLES | {
        "tpr_at_fpr": f"TPR live@FPR={settings.fpr:.3g}",
        "tdr_at_fdr": f"TDR spoof@FDR={settings.fdr:.3g}",
    }
    stepped = any(e.realistic.step or e.idealised.step for e in evaluations)
    figures = [*FIGURES, *(f"apcer:{kind}" for kind in kinds)]
    named = [*(titles[name] for name in FIGURES), *(f"APCER {kind}" for kind in kinds)]
    header = ["protocol", "method", "seed", "live", "spoof"]
    for reading in ("realistic", "idealised"):
        header += [f"{one} {reading}" for one in (*(["step"] if stepped else []), "threshold", *named)]

    def cells(reading: Reading, e: Evaluation | None = None) -> list[str]:
        intervals = e.intervals if e else {}
        at = [*([reading.step] if stepped else []), f"{reading.threshold:.6g}".replace("nan", "-")]
        return [*at, *(_with_interval(figure(reading, name), intervals.get(name)) for name in figures)]

    rows = []
    for e in evaluations:
        about = (e.protocol, e.method, e.seed, str(e.live), str(e.spoof))
        rows.append((*about, *cells(e.realistic, e), *cells(e.idealised)))
    blank = [""] * (2 if stepped else 1)
    for family, method, folds in families(evaluations):
        over = [[over_folds(folds, name, at) for name in figures] for at in ("realistic", "idealised")]
        rows.append((f"{family}, {len(folds)} folds", method, "", "", "", *blank, *over[0], *blank, *over[1]))
    return Table(caption, tuple(header), tuple(rows), 3, foot)


def figure(reading: Reading, name: str) -> float:
    """A figure by its name, or the APCER of an attack type, as ``apcer:TYPE``; NaN where it is not known."""
    kind = name.removeprefix("apcer:")
    return reading.apcer_of.get(kind, math.nan) if kind != name else reading.values[name]


def _cross(evaluations: Sequence[Evaluation], protocols: Sequence[str], caption: str, foot: tuple[str, ...]) -> Table:
    groups = grouped(evaluations)
    pairs = [(name, at) for name in ("hter", "auc") for at in ("realistic", "idealised")]
    header = ["method", *(f"{p} {TITLES[name]} {at}" for p in (*protocols, "mean") for name, at in pairs)]
    rows = []
    for method in dict.fromkeys(e.method for e in evaluations):
        cells = [over_seeds(groups.get((p, method), ()), name, at) for p in protocols for name, at in pairs]
        for name, at in pairs:
            means = [_mean(groups[p, method], name, at) for p in protocols if (p, method) in groups]
            cells.append(_percent(mean(means)) if len(means) == len(protocols) else "-")
        rows.append((method, *cells))
    return Table(caption, tuple(header), tuple(rows), 1, foot)


def _intra(evaluations: Sequence[Evaluation], caption: str, foot: tuple[str, ...]) -> Table:
    pairs = [(name, at) for name in ("apcer", "bpcer", "acer") for at in ("realistic", "idealised")]
    groups = grouped(evaluations)
    rows = [(p, m, *(over_seeds(group, name, at) for name, at in pairs)) for (p, m), group in groups.items()]
    for family, method, folds in families(evaluations):
        rows.append((f"{family}, {len(folds)} folds", method, *(over_folds(folds, name, at) for name, at in pairs)))
    return Table(caption, ("protocol", "method", *(f"{TITLES[name]} {at}" for name, at in pairs)), tuple(rows), 2, foot)


def families(evaluations: Sequence[Evaluation]) -> list[tuple[str, str, list[Sequence[Evaluation]]]]:
    """Of each protocol with several folds, and each method: its runs, fold by fold."""
    out: dict[tuple[str, str], list[Sequence[Evaluation]]] = {}
    for (_, method), group in grouped(evaluations).items():
        if family := group[0].family:
            out.setdefault((family, method), []).append(group)
    return [(family, method, folds) for (family, method), folds in out.items() if len(folds) > 1]


def over_folds(folds: Sequence[Sequence[Evaluation]], name: str, at: str) -> str:
    """Mean and deviation over those folds that have the figure, of each the mean over seeds."""
    means = [value for group in folds if not math.isnan(value := _mean(group, name, at))]
    return f"{_percent(mean(means))} ± {_percent(stdev(means))}" if len(means) > 1 else "-"


def grouped(evaluations: Sequence[Evaluation]) -> dict[tuple[str, str], list[Evaluation]]:
    groups: dict[tuple[str, str], list[Evaluation]] = {}
    for e in evaluations:
        groups.setdefault((e.protocol, e.method), []).append(e)
    return groups


def over_seeds(group: Sequence[Evaluation], name: str, at: str) -> str:
    values = [figure(getattr(e, at), name) for e in group]
    if not values:
        return "-"
    spread = f" ± {_percent(stdev(values))}" if len(values) > 1 and not any(map(math.isnan, values)) else ""
    return _percent(mean(values)) + spread


def _mean(group: Sequence[Evaluation], name: str, at: str) -> float:
    return mean(figure(getattr(e, at), name) for e in group)


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
    foot = [r"\par\footnotesize " + " ".join(map(_escape, _sentences(table)))] if table.foot else []
    return "\n".join([*lines, r"\end{tabular}", *foot, r"\end{table}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(_escape, cells)) + r" \\"


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in text)
