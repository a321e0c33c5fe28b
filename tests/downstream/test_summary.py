"""The short table by hand."""

from __future__ import annotations

import math

from fasgen.downstream.evaluate import FIGURES, Evaluation, Settings
from fasgen.downstream.summary import HEADER, summary_rows
from fasgen.downstream.tables import build, render


def one(method: str, fold: str, seed: str, hter: float, auc: float) -> Evaluation:
    values = dict.fromkeys(FIGURES, math.nan) | {"hter": hter, "auc": auc}
    return Evaluation(method, fold, seed, Settings(bootstrap=0), 1, 1, 0.5, values, {}, {})


BASE = [one("a", f, s, h, 1 - h) for f, s, h in (("x", "0", 0.10), ("x", "1", 0.20), ("y", "0", 0.30), ("y", "1", 0.40))]


def test_means_spreads_and_gains() -> None:
    other = [one("b", f, s, h, 0.9) for f, s, h in (("x", "0", 0.05), ("x", "1", 0.15), ("y", "0", 0.40), ("y", "1", 0.60))]
    first, second = summary_rows([*BASE, *other])
    # Means of folds 15 and 35; of seeds 20 and 30.
    assert first == ("a", "4", "25.00 ± 7.07", "14.14", "75.00 ± 7.07", "14.14", "-", "-", "-", "-")
    cells = dict(zip(HEADER[:7], second[:7], strict=False))
    assert cells["HTER"] == "30.00 ± 10.61"
    # Gains by fold +5 and -15; by seed -2.5 and -7.5. AUC by fold +5 and +25.
    assert second[6:8] == ("-5.00 ± 3.54", "1 of 2") and second[8:] == ("+15.00 ± 7.07", "2 of 2")


def test_gains_are_over_what_both_have() -> None:
    rows = summary_rows([*BASE, one("b", "x", "0", 0.05, 0.95), one("c", "z", "0", 0.5, math.nan)])
    assert rows[1][6:] == ("+5.00", "1 of 1", "+5.00", "1 of 1") and rows[1][1] == "1"
    assert rows[2][2:] == ("50.00", "-", "-", "-", "-", "-", "-", "-")


def test_every_form() -> None:
    table = build(BASE, "summary")
    assert "folds won" in table.caption and "target" not in table.header
    assert render(table, "csv").count("\n") == 2 and r"$\pm$" in render(table, "latex") and "25.00" in render(table, "text")
