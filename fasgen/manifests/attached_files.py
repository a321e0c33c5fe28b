"""The names of files that were attached to a store from elsewhere: ``STORE/attached/<cue>/files.json`` has by sample id the
name of a file and its digest. Names may be those of people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic
from fasgen.seen import NAME as SEEN

FOLDER = "attached"
"""Below a store; a folder for each cue is in it."""

ORIGIN = "origin.json"

GONE = ""
"""In place of a name that was taken out; the digest stays, by which the cue's plan goes on."""


def is_origin(content: bytes) -> bool:
    """Whether these are the bytes of an ``origin.json`` that fasgen wrote."""
    try:
        return str(parse_json(content)["format"]).startswith("fasgen-attached/")
    except (ValueError, KeyError, TypeError):
        return False


def attached_files(store: Path) -> Iterator[Path]:
    """What fasgen noted of cues from elsewhere: of each its list of files and their folder, and last what the cue is."""
    for origin in sorted((store / FOLDER).glob(f"*/{ORIGIN}")):
        if origin.is_file() and is_origin(origin.read_bytes()):
            names = ("files.json", "root.txt", SEEN, ORIGIN)
            yield from (path for name in names if (path := origin.with_name(name)).is_file())


def named(store: Path, touched: Callable[[str], bool]) -> Iterator[tuple[Path, int]]:
    """The lists that have names of files of ``touched`` samples, and how many.

    Raises:
        StoreError: a list is damaged.
    """
    for path in sorted(store.glob(f"{FOLDER}/*/files.json")):
        count = sum(touched(sample) and name != GONE for sample, (name, _) in _read(path).items())
        if count:
            yield path, count


def forget_names(store: Path, touched: Callable[[str], bool]) -> None:
    """Take the names of files of ``touched`` samples out.

    Raises:
        StoreError: a list is damaged.
        OSError: it cannot be written.
    """
    for path, _ in named(store, touched):
        kept = {sample: [GONE if touched(sample) else one[0], one[1]] for sample, one in _read(path).items()}
        write_atomic(path, json.dumps(kept, sort_keys=True).encode())


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return {str(sample): [str(name), str(digest)] for sample, (name, digest) in parse_json(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path}: is no list of attached files ({error}): give `fasgen attach` again") from None
