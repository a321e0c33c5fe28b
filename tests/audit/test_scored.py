"""``fasgen eval STORE --score``: a stage's score is taken with its sign, under a protocol, and says how faces were cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fasgen.audit.scored import stage_scores
from fasgen.cli import main
from fasgen.errors import ConfigError
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import Column, Reason
from tests.leaks.toy import EACH, PEOPLE, lay_by_hand, sample

HASH = "abcdef01" * 8
SCORES = (
    Column("spoofness", "float32", "higher is more like a spoof", higher="spoof"),
    Column("liveness", "float32", "higher is more like live", higher="live"),
    Column("sharp", "float32", "sharpness", higher="better"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Crops of which one is lost, and the scores of a stage above, in one unit each."""
    cut, scored = tmp_path / "cut-12345678", tmp_path / "judge-abcdef01"
    config = {"detector": "mine", "mine": {"backbone": "small"}, "size": 64, "template": "arcface", "margin": 0.1}
    config |= {"border": "black", "face": "largest"}
    write_plan(cut, {"stage": "cut", "plan_hash": HASH, "lanes": ["photographed"], "picture": "crop", "config": config})
    plan = {"stage": "judge", "plan_hash": HASH, "lanes": ["photographed"], "primaries": ["cut"]}
    write_plan(scored, plan | {"scores": [[one.name, one.higher] for one in SCORES]})
    people = [(p, label, n) for p in PEOPLE for label in ("live", "spoof") for n in range(EACH)]
    for folder, columns in ((cut, ()), (scored, SCORES)):
        with UnitWriter(folder, 0, columns=columns, arrays={}, plan_hash=HASH, weights="w") as writer:
            for i, (person, label, number) in enumerate(people):
                provenance = {
                    "dataset": "toy", "path": f"{person}/{label}.mp4", "label": label, "subject": f"toy/{person}",
                    "frame": number, "attack_type": "print" if label == "spoof" else None, "split": PEOPLE[person],
                }  # fmt: skip
                row = Row(sample(person, label, number), i, 0, 0, (), provenance)
                if folder == cut and i == 0:
                    writer.reject(row, Reason.NO_FACE, "none")
                    continue
                value = 0.25 * (label == "spoof") + 0.5 * number
                writer.ok(row, values={"spoofness": value, "liveness": -value, "sharp": 1.0} if columns else {})
            writer.commit(len(people))
    lay_by_hand(tmp_path, "mine-1", {"train": ["ann", "bob"], "dev": ["dan"], "test": ["eve", "cid"]}, "mine")
    return tmp_path


def fasgen(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["eval", *arguments, "--bootstrap", "0"])


def test_the_sign_is_the_stages(store: Path) -> None:
    found = {name: stage_scores(store, name) for name in ("spoofness", "liveness")}
    scores = [made.table["score"].to_pylist() for made in found.values()]
    assert scores[0] == scores[1] and "it is negated" in found["spoofness"].sign and "negated" not in found["liveness"].sign
    assert found["liveness"].rows == {"planned": 24, "ok": 23, "reasons": {"no_face": 1}}
    with pytest.raises(ConfigError, match=r"higher is better there.*these can be: liveness, spoofness"):
        stage_scores(store, "sharp")
    with pytest.raises(ConfigError, match="no such score"):
        stage_scores(store, "nothing")


def test_under_a_protocol_by_video(store: Path) -> None:
    done = fasgen(str(store), "--score", "spoofness", "--protocol", "mine")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[3].split()[:4] == ["mine/1", "spoofness", "2", "2"], "two people's clips, of two frames each"
    assert "100.00" in lines[3] and "-0.375" in lines[3], "the dev clip of dan lies at -0.25 and -0.5"
    foot = done.stdout
    assert "Score spoofness of the stage judge: higher is more like a spoof, so it is negated." in foot
    assert "Faces by mine (small), the largest of a picture; crops of 64 px on the template arcface, padded by 10%" in foot
    assert "1 of 24 photographs have no usable face (no_face 1)" in foot and "Only 2 live videos" in foot


def test_a_store_needs_a_score(store: Path) -> None:
    assert "name the score of that store" in fasgen(str(store)).output
    with_filter = fasgen(str(store), "--score", "liveness", "--where", "dataset = 'toy' and attack_type != 'replay'")
    assert with_filter.exit_code == 0, with_filter.output
