"""What the weights behind a store have seen: ``STORE/seen/<digest>.json``, and with a delivery ``networks.json``.

A run copies the records when it finds the weights, so that they are there when the weights have gone elsewhere. No byte of a
row hangs on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.products import products
from fasgen.manifests.spare import write_twice
from fasgen.records import PHOTOGRAPHED
from fasgen.seen import NETWORKS, Network, Seen, Use, encode, encode_networks, read_seen

FOLDER = "seen"


def note_seen(store: Path, weights: Mapping[str, Path]) -> None:
    """Copy the records of weights, which are given by their digests, into a store; weights without one are passed over.

    Raises:
        WeightsError: a record is damaged.
        StoreError: the store cannot be written.
    """
    for digest, path in sorted(weights.items()):
        seen, place = read_seen(path), _place(store, digest)
        if seen is None:
            continue
        content = encode(seen)
        try:
            if not place.is_file() or place.read_bytes() != content:
                write_twice(store, place, content)
        except OSError as error:
            raise StoreError(f"{place}: cannot be written ({error.strerror}): free space or check permissions") from error


def seen_by(store: Path, digest: str) -> Seen | None:
    """What weights of this digest have seen; None where they do not say.

    Raises:
        StoreError: the record is damaged.
    """
    path = _place(store, digest)
    try:
        return Seen.of(parse_json(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{path}: is damaged ({error}): remove it, `fasgen run` writes it again") from None


def networks(store: Path, plans: list[Mapping[str, Any]]) -> Iterator[Network]:
    """The networks of generations, in the order of their plans, roles by name.

    Raises:
        StoreError: a record is damaged.
    """
    for plan in plans:
        made = products(plan)
        use: Use = "crop" if made.cuts else "photograph" if PHOTOGRAPHED in made.lanes and not made.draws else "synthetic"
        for role, digest in sorted(dict(plan.get("weights") or {}).items()):
            yield Network(str(plan.get("stage")), role, use, tuple(made.cues), seen_by(store, digest))


def write_networks(folder: Path, plans: list[Mapping[str, Any]]) -> None:
    """Write ``networks.json`` of a delivery.

    Args:
        folder: the delivery, inside the store.
        plans: of all generations above it.
    """
    write_twice(folder.parent, folder / NETWORKS, encode_networks(list(networks(folder.parent, plans))))


def _place(store: Path, digest: str) -> Path:
    return store / FOLDER / f"{digest}.json"
