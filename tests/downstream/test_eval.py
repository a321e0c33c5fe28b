"""``fasgen eval`` as a user runs it: files in, tables and pictures out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from fasgen.cli import main
from fasgen.downstream.evaluate import Settings, evaluate, trials
from fasgen.downstream.scores import Score, ScoreTable, read_scores, write_scores
from fasgen.errors import ConfigError, SourceError


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
    assert (found.live, found.spoof, found.protocol) == (3, 3, "test on d")
    assert found.values["auc"] == pytest.approx(8 / 9)
    # The best point accepts 0.9, 0.7 and 0.6: one live of three lost, one spoof of three passed, the replay.
    assert found.values["hter"] == pytest.approx(1 / 3) and found.threshold == pytest.approx(0.55)
    assert found.apcer_of == {"print": 0.0, "replay": 0.5} and found.values["acer"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found.intervals["auc"][0] <= 8 / 9 <= found.intervals["auc"][1]


def test_thresholds_from_dev_and_fixed() -> None:
    dev = [Score("a", 1, 0.4, split="dev"), Score("b", 0, 0.2, split="dev"), Score("t", 1, 99.0, split="train")]
    [trial] = trials(ScoreTable([*rows(), *dev]), "m", "p")
    found = evaluate(trial, Settings(policy="dev-eer", bootstrap=0))
    assert found.threshold == pytest.approx(0.3) and found.live == 3
    assert found.values["bpcer"] == 0.0 and found.values["hter"] == pytest.approx(1 / 6)
    fixed = evaluate(trial, Settings(policy="fixed", threshold=0.65, bootstrap=0))
    assert fixed.values["bpcer"] == pytest.approx(1 / 3) and fixed.values["apcer"] == 0.0
    with pytest.raises(ConfigError, match="split dev"):
        evaluate(trials(ScoreTable(rows()))[0], Settings(policy="dev-eer"))


def test_frame_level_bootstrap_draws_videos() -> None:
    [trial] = trials(ScoreTable(rows()), "m")
    found = evaluate(trial, Settings(level="frame", bootstrap=20))
    assert found.live == 6 and found.values["auc"] == pytest.approx(32 / 36)


def test_full_table_states_everything(tmp_path: Path) -> None:
    path = tmp_path / "residual.csv"
    write_scores(path, rows())
    result = fasgen(str(path), "--bootstrap", "20", "--protocol", "leave d out")
    assert result.exit_code == 0, result.output
    assert "threshold at the EER of the tested rows themselves (optimistic)" in result.output
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
    [first, second] = csv.DictReader(io.StringIO(result.stdout))
    hter = [
        evaluate(t, Settings(policy="fixed", threshold=0.65, bootstrap=0)).values["hter"] for t in trials(read_scores(path))
    ]
    assert first["O to M HTER"] == f"{100 * np.mean(hter[:2]):.2f} ± {100 * np.std(hter[:2], ddof=1):.2f}"
    assert first["I HTER"] == f"{100 * hter[3]:.2f}" and second["I HTER"] == "-" and second["mean HTER"] == "-"
    assert "threshold fixed at 0.65" in first["conditions"] and "2 seeds" in first["conditions"]
    latex = fasgen(str(path), "--layout", "intra", "--format", "latex").stdout
    assert r"image \& cue" in latex and r"\caption{APCER" in latex and latex.count(r"\\") == 4
    assert latex.count("&") - latex.count(r"\&") == 4 * 4


def test_pictures_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    write_scores(path, [*rows("a", "p"), *rows("b", "p", shift=0.2)])
    assert fasgen(str(path), "--out", str(tmp_path / "out"), "--bootstrap", "0").exit_code == 0
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"roc-p.png", "det-p.png", "scores-p-a.png", "scores-p-b.png", "full.tex", "cross.csv", "intra.txt"} <= names
    for name in ("roc-p.png", "det-p.png", "scores-p-a.png"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert picture is not None and (picture != 255).mean() > 0.01


def test_a_file_with_one_class_is_evaluated_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    path.write_text("label,score\nlive,0.5\n1,0.7\nunknown,9\n")
    result = fasgen(str(path), "--threshold", "0.6", "--out", str(tmp_path / "out"), "--bootstrap", "10")
    assert result.exit_code == 0 and "50.00" in result.output and "nan" not in result.output.lower()
    assert not list((tmp_path / "out").glob("*.png"))


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
