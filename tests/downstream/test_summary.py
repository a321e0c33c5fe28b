"""The short table by hand."""

from __future__ import annotations

import math

import numpy as np

from fasgen.downstream.evaluate import FIGURES, Evaluation, Reading, Scored, Settings
from fasgen.downstream.summary import HEADER, summary_rows
from fasgen.downstream.tables import build, render


def one(method: str, fold: str, seed: str, hter: float, auc: float) -> Evaluation:
    values = dict.fromkeys(FIGURES, math.nan) | {"hter": hter, "auc": auc}
    nobody = Scored(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.str_), np.zeros(0, np.str_))
    real = Reading("", 0.5, values, {}, nobody)
    ideal = Reading("", 0.5, values | {"hter": hter / 2}, {}, nobody)
    return Evaluation(method, fold, seed, Settings(bootstrap=0), 1, 1, real, ideal, {})


BASE = [one("a", f, s, h, 1 - h) for f, s, h in (("x", "0", 0.10), ("x", "1", 0.20), ("y", "0", 0.30), ("y", "1", 0.40))]


def test_means_spreads_and_gains() -> None:
    other = [one("b", f, s, h, 0.9) for f, s, h in (("x", "0", 0.05), ("x", "1", 0.15), ("y", "0", 0.40), ("y", "1", 0.60))]
    first, second = summary_rows([*BASE, *other])
    # Means of folds 15 and 35; of seeds 20 and 30.
    assert first[:6] == ("a", "4", "25.00 ± 7.07", "14.14", "12.50 ± 3.54", "7.07")
    assert first[6:] == ("75.00 ± 7.07", "14.14") * 2 + ("-",) * 4
    cells = dict(zip(HEADER, second, strict=True))
    assert cells["HTER realistic"] == "30.00 ± 10.61" and cells["HTER idealised"] == "15.00 ± 5.30"
    # Gains by fold +5 and -15; by seed -2.5 and -7.5. AUC by fold +5 and +25.
    assert second[10:12] == ("-5.00 ± 3.54", "1 of 2") and second[12:] == ("+15.00 ± 7.07", "2 of 2")


def test_gains_are_over_what_both_have() -> None:
    rows = summary_rows([*BASE, one("b", "x", "0", 0.05, 0.95), one("c", "z", "0", 0.5, math.nan)])
    assert rows[1][10:] == ("+5.00", "1 of 1", "+5.00", "1 of 1") and rows[1][1] == "1"
    assert rows[2][2:] == ("50.00", "-", "25.00", "-", *["-"] * 8)


def test_every_form() -> None:
    table = build(BASE, "summary")
    assert "folds won" in table.caption and "realistic" in table.caption
    assert render(table, "csv").count("\n") == 2 and r"$\pm$" in render(table, "latex") and "25.00" in render(table, "text")
