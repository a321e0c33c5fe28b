"""``fasgen eval`` as a user runs it: files in, tables and pictures out."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fasgen.cli import main
from fasgen.downstream.evaluate import Settings, evaluate, evaluate_all, trials
from fasgen.downstream.intervals import clopper_pearson, mean_of_two
from fasgen.downstream.scores import Score, ScoreTable, read_scores, write_scores
from fasgen.downstream.tables import build
from fasgen.errors import SourceError


def fasgen(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["eval", *arguments])


def rows(method: str = "", protocol: str = "", seed: str = "", shift: float = 0.0) -> list[Score]:
    """Two frames a video; live videos at 0.7, 0.5, 0.9, spoof at 0.6, 0.2, 0.1, moved down by ``shift``."""
    out = []
    for number, (label, base) in enumerate([(1, 0.7), (1, 0.5), (1, 0.9), (0, 0.6), (0, 0.2), (0, 0.1)]):
        for frame, delta in enumerate((-0.05, 0.05)):
            kind = "" if label else ("print", "replay")[number % 2]
            score = base + delta - (shift if label else 0)
            out.append(Score(f"{number}-{frame}", label, score, f"v{number}", kind, "test", "d", method, protocol, seed))
    return out


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_come_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores.{suffix}"
    write_scores(path, rows("m", "p", "3"))
    assert read_scores(path).rows == tuple(rows("m", "p", "3"))


def test_hand_computed_video_level() -> None:
    [trial] = trials(ScoreTable(rows()), "m")
    found = evaluate(trial, Settings(bootstrap=50))
    ideal, real = found.idealised, found.realistic
    assert (found.live, found.spoof, found.protocol) == (3, 3, "test on d")
    assert ideal.values["auc"] == real.values["auc"] == pytest.approx(8 / 9)
    # The best point accepts 0.9, 0.7 and 0.6: one live of three lost, one spoof of three passed, the replay.
    assert ideal.values["hter"] == pytest.approx(1 / 3) and ideal.threshold == pytest.approx(0.55)
    assert ideal.apcer_of == {"print": 0.0, "replay": 0.5} and ideal.values["acer"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found.intervals["auc"][0] <= 8 / 9 <= found.intervals["auc"][1]
    # Without dev there is no threshold that does not know the target.
    assert math.isnan(real.threshold) and math.isnan(real.values["hter"]) and "no threshold without" in found.notes[0]
    assert found.notes[1:] == ("only 3 live videos: one is 33.3 %", "only 3 spoof videos: one is 33.3 %")


def test_thresholds_from_dev_and_fixed() -> None:
    dev = [Score("a", 1, 0.4, split="dev"), Score("b", 0, 0.2, split="dev"), Score("t", 1, 99.0, split="train")]
    [trial] = trials(ScoreTable([*rows(), *dev]), "m", "p")
    found = evaluate(trial, Settings(bootstrap=0))
    assert found.realistic.threshold == pytest.approx(0.3) and found.live == 3
    assert found.realistic.values["bpcer"] == 0.0 and found.realistic.values["hter"] == pytest.approx(1 / 6)
    assert found.idealised.threshold == pytest.approx(0.55), "of the target, whatever dev says"
    fixed = evaluate(trial, Settings(threshold=0.65, bootstrap=0))
    assert fixed.realistic.values["bpcer"] == pytest.approx(1 / 3) and fixed.realistic.values["apcer"] == 0.0
    strict = evaluate(trial, Settings(threshold="dev-bpcer", bpcer=0.4, bootstrap=0))
    assert strict.realistic.threshold == pytest.approx(0.3), "the one live dev sample must not be lost"
    live_alone = evaluate(trials(ScoreTable([*rows(), dev[0]]))[0], Settings(threshold="dev-bpcer", bootstrap=0))
    assert live_alone.realistic.threshold == -math.inf or live_alone.realistic.threshold <= 0.4


def test_exact_intervals_of_errors_have_people_for_trials() -> None:
    """Three live videos of one person are one trial; MOVER joins both rates."""
    some = [replace(row, subject="d/one" if row.label else f"d/{row.video}") for row in rows()]
    [trial] = trials(ScoreTable(some), "m", "p")
    found = evaluate(trial, Settings(threshold=0.65, bootstrap=0))
    assert found.intervals["bpcer"] == pytest.approx(clopper_pearson(1 / 3, 1))
    assert found.intervals["apcer:print"] == clopper_pearson(0.0, 1) and found.intervals["apcer"][0] == 0.0
    far = clopper_pearson(0.0, 3)
    assert found.intervals["hter"] == pytest.approx(mean_of_two(0.0, far, 1 / 3, found.intervals["bpcer"]))
    assert "auc" not in found.intervals, "nothing was drawn"
    apart = evaluate(
        trials(ScoreTable(r for r in some if r.video not in ("v1", "v3")))[0], Settings(threshold=0.5, bootstrap=9)
    )
    assert apart.intervals["auc"][1] == 1.0 > apart.intervals["auc"][0], "an AUC of 1 has a width"


def test_steps_are_chosen_on_dev_and_on_the_target() -> None:
    """Step 20 is best on dev, step 10 on the target, 30 is the last."""
    good, bad = (0.9, 0.1), (0.1, 0.9)
    by_step = {"10": (bad, good), "20": (good, bad), "30": ((0.5, 0.4), (0.5, 0.5))}
    every = [
        Score(f"{split}{label}", label, pair[1 - label], split=split, step=step)
        for step, (dev, test) in by_step.items()
        for split, pair in (("dev", dev), ("test", test))
        for label in (1, 0)
    ]
    [trial] = trials(ScoreTable(every), "m", "p")
    found = evaluate(trial, Settings(bootstrap=0))
    # Of 20 and 30, which tell dev's two apart alike, the later one is taken.
    assert (found.realistic.step, found.idealised.step) == ("30", "10")
    assert found.realistic.values["auc"] == 0.5 and found.idealised.values["auc"] == 1.0
    without = evaluate(trials(ScoreTable(r for r in every if r.split == "test"))[0], Settings(threshold=0.5, bootstrap=0))
    assert without.realistic.step == "30" and without.notes[0].startswith("no dev rows: the realistic step is the last")
    table = build([found], "full")
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert (cells["step realistic"], cells["step idealised"]) == ("30", "10")


def test_one_threshold_for_all_folds() -> None:
    def fold(name: str, live: float, spoof: float) -> list[Score]:
        return [
            Score(f"{name}{split}{label}", label, score, split=split, protocol=f"p/{name}", method="m")
            for split in ("dev", "test")
            for label, score in ((1, live), (0, spoof))
        ]

    found = trials(ScoreTable([*fold("a", 0.9, 0.5), *fold("b", 0.4, 0.0)]))
    own = [one.realistic.threshold for one in evaluate_all(found, Settings(bootstrap=0))]
    assert own == pytest.approx([0.7, 0.2])
    both = evaluate_all(found, Settings(bootstrap=0, shared=True))
    assert {one.realistic.threshold for one in both} == {0.45} and both[1].realistic.values["bpcer"] == 1.0
    assert "of all folds together" in both[0].settings.words()


def test_frame_level_bootstrap_draws_videos() -> None:
    [trial] = trials(ScoreTable(rows()), "m")
    found = evaluate(trial, Settings(level="frame", bootstrap=20))
    assert found.live == 6 and found.realistic.values["auc"] == pytest.approx(32 / 36)


def test_full_table_states_everything(tmp_path: Path) -> None:
    path = tmp_path / "residual.csv"
    write_scores(path, rows())
    result = fasgen(str(path), "--bootstrap", "20", "--protocol", "leave d out")
    assert result.exit_code == 0, result.output
    assert "idealised: threshold at the EER of the tested rows themselves" in result.output
    assert "Nothing says which detector, crops and frames are behind residual.csv" in result.output
    assert "No threshold without the target" in result.output and "Only 3 live videos" in result.output
    assert "20 draws" in result.output and "leave d out" in result.output and "residual" in result.output
    assert "88.89 [" in result.output and "APCER replay" in result.output


def test_papers_layouts_over_seeds(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    write_scores(
        path,
        [
            *rows("image", "O to M", "0"),
            *rows("image", "O to M", "1", 0.3),
            *rows("image & cue", "O to M", "0"),
            *rows("image", "I", "0"),
        ],
    )
    result = fasgen(str(path), "--layout", "cross", "--format", "csv", "--threshold", "0.65")
    assert "warning: I: only 3 live videos: one is 33.3 %" in result.stderr
    [first, second] = csv.DictReader(io.StringIO(result.stdout))
    hter = [evaluate(t, Settings(threshold=0.65, bootstrap=0)).realistic.values["hter"] for t in trials(read_scores(path))]
    assert first["O to M HTER realistic"] == f"{100 * np.mean(hter[:2]):.2f} ± {100 * np.std(hter[:2], ddof=1):.2f}"
    assert (
        first["I HTER realistic"] == f"{100 * hter[3]:.2f}"
        and second["I HTER idealised"] == "-"
        and second["mean HTER realistic"] == "-"
    )
    assert "threshold fixed at 0.65" in first["conditions"] and "2 seeds" in first["conditions"]
    latex = fasgen(str(path), "--layout", "intra", "--format", "latex").stdout
    assert r"image \& cue" in latex and r"\caption{APCER" in latex and latex.count(r"\\") == 4
    assert latex.count("&") - latex.count(r"\&") == 4 * 7 and r"\footnotesize Label 1 is live" in latex


def test_pictures_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    write_scores(path, [*rows("a", "p"), *rows("b", "p", shift=0.2)])
    assert fasgen(str(path), "--out", str(tmp_path / "out"), "--bootstrap", "0").exit_code == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"roc-p.svg", "det-p.pdf", "scores-p-a.svg", "scores-p-b.pdf", "full.tex", "cross.csv", "intra.txt"} <= names
    roc = ElementTree.parse(tmp_path / "out" / "roc-p.svg").getroot()
    words = [one.text for one in roc.iter("{http://www.w3.org/2000/svg}text")]
    assert "a: AUC 88.89" in words and "b: AUC 77.78" in words
    scores = (tmp_path / "out" / "scores-p-a.svg").read_text("utf-8")
    assert "threshold, idealised" in scores and "live: BPCER not known" in scores
    pdf = (tmp_path / "out" / "roc-p.pdf").read_bytes()
    start = int(pdf.split()[-2])
    assert pdf.startswith(b"%PDF-1.4") and pdf[start:].startswith(b"xref") and b"(a: AUC 88.89)" in pdf
    for number, place in enumerate(re.findall(rb"(\d{10}) 00000 n", pdf[start:]), 1):
        assert pdf[int(place) :].startswith(b"%d 0 obj" % number)


def test_a_file_with_one_class_is_evaluated_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    path.write_text("label,score\nlive,0.5\n1,0.7\nunknown,9\n")
    result = fasgen(str(path), "--threshold", "0.6", "--out", str(tmp_path / "out"), "--bootstrap", "10")
    assert result.exit_code == 0 and "50.00" in result.output and "nan" not in result.output.lower()
    assert not list((tmp_path / "out").glob("*.svg"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("label\n1\n", "no column .score."),
        ("label,score\n7,0.5\n", "row 2: label is '7'"),
        ("label,score\n1,0.5\n0,high\n", "row 3: score is 'high'"),
        ("label,score\n1,nan\n", "row 2: score is 'nan'"),
        ("label,score\n", "no row"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=words):
        read_scores(path)
    result = fasgen(str(path))
    assert result.exit_code == 2 and "bad.csv" in result.output


def test_wrong_thresholds_and_files_are_refused(tmp_path: Path) -> None:
    assert "wanted is dev-eer" in fasgen("x.csv", "--threshold", "best").output
    assert "cannot be read" in fasgen(str(tmp_path / "none.csv")).output
    assert "cannot be read" in fasgen(str(tmp_path / "none.parquet")).output
