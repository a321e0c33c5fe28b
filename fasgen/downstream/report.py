"""A folder of what an evaluation shows: every table in every form, and the pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from fasgen.downstream.evaluate import Evaluation, Scored, Trial, tested
from fasgen.downstream.metrics import roc
from fasgen.downstream.pictures import Line, draw_det, draw_roc, draw_scores, write_png
from fasgen.downstream.tables import Form, Layout, build, render

SUFFIX: dict[Form, str] = {"text": "txt", "csv": "csv", "latex": "tex"}


def write_report(folder: Path, trials: Sequence[Trial], evaluations: Sequence[Evaluation]) -> None:
    """Write ``<layout>.{txt,csv,tex}``, and for each protocol ``roc``, ``det`` and, a method, ``scores`` as PNG.

    Pictures show the first seed of each method; where a class is missing there is nothing to draw.

    Args:
        folder: made if it is not there.
        trials: the scores.
        evaluations: one for each of them, all with the same settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for layout in get_args(Layout):
        for form, suffix in SUFFIX.items():
            (folder / f"{layout}.{suffix}").write_text(render(build(evaluations, layout), form), "utf-8")
    drawn: dict[str, dict[str, tuple[Scored, Evaluation]]] = {}
    for trial, one in zip(trials, evaluations, strict=True):
        if one.live and one.spoof:
            units = Scored.of(tested(trial.table), one.settings.level)
            drawn.setdefault(one.protocol, {}).setdefault(one.method, (units, one))
    for title, methods in drawn.items():
        lines = [Line(method, roc(units.labels, units.scores)) for method, (units, _) in methods.items()]
        caption = f"{title}; {evaluations[0].settings.words()}"
        write_png(folder / f"roc-{_slug(title)}.png", draw_roc(lines, caption))
        write_png(folder / f"det-{_slug(title)}.png", draw_det(lines, caption))
        for method, (units, one) in methods.items():
            canvas = draw_scores(units.labels, units.scores, one.threshold, f"{method}: {caption}")
            write_png(folder / f"scores-{_slug(title)}-{_slug(method)}.png", canvas)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "all"
