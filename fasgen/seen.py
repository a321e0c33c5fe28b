"""What weights have seen: the record beside them, ``seen.json``, and its overlap with what is tested.

Samples and subjects stand in it as digests, so that the record names nobody and still answers whether somebody is in it. The
record of weights whose rows are not known, such as those of others, may be written by hand: format, training and data sets.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fasgen.errors import WeightsError
from fasgen.json_reader import parse_json

NAME = "seen.json"
NETWORKS = "networks.json"
"""Beside shards: the networks behind them, with what each has seen."""
FORMAT = "fasgen-seen/1"
_BYTES = 8
"""Of a digest: among 10 million rows two agree by chance once in 370,000 records."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one network learnt from.

    Attributes:
        training: what it was trained as.
        datasets: names of data sets.
        samples: digests of the ids of all rows, None where they are not known.
        subjects: digests of subject keys.
        unlisted: pictures that came from elsewhere than a store, so that no row is known of them.
        attack_types: presentation attack instruments, with ``live`` where live faces were among them.
        splits: rows by split; of no split under an empty name.
        protocol: the protocol whose train side was taken; empty for none.
        where: the filter that rows had to pass; empty for none.
        parents: by role, what those networks have seen that it learnt with or began from; None where they do not say.
    """

    training: str
    datasets: tuple[str, ...] = ()
    samples: frozenset[str] | None = None
    subjects: frozenset[str] = frozenset()
    unlisted: int = 0
    attack_types: tuple[str, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    protocol: str = ""
    where: str = ""
    parents: Mapping[str, Seen | None] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON; the same for the same rows, in whatever order they came."""
        return {
            "format": FORMAT,
            "training": self.training,
            "datasets": sorted(self.datasets),
            "samples": None if self.samples is None else _packed(self.samples),
            "subjects": _packed(self.subjects),
            "unlisted": self.unlisted,
            "attack_types": sorted(self.attack_types),
            "splits": dict(sorted(self.splits.items())),
            "protocol": self.protocol,
            "where": self.where,
            "parents": {role: one and one.document() for role, one in sorted(self.parents.items())},
        }

    @staticmethod
    def of(document: Mapping[str, Any]) -> Seen:
        """From JSON.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is no such record.
        """
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
        samples = document.get("samples")
        return Seen(
            str(document["training"]),
            tuple(map(str, document.get("datasets", ()))),
            None if samples is None else _unpacked(samples),
            _unpacked(document.get("subjects") or ""),
            int(document.get("unlisted", 0)),
            tuple(map(str, document.get("attack_types", ()))),
            {str(split): int(count) for split, count in document.get("splits", {}).items()},
            str(document.get("protocol", "")),
            str(document.get("where", "")),
            {str(role): None if one is None else Seen.of(one) for role, one in document.get("parents", {}).items()},
        )


Use = Literal["crop", "photograph", "synthetic"]
"""What a network made: every crop; cues and scores of photographs; or synthetic samples and what is made of them."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network behind a delivery.

    Attributes:
        stage: that loads it.
        role: in the stage.
        use: what it made.
        cues: cues that the stage makes.
        seen: what it has seen; None where it does not say.
    """

    stage: str
    role: str
    use: Use
    cues: tuple[str, ...]
    seen: Seen | None

    @property
    def name(self) -> str:
        """As messages call it."""
        return self.stage if self.role in (self.stage, "weights") else f"{self.stage} ({self.role})"


@dataclass(frozen=True, slots=True)
class Target:
    """What is tested, the field's target set.

    Attributes:
        samples: ids by their digests.
        subjects: subject keys by their digests.
        datasets: names of data sets.
    """

    samples: Mapping[str, str]
    subjects: Mapping[str, str]
    datasets: frozenset[str]

    @staticmethod
    def of(rows: Iterable[tuple[str, str | None, str]]) -> Target:
        """Of sample id, subject (None or empty where unknown) and data set."""
        some = list(rows)
        return Target(
            {digest(sample): sample for sample, _, _ in some},
            {digest(subject): subject for _, subject, _ in some if subject},
            frozenset(dataset for _, _, dataset in some if dataset),
        )


def digest(name: str) -> str:
    """Of a sample id or a subject key, 16 hex digits."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[: 2 * _BYTES]


def encode(seen: Seen) -> bytes:
    """The bytes of ``seen.json``."""
    return json.dumps(seen.document(), sort_keys=True, indent=1).encode() + b"\n"


def read_seen(weights: Path) -> Seen | None:
    """What weights say of what they have seen; None where no record lies in their folder, or in the one above it.

    Raises:
        WeightsError: the record is damaged.
    """
    folder = weights if weights.is_dir() else weights.parent
    for place in (folder, folder.parent):
        path = place / NAME
        if path.is_file():
            try:
                return Seen.of(parse_json(path.read_bytes()))
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise WeightsError(
                    f"{path}: is no record of what weights have seen ({error}): mend it, or remove it and have them counted "
                    "as unknown"
                ) from None
    return None


def encode_networks(networks: Iterable[Network]) -> bytes:
    """The bytes of ``networks.json``."""
    listed = [
        {"stage": one.stage, "role": one.role, "use": one.use, "cues": list(one.cues), "seen": one.seen and one.seen.document()}
        for one in networks
    ]
    return json.dumps({"format": FORMAT, "networks": listed}, sort_keys=True, indent=1).encode() + b"\n"


def read_networks(folder: Path) -> list[Network] | None:
    """The networks behind the shards of a folder; None where nothing says which they are.

    Raises:
        WeightsError: the list is damaged.
    """
    path = folder / NETWORKS
    if not path.is_file():
        return None
    try:
        document = parse_json(path.read_bytes())
        if document["format"] != FORMAT or any(one["use"] not in get_args(Use) for one in document["networks"]):
            raise ValueError("it is of another format")
        return [
            Network(str(one["stage"]), str(one["role"]), one["use"], tuple(one["cues"]), one["seen"] and Seen.of(one["seen"]))
            for one in document["networks"]
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: is no list of networks ({error}): `fasgen run` writes it again") from None


def overlaps(name: str, seen: Seen | None, tested: Target) -> Iterator[str]:
    """Sentences that name what a network has seen of what is tested, and what is not known; of its parents too.

    Args:
        name: what the network is called, with its stage or role.
        seen: its record; None where there is none.
        tested: what is tested.
    """
    if seen is None:
        yield f"{name} does not say what it has seen (no {NAME} beside it)"
        return
    if found := sorted(tested.samples[one] for one in (seen.samples or frozenset()) & tested.samples.keys()):
        yield f"{name} has learnt from {len(found)} of the {len(tested.samples)} tested samples, such as {found[0]}"
    if found := sorted(tested.subjects[one] for one in seen.subjects & tested.subjects.keys()):
        yield f"{name} has learnt from {len(found)} of the {len(tested.subjects)} tested people, such as {found[0]}"
    if seen.samples is None:
        same = {_plain(one) for one in seen.datasets}
        if known := sorted(one for one in tested.datasets if _plain(one) in same):
            yield f"{name} has learnt from the data set {', '.join(known)}, which is tested; from which rows it does not say"
    if seen.unlisted:
        yield f"{name} has learnt from {seen.unlisted} pictures of a folder, of which no row is known"
    for role, parent in sorted(seen.parents.items()):
        yield from overlaps(f"{name}, by its {role},", parent, tested)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _packed(digests: Iterable[str]) -> str:
    return base64.b64encode(bytes.fromhex("".join(sorted(digests)))).decode("ascii")


def _unpacked(text: str) -> frozenset[str]:
    raw = base64.b64decode(text, validate=True)
    if len(raw) % _BYTES:
        raise ValueError("digests are cut off")
    return frozenset(raw[first : first + _BYTES].hex() for first in range(0, len(raw), _BYTES))
