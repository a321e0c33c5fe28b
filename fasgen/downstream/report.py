"""A folder of what an evaluation shows: every table in every form, and the pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from fasgen.downstream.evaluate import Evaluation, Reading
from fasgen.downstream.metrics import roc
from fasgen.downstream.pictures import Line, draw_det, draw_roc, draw_scores
from fasgen.downstream.tables import Form, Layout, build, render

SUFFIX: dict[Form, str] = {"text": "txt", "csv": "csv", "latex": "tex"}


def write_report(folder: Path, evaluations: Sequence[Evaluation], conditions: Sequence[str] = ()) -> None:
    """Write ``<layout>.{txt,csv,tex}``, and for each protocol ``roc``, ``det`` and, a method, ``scores``, as SVG and PDF.

    Curves are those of the realistic step, of the first seed of each method, with AUC and its interval in the legend; where a
    class is missing there is nothing to draw.

    Args:
        folder: made if it is not there.
        evaluations: all with the same settings.
        conditions: what the tables' feet say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for layout in get_args(Layout):
        for form, suffix in SUFFIX.items():
            (folder / f"{layout}.{suffix}").write_text(render(build(evaluations, layout, conditions), form), "utf-8")
    drawn: dict[str, dict[str, Evaluation]] = {}
    for one in evaluations:
        if one.live and one.spoof:
            drawn.setdefault(one.protocol, {}).setdefault(one.method, one)
    for title, methods in drawn.items():
        lines = [
            Line(f"{method}: AUC {told(one, 'auc')}", roc(one.realistic.units.labels, one.realistic.units.scores))
            for method, one in methods.items()
        ]
        caption = f"{title}; {evaluations[0].settings.words()}"
        draw_roc(lines, caption).write(folder / f"roc-{_slug(title)}")
        draw_det(lines, caption).write(folder / f"det-{_slug(title)}")
        for method, one in methods.items():
            units = one.realistic.units
            thresholds = [
                (f"threshold, {name}", reading.threshold)
                for name, reading in _readings(one).items()
                if not math.isnan(reading.threshold)
            ]
            names = [f"live: BPCER {told(one, 'bpcer')}", f"spoof: APCER {told(one, 'apcer')}"]
            page = draw_scores(units.labels, units.scores, thresholds, f"{method}: {caption}", names)
            page.write(folder / f"scores-{_slug(title)}-{_slug(method)}")


def told(one: Evaluation, name: str) -> str:
    """A realistic figure in %, with its interval."""
    value, interval = one.realistic.values[name], one.intervals.get(name)
    if math.isnan(value):
        return "not known"
    return f"{100 * value:.2f}" + (f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else "")


def _readings(one: Evaluation) -> dict[str, Reading]:
    """Thresholds that can be drawn over the scores of one step."""
    same = one.realistic.step == one.idealised.step
    return {"realistic": one.realistic} | ({"idealised": one.idealised} if same else {})


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "all"
