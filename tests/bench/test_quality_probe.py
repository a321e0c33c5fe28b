"""The probe's protocols, on made-up features and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.quality.crops import FOLDS, Crops, cut_once, list_photographs, list_replays, list_webcam
from bench.quality.probe import AUTOENCODER, CUE, IMAGE, LOW_PASS, compare, feature_sets, leave_one_out, low_pass
from fasgen.errors import SourceError

GROUPS = np.repeat(np.array(["a", "b", "c"]), 40)


def made_up(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spoof = rng.random(len(GROUPS)) < 0.5
    return rng.normal(size=(len(GROUPS), 5)).astype(np.float32), spoof


def test_what_tells_is_found_in_groups_never_seen() -> None:
    seen, spoof = made_up(0)
    seen[:, 2] += 8 * spoof
    assert min(leave_one_out([seen], spoof, GROUPS, 1.0).values()) > 0.99


def test_a_sign_that_holds_in_one_group_alone_is_not_found() -> None:
    seen, spoof = made_up(1)
    seen[:, 0] += np.where(GROUPS == "a", 8.0 * spoof, 0)
    found = leave_one_out([seen], spoof, GROUPS, 1.0)
    assert list(found) == ["a", "b", "c"]
    assert abs(found["b"] - 0.5) < 0.25


def test_two_probes_count_alike_whatever_the_scale_of_their_features() -> None:
    seen, spoof = made_up(4)
    both = leave_one_out([seen, seen * 1000], spoof, GROUPS, 1.0)
    assert both == pytest.approx(leave_one_out([seen], spoof, GROUPS, 1.0), abs=0.01)


def test_groups_of_one_kind_are_not_scored() -> None:
    seen, spoof = made_up(2)
    assert list(leave_one_out([seen], spoof | (GROUPS == "b"), GROUPS, 1.0)) == ["a", "c"]


def test_gain_is_counted_group_by_group() -> None:
    seen, spoof = made_up(3)
    better = np.concatenate([seen, (10.0 * spoof)[:, None]], 1).astype(np.float32)
    report = compare({IMAGE: [seen], "more": [better]}, spoof, GROUPS, [1.0, 0.1])
    assert report[IMAGE]["gain"] == 0
    assert report["more"]["groups_better"] == 3
    assert list(report["more"]["mean_by_c"]) == ["0.1"]
    assert report["more"]["gain"] == pytest.approx(report["more"]["mean"] - report[IMAGE]["mean"])


def test_every_cue_is_described_alike() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    cue = low_pass(images)
    sets = feature_sets(images, {CUE: cue, AUTOENCODER: cue, LOW_PASS: cue})
    assert {sets[name][0].shape for name in (IMAGE, CUE, AUTOENCODER, LOW_PASS)} == {sets[IMAGE][0].shape}
    np.testing.assert_array_equal(sets[f"{IMAGE} + {CUE}"], sets[f"{IMAGE} + {LOW_PASS}"])
    assert sum(part.shape[1] for part in sets[f"{IMAGE} | {CUE}"]) == sets[f"{IMAGE} + {CUE}"][0].shape[1]


def test_low_pass_of_a_flat_picture_is_nothing() -> None:
    assert not low_pass(np.full((2, 32, 32, 3), 77, np.uint8)).any()


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_folds_are_contiguous_in_numbers_and_split_both_kinds_alike(tmp_path: Path) -> None:
    for kind in ("live", "spoof"):
        for number in range(30):
            touch(tmp_path / "celeba_spoof_dev" / kind / f"{number}.jpg")
    pictures = list_photographs(tmp_path)
    live = [p for p in pictures if not p.spoof]
    assert [int(Path(p.path).stem) for p in live] == list(range(30))
    assert [p.group for p in live] == [f"fold {n // 6 + 1}" for n in range(30)]
    assert [p.group for p in pictures if p.spoof] == [p.group for p in live]
    assert len({p.group for p in pictures}) == FOLDS


def test_domains_are_the_groups_of_replays(tmp_path: Path) -> None:
    touch(tmp_path / "replay_domains" / "d1" / "live" / "0001.jpg")
    touch(tmp_path / "replay_domains" / "d2" / "spoof" / "0001.jpg")
    assert [(p.group, p.spoof) for p in list_replays(tmp_path)] == [("d1", False), ("d2", True)]


def test_domains_of_one_person_are_held_out_together(tmp_path: Path) -> None:
    for domain in ("d1", "d7", "d8", "d9", "d10"):
        touch(tmp_path / "replay_domains" / domain / "live" / "0001.jpg")
    groups = {p.path.split("/")[1]: p.group for p in list_replays(tmp_path)}
    assert groups == {"d1": "d1", "d7": "d7", "d8": "d1", "d9": "d1", "d10": "d1"}


def test_people_are_the_groups_before_the_webcam(tmp_path: Path) -> None:
    for kind in ("live", "spoof"):
        for person in ("nuaa_0001", "nuaa_0002"):
            touch(tmp_path / "nuaa" / kind / person / "1.jpg")
    found = [(p.group, p.spoof) for p in list_webcam(tmp_path)]
    assert found == [("nuaa_0001", False), ("nuaa_0002", False), ("nuaa_0001", True), ("nuaa_0002", True)]


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="replay_domains"):
        list_replays(tmp_path)


def test_crops_come_back_as_they_were_saved(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    crops = Crops(
        images, np.array(["x", "y", "z"]), np.array([True, False, True]), np.array(["d1", "d1", "d2"]), ("w: no_face",)
    )
    crops.save(tmp_path / "crops.npz")
    back = Crops.load(tmp_path / "crops.npz")
    np.testing.assert_array_equal(back.images, images)
    assert back.missed == crops.missed
    chosen = back.only(np.array([0, 2]))
    assert chosen.names.tolist() == ["x", "z"]
    assert chosen.spoof.all()
    kept = cut_once(tmp_path / "crops.npz", tmp_path, list_replays, "cpu", "replays")
    np.testing.assert_array_equal(kept.images, images)
    with pytest.raises(SourceError, match="was cut by other settings of align"):
        cut_once(tmp_path / "crops.npz", tmp_path, list_replays, "cpu", "replays", border="black")
