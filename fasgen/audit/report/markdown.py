"""The morning report in a few lines of Markdown, for a terminal, a mail or a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fasgen.audit.report.facts import Facts
from fasgen.audit.report.flow import conserved
from fasgen.audit.report.samples import KINDS, Samples, worst_first
from fasgen.audit.report.totals import group_name
from fasgen.manifests.report.card import code_cell, name_cell, plain_cell
from fasgen.sources.reading import Reading

_WORST = 3
_MOST = 20

_FEW = 6
"""Changed settings that are named."""


def markdown(facts: Facts, samples: Samples) -> str:
    """Warnings, totals, conservation, what was read and is odd, what is drawn, times, reasons, scores and who is worst."""
    counts = np.bincount(samples.status, minlength=3)
    verdict = plain_cell(facts.verdict)
    parts = [
        f"# {plain_cell(facts.name)}",
        *(f"**Warning:** {plain_cell(one)}" for one in facts.warnings),
        f"{len(samples)} samples: {counts[0]} ok, {counts[1]} filtered, {counts[2]} failed. "
        + (verdict if facts.well else f"**{verdict}**"),
        "## Samples",
        _totals(facts.totals),
        "## Rows",
        _table(
            ["stage", "units", "from", "passed on", "rows", "ok", "filtered", "failed", "conserved"],
            [
                [name_cell(one["stage"]), f"{one['units']} of {one['of']}", name_cell(one["source"]), _known(one["given"])]
                + [one[name] for name in ("rows", "ok", "filtered", "failed")]
                + ["**no**" if not conserved(one) else "?" if one["given"] is None else "yes"]
                for one in facts.stages
            ],
        ),
        *_read(facts.sources),
        "## What is drawn here",
        _drawn(facts.drawn),
        "## Runs",
        _table(
            ["run", "ended", "units", "rows", "predicted", "taken", "rows/s"],
            [
                [name_cell(run[name]) for name in ("id", "outcome", "units", "planned")]
                + [_time(run["predicted"]), _time(run["seconds"]), _rate(run["planned"], run["seconds"])]
                for run in facts.runs[-_MOST:]
            ],
        ),
        _use([run for run in facts.runs[-_MOST:] if run["use"]]),
        "## Reasons",
        _reasons(samples),
        "## Scores",
        _scores(samples),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _read(sources: Sequence[Reading]) -> list[str]:
    """What was read of each source, and what is odd; nothing where the store does not say."""
    if not sources:
        return []
    lines = [f"- {name_cell(one.name)}: {one.planned}; {plain_cell(one.counts)}" for one in sources]
    odd = [
        f"- {name_cell(one.name)}: {plain_cell(each.what)}" + (f"; {each.change}" if each.change else "")
        for one in sources
        for each in one.odd
    ]
    return ["## What was read", "\n".join(lines), *(["### Odd in your sources", "\n".join(odd)] if odd else [])]


def _totals(told: Mapping[str, Any]) -> str:
    """Samples by label and attack; not kept: filtered and failed."""
    rows = []
    for one in told["groups"]:
        photographed, made, unmade = (one[kind] for kind in KINDS)
        counts = [photographed[0], sum(photographed[1:]), made[0], sum(made[1:]), sum(unmade)]
        rows.append([name_cell(group_name(one)), *counts, one["people"] or "-"])
    head = ["label", "photographed, kept", "photographed, not kept", "made, kept", "made, not kept", "not made", "people"]
    notes = [f"{told['pseudo']} clips or pictures stand for people and are not counted as such."] if told["pseudo"] else []
    notes += [f"{told['nobody']} samples have no subject."] if told["nobody"] else []
    return "\n\n".join([_table(head, rows), *notes])


def _drawn(told: Sequence[Mapping[str, Any]]) -> str:
    """Generations, the runs that made them, and how many settings are others than before."""
    rows = []
    for one in told:
        runs = ", ".join(f"{name_cell(run)} ({units})" for run, units in one["runs"]) or "-"
        since = name_cell(one["since"][:16].replace("T", " ")) or "-"
        names = [name_cell(name) for name, _, _ in one["changed"] or ()]
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        changed = "?" if one["changed"] is None else ", ".join(names[:_FEW]) + more or "nothing"
        rows.append([name_cell(one["folder"]), since, runs, len(one["older"]), changed if one["before"] else "-"])
    return _table(["generation", "since (UTC)", "made by run (units)", "older ones kept", "other than before"], rows)


def _reasons(samples: Samples) -> str:
    counts: Counter[tuple[str, str]] = Counter()
    details: dict[tuple[str, str], str] = {}
    for _, stage, reason, detail in samples.rejects():
        key = samples.stages[stage].stage, reason
        counts[key] += 1
        details.setdefault(key, detail)
    rows = [
        [name_cell(stage), name_cell(reason), count, plain_cell(details[stage, reason][:120])]
        for (stage, reason), count in counts.most_common()
    ]
    return _table(["stage", "reason", "samples", "for example"], rows) if rows else "Nothing was rejected."


def _scores(samples: Samples) -> str:
    rows = []
    for score in samples.scores:
        values = score.values[np.isfinite(score.values)].astype(np.float64)
        figures = [f"{value:.4g}" for value in np.quantile(values, (0.05, 0.5, 0.95))]
        worst = ", ".join(code_cell(samples.key(number)) for number in worst_first(score)[:_WORST])
        rows.append([name_cell(score.name), name_cell(score.higher or "-"), len(values), *figures, worst])
    head = ["score", "higher is", "samples", "5 %", "median", "95 %", "worst, or highest"]
    return _table(head, rows) if rows else "No stage wrote a score."


def _use(told: Sequence[Mapping[str, Any]]) -> str:
    """What the workers' time went into, for the runs that say so; empty where none does."""
    rows = []
    for run in told:
        use = run["use"]
        spent = map(_time, (use["start"] + use["build"], use["compile"], use["wait"]))
        workers, computing = f"{use['workers']} {name_cell(use['device'])}", f"{100 * use['utilisation']:.0f} %"
        rows.append([name_cell(run["id"]), workers, _time(use["wall"]), computing, *spent])
    return _table(["run", "workers", "their time", "computing", "starting", "compiling", "waiting"], rows) if rows else ""


def _known(value: object) -> object:
    return "?" if value is None else value


def _rate(rows: int, seconds: float) -> str:
    return f"{rows / seconds:.2f}" if seconds else "-"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines: list[Sequence[object]] = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
