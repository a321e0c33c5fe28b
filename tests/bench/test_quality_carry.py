"""The measurement of what carries over to strangers, on features that are made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.quality import lenders
from bench.quality.calls import COST, PAPER, grid_of_walks
from bench.quality.carry import CHANGE, LGSC, RESIDUAL, STDN, Networks, fixed_share, unmet
from bench.quality.crops import Crops
from bench.quality.draws import Walks
from bench.quality.generator import Generator, Settings
from bench.quality.lenders import DIFFFAS
from bench.quality.live import LiveFaces
from bench.quality.maps import Maps
from bench.quality.shown import shown, told
from bench.quality.strangers import EACH, Strangers, place
from bench.quality.synthesis import Pairs
from bench.quality.trials import (
    IMAGE,
    Lent,
    Split,
    Trial,
    by_part,
    certain,
    compare,
    judge,
    mean_area,
    one_group_out,
    one_set_out,
    pairs,
    resampled,
    restricted,
)
from fasgen.errors import SourceError
from fasgen.seen import Seen, digest, encode
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.stdn.config import StdnConfig
from fasgen.stages.synth.config import SynthConfig
from tests.stages.defake.tiny import write_patch

DOMAINS = ("d1", "d2", "d8")


def crops_of(names: list[str]) -> Crops:
    spoof = np.array(["/spoof/" in name for name in names])
    return Crops(np.zeros((len(names), 4, 4, 3), np.uint8), np.array(names), spoof, np.array(["g"] * len(names)), ())


def faces() -> Strangers:
    """Two people before a webcam, forty photographs of each kind, three domains of two people."""
    kinds = ("live", "spoof")
    webcam = [f"nuaa/{kind}/nuaa_{who}/{i}.jpg" for kind in kinds for who in (1, 2) for i in range(12)]
    photographs = [f"celeba_spoof_dev/{kind}/{i}.jpg" for kind in kinds for i in range(40)]
    replays = [f"replay_domains/{domain}/{kind}/{i:04d}.jpg" for domain in DOMAINS for kind in kinds for i in range(10)]
    return Strangers.of([crops_of(names) for names in (webcam, photographs, replays)])


def features(who: Strangers, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(who.names), 6)).astype(np.float32)


def test_a_place_says_set_group_and_person() -> None:
    assert place("nuaa/live/nuaa_0003/x.jpg") == ("webcam", "webcam", "nuaa_0003")
    assert place("celeba_spoof_dev/spoof/14.jpg") == ("photographs", "photographs", "photographs 2")
    assert place("replay_domains/d9/live/0.jpg") == place("replay_domains/d1/live/0.jpg") == ("replays", "d1", "d1")
    with pytest.raises(SourceError, match="elsewhere"):
        place("elsewhere/live/0.jpg")


def test_the_sample_is_balanced_over_people_and_kinds() -> None:
    who = faces()
    counts = Counter(zip(who.people.tolist(), who.spoof.tolist(), strict=True))
    for (person, _), count in counts.items():
        assert count == EACH["nuaa" if person[0] == "n" else "celeba_spoof_dev" if person[0] == "p" else "replay_domains"]
    # d8 shows the person of d1, and shares that person's places.
    assert set(np.unique(who.groups)) == {"webcam", "photographs", "d1", "d2"}
    assert {name.split("/")[1] for name in who.names[who.groups == "d1"]} == {"d1", "d8"}


def test_what_tells_carries_over_and_what_does_not_is_at_chance() -> None:
    who = faces()
    noise, told = features(who), features(who)
    told[:, 0] += 8 * who.spoof
    for protocol in (one_group_out, pairs):
        assert mean_area(judge(protocol(who), told, who), who.spoof) > 0.98
        assert abs(mean_area(judge(protocol(who), noise, who), who.spoof) - 0.5) < 0.2
    assert [split.name for split in one_group_out(who)] == ["d1", "d2", "photographs", "webcam"]
    assert len(pairs(who)) == 6
    assert not any((split.train & split.test).any() for split in one_group_out(who) + pairs(who))


def test_what_is_lent_is_learnt_from_beside_the_split_or_in_its_place() -> None:
    who = faces()
    told = features(who)
    told[:, 0] += 8 * who.spoof
    labels = np.arange(40) % 2 == 0
    turned = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    turned[:, 0] -= 8 * labels
    asked: list[str] = []

    def lend(split: Split) -> Lent:
        asked.append(split.name)
        return Lent(turned, labels)

    alone = judge(one_set_out(who), told, who, lend=lend, alone=True)
    assert mean_area(alone, who.spoof) < 0.05 and asked == ["photographs", "replays", "webcam"]
    beside = judge(one_set_out(who), told, who, lend=lend)
    assert mean_area(alone, who.spoof) < mean_area(beside, who.spoof)


def test_a_sign_that_turns_in_one_set_is_found_out() -> None:
    who = faces()
    turned = features(who)
    turned[:, 0] += np.where(who.sets == "webcam", -8.0, 8.0) * who.spoof
    areas = {trial.name: mean_area([trial], who.spoof) for trial in judge(pairs(who), turned, who)}
    assert areas["photographs to webcam"] < 0.1 and areas["photographs to replays"] > 0.9


def test_people_are_drawn_again_within_their_sets() -> None:
    who = faces()
    for times in resampled(who, 20):
        for name in np.unique(who.sets):
            own = who.sets == name
            people, first = np.unique(who.people[own], return_index=True)
            assert times[own][first].sum() == len(people)
        for person in np.unique(who.people):
            assert len(set(times[who.people == person])) == 1


def test_a_trial_counts_as_often_as_its_people_were_drawn() -> None:
    spoof = np.array([False, True, False, True])
    good = Trial("good", np.array([0, 1]), np.array([0.0, 1.0]))
    bad = Trial("bad", np.array([2, 3]), np.array([1.0, 0.0]))
    assert mean_area([good, bad], spoof) == 0.5
    assert mean_area([good, bad], spoof, np.array([3, 3, 1, 1])) == 0.75
    assert mean_area([good, bad], spoof, np.array([0, 0, 2, 2])) == 0


def test_a_gain_is_judged_draw_by_draw() -> None:
    who = faces()
    plain = features(who)
    better = np.concatenate([plain, 8.0 * who.spoof[:, None]], 1).astype(np.float32)
    trials = {
        name: judge(one_group_out(who), seen, who) for name, seen in ((IMAGE, plain), ("same", plain), ("better", better))
    }
    found = compare(trials, who, draws=100)
    assert (found["same"].gain, found["same"].gain_low, found["same"].gain_high) == (0, 0, 0)
    assert found["better"].gain_low > 0.2 and found[IMAGE].low < found[IMAGE].area < found[IMAGE].high
    assert set(found["better"].by_trial) == {"d1", "d2", "photographs", "webcam"}


def test_trials_may_be_read_on_some_faces_alone() -> None:
    who = faces()
    trials = judge(pairs(who), features(who), who)
    chosen = who.groups != "d1"
    kept = restricted(trials, chosen & (who.sets != "webcam"))
    assert [trial.name for trial in kept] == [trial.name for trial in trials if not trial.name.endswith("to webcam")]
    for trial in kept:
        (whole,) = (other for other in trials if other.name == trial.name)
        own = np.isin(whole.tested, trial.tested)
        assert chosen[trial.tested].all() and np.array_equal(whole.scores[own], trial.scores)
        assert own.sum() == (chosen[whole.tested] & (who.sets[whole.tested] != "webcam")).sum()


def test_gains_are_counted_where_they_are_beyond_doubt() -> None:
    who = faces()
    plain, told = features(who), features(who)
    told[:, 0] += 8 * who.spoof
    base, better = judge(one_group_out(who), plain, who), judge(one_group_out(who), told, who)
    up, down, same = (by_part(one, two, who, 100) for one, two in ((better, base), (base, better), (base, base)))
    assert (certain(up), certain(down), certain(same)) == ((4, 0, 4), (0, 4, 4), (0, 0, 4))
    assert [part.name for part in up] == ["d1", "d2", "photographs", "webcam"] and [part.people for part in up] == [1, 1, 8, 2]
    for one, two, none in zip(up, down, same, strict=True):
        assert one.gain == -two.gain and 0.3 < one.gain <= 1 - one.base and none.least == 0
        assert one.low <= one.gain <= one.high and one.least == one.gain - one.low


def test_who_was_met_is_what_the_records_say(tmp_path: Path) -> None:
    who = faces()

    def record(name: str, **seen: Any) -> Path:
        (tmp_path / name).mkdir()
        (tmp_path / name / "seen.json").write_bytes(encode(Seen("t", **seen)))
        return tmp_path / name

    def met(*weights: Path) -> set[str]:
        return set(np.unique(who.groups[shown(weights, who)]))

    strangers = record("strangers", datasets=("LFW",))
    all_replays = record("all", datasets=("replay",))
    # d8 shows the person of d1.
    one = record("one", datasets=("replay",), subjects=frozenset({digest("replay/d8")}))
    child = record("child", datasets=("LFW",), parents={"start": Seen("t", ("CelebA-Spoof",))})
    assert met(strangers) == set() and met(all_replays) == {"d1", "d2"} and met(one) == {"d1"}
    assert met(child, one) == {"photographs", "d1"}
    (tmp_path / "silent").mkdir()
    assert met(tmp_path / "silent") == {"d1", "d2", "photographs", "webcam"}
    assert told(child, who) == "LFW (); of these faces photographs"


def test_the_embedded_weights_say_whom_they_met() -> None:
    names = [f"replay_domains/d{number}/{kind}/0.jpg" for number in range(1, 17) for kind in ("live", "spoof")]
    names += ["nuaa/live/a/0.jpg", "celeba_spoof_dev/live/0.jpg"]
    who = Strangers.of([crops_of(names)])
    networks = Networks(Settings(DefakeConfig()), LgscConfig(), StdnConfig(), SynthConfig())
    told_by = {name: set(np.unique(who.groups[shown([folder], who)])) for name, folder in networks.weights().items()}
    domains = set(np.unique(who.groups)) - {"webcam", "photographs"}
    assert told_by[RESIDUAL] == set() and told_by[LGSC] == domains - {"d4"}
    assert told_by[STDN] == {"d1", "d2", "d3", "d4", "d5", "d6"}
    assert told_by[DIFFFAS] == {"photographs", "d1", "d2", "d3", "d5", "d6"}
    assert len(networks.behind(f"image + {RESIDUAL} + {STDN}")) == 2 and networks.behind(f"real + {DIFFFAS} + simulation")
    assert networks.behind(f"image + {CHANGE}") == networks.behind(f"image + {RESIDUAL}")


def test_a_row_is_read_again_on_what_its_networks_did_not_meet() -> None:
    who = faces()
    networks = Networks(Settings(DefakeConfig()), LgscConfig(), StdnConfig(), SynthConfig())
    plain, better = features(who), features(who)
    better[:, 0] += 8 * who.spoof
    made = {IMAGE: plain, f"{IMAGE} + {RESIDUAL}": better, f"{IMAGE} + {STDN}": better}
    trials = {name: judge(one_set_out(who), seen, who) for name, seen in made.items()}
    found = unmet(trials, networks, who)
    assert list(found) == list(made)[1:]
    whole, part = found.values()
    # Both people of the replays, d1 and d2, were met.
    assert whole["faces"] == len(who.names) and part["faces"] == int((who.sets != "replays").sum())
    assert set(whole["by_trial"]) - set(part["by_trial"]) == {"replays"}
    assert whole["base"] == mean_area(trials[IMAGE], who.spoof)


def test_the_share_of_maps_that_is_the_same_in_all() -> None:
    pattern = np.random.default_rng(0).normal(0, 100, (1, 4, 4, 3)).astype(np.int16)
    assert fixed_share(np.repeat(pattern, 5, 0)) == pytest.approx(1)
    assert fixed_share(np.concatenate([pattern, -pattern])) == 0


def test_no_walk_costs_more_than_the_papers() -> None:
    walks = grid_of_walks()
    assert walks[0] == PAPER and all(walk["calls"] * walk["draws"] <= COST for walk in walks)
    assert {(walk["calls"], walk["draws"]) for walk in walks if walk["calls"] * walk["draws"] == COST} == {
        (40, 1),
        (20, 2),
        (10, 4),
        (5, 8),
    }


def test_a_reconstruction_of_several_draws_is_their_mean_as_the_stage_gives_it(tmp_path: Path) -> None:
    folder = write_patch(tmp_path / "weights")
    rng = np.random.default_rng(0)
    who = faces()
    who = replace(who, images=rng.integers(0, 256, (len(who.names), 32, 32, 3), np.uint8)).only(np.arange(5))
    settings = Settings(DefakeConfig(weights=str(folder), calls=3, draws=3, batch=4, any_size=True))
    walks = Walks(settings, who, tmp_path)
    mean = walks.reconstruction()
    whole = Generator(settings).reconstruct(who.images, who.names.tolist()).images
    # Each draw was rounded before their mean was taken.
    assert np.abs(mean.astype(int) - whole.astype(int)).max() <= 1 and (mean != who.images).any()
    np.testing.assert_array_equal(who.images - walks.residual(), mean)
    assert len(list((tmp_path / "draws").iterdir())) == 3
    assert not np.array_equal(walks.draw(0), walks.draw(1))
    again = Walks(settings.walking(weights=str(folder), draws=2), who, tmp_path)
    np.testing.assert_array_equal(again.draw(1), walks.draw(1))


def test_spoofs_take_their_guides_from_the_sets_that_may_be_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    who = faces()
    who = replace(who, images=rng.integers(0, 256, (len(who.names), 32, 32, 3), np.uint8))
    crops = rng.integers(0, 256, (10, 32, 32, 3), np.uint8)
    found = LiveFaces(crops, tuple(f"s{i}" for i in range(10)), np.array([f"p{i // 2}" for i in range(10)]))
    monkeypatch.setattr(lenders, "live_faces", lambda *_, **__: found)
    rendered: list[Pairs] = []

    def guides(_: object, pairs: Pairs) -> np.ndarray:
        rendered.append(pairs)
        return pairs.guide

    monkeypatch.setattr(lenders, "synthesise", guides)
    monkeypatch.setattr(lenders, "Diffusion", lambda *_: None)
    lent = lenders.Lenders(tmp_path, tmp_path, SynthConfig(), who, "cpu")
    made = lent.spoofs(lenders.DIFFFAS, ("webcam", "replays"))
    own = {source: {image.tobytes() for image in who.images[who.spoof & (who.sets == source)]} for source in set(who.sets)}
    assert [next(name for name, images in own.items() if one.tobytes() in images) for one in made] == ["replays", "webcam"] * 5
    assert {style for pairs in rendered for style in pairs.style} <= {
        "nuaa|webcam|print",
        *(f"replay|{domain}|replay" for domain in DOMAINS),
    }
    # What was made is taken from the disk.
    again = lenders.Lenders(tmp_path, tmp_path, SynthConfig(), who, "cpu")
    count = len(rendered)
    np.testing.assert_array_equal(again.spoofs(lenders.DIFFFAS, ("webcam", "replays")), made)
    assert len(rendered) == count
    for kind in (lenders.SIMULATION, lenders.PHOTOMETRIC, lenders.THRICE):
        spoofs = lent.spoofs(kind, ("webcam",))
        each = 3 if kind == lenders.THRICE else 1
        assert spoofs.shape == (each * len(crops), *crops.shape[1:]) and spoofs.dtype == np.uint8
        assert all((one != face).any() for one, face in zip(spoofs, np.tile(crops, (each, 1, 1, 1)), strict=True))
        np.testing.assert_array_equal(again.spoofs(kind, ("replays",)), spoofs)
    np.testing.assert_array_equal(lent.spoofs(lenders.THRICE, ())[: len(crops)], lent.spoofs(lenders.SIMULATION, ()))


def test_a_cue_map_is_that_of_its_stage(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    who = faces().only(np.arange(3))
    who = replace(who, images=rng.integers(0, 256, (3, 112, 112, 3), np.uint8))
    maps = Maps(LgscConfig(), StdnConfig(), who, tmp_path, "cpu")
    for made in (maps.lgsc(), maps.stdn()):
        assert made.shape == (3, 112, 112, 3) and made.dtype == np.int16 and made.any()
    assert len(list((tmp_path / "maps").iterdir())) == 2
    np.testing.assert_array_equal(Maps(LgscConfig(), StdnConfig(), who, tmp_path, "cpu").lgsc(), maps.lgsc())
