"""What is known to the trained side of what is tested: people on both sides, and networks that have seen tested samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fasgen.downstream.config import Experiment
from fasgen.downstream.protocols import Fold
from fasgen.reader import SampleTable
from fasgen.seen import NETWORKS, Network, Seen, Target, digest, overlaps, read_networks, read_seen


def tested_of(table: SampleTable) -> Target:
    """The tested samples of a fold."""
    return Target.of(zip(table.sample_id, table.subject, table.dataset, strict=True))


def leaks(experiment: Experiment, fold: Fold) -> list[str]:
    """Sentences that name every way in which what is tested is known, or may be, before it is tested; each once.

    Counted are networks that bear on the run: those that cut the faces; those behind the cues, where cues are read; those
    behind synthetic samples, where some are trained on; and what a backbone begins from.

    Raises:
        WeightsError: a record of what has been seen is damaged.
    """
    return list(dict.fromkeys(_sentences(experiment, fold)))


def _sentences(experiment: Experiment, fold: Fold) -> Iterator[str]:
    tested = tested_of(fold.test)
    trained = set(fold.train.subject[~fold.train.synthetic]) - {""}
    if both := sorted(trained & set(fold.test.subject)):
        yield f"{len(both)} of the {len(tested.subjects)} tested people are trained on, such as {both[0]}"
    for folder in _folders(experiment):
        found = read_networks(folder)
        if found is None:
            yield f"{folder}: nothing says which networks are behind its shards (no {NETWORKS}): pack again, or copy it too"
        for one in found or ():
            if _bears(one, experiment, fold):
                yield from overlaps(one.name, one.seen, tested)
    for role, path in _begun(experiment).items():
        yield from overlaps(role, read_seen(path), tested)


def seen_in(experiment: Experiment, fold: Fold) -> Seen:
    """The record of the network that a fold trains."""
    train = fold.train.take(~fold.train.synthetic) if experiment.synthetic == 0 else fold.train
    people = {*train.subject, *train.style_subject} - {""}
    behind = {
        one.name: one.seen
        for folder in _folders(experiment)
        for one in read_networks(folder) or ()
        if _bears(one, experiment, fold)
    }
    return Seen(
        experiment.method,
        tuple(set(train.dataset) - {""}),
        frozenset(map(digest, train.sample_id)),
        frozenset(map(digest, people)),
        attack_types=tuple({one or "live" for one in train.attack_type}),
        splits=Counter(map(str, train.split)),
        protocol=fold.name,
        where=experiment.data.where or "",
        parents=behind | {role: read_seen(path) for role, path in _begun(experiment).items()} | _carried(experiment),
    )


def _folders(experiment: Experiment) -> list[Path]:
    return list(dict.fromkeys(path if path.is_dir() else path.parent for path in experiment.data.shards))


def _begun(experiment: Experiment) -> dict[str, Path]:
    given = {"model.pretrained": experiment.model.pretrained, "model.cue_pretrained": experiment.model.cue_pretrained}
    return {role: path for role, path in given.items() if path is not None}


def _carried(experiment: Experiment) -> dict[str, Seen]:
    """Of weights that a package carries it is known what they learnt from, and none of it is a data set of this field."""
    return {"model.imagenet": Seen("EfficientNet-Lite0", ("ImageNet",))} if experiment.model.imagenet else {}


def _bears(network: Network, experiment: Experiment, fold: Fold) -> bool:
    """Whether a network had a part in what a run is trained on."""
    if network.use == "crop":
        return True
    if network.use == "synthetic":
        return bool(fold.train.synthetic.any()) and experiment.synthetic != 0
    reads = experiment.method == "fas" and experiment.model.use != "image"
    wanted = experiment.data.cues
    return reads and (wanted is None or not network.cues or not set(wanted).isdisjoint(network.cues))
