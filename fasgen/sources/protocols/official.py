"""A protocol's own lists, as data sets ship them: which files train, tune and test. They outweigh what rules derive.

Files are told apart by their names: those that begin with train, dev or test are that side's. Read are texts with a name a
line, alone or behind a label (OULU-NPU: ``+1,1_1_01_1``), and JSON with the path as key (CelebA-Spoof). A name that is repeated
weighs more in its authors' sampling and is one file; ``_60`` behind it (SiW) means its first 60 frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fasgen.errors import SourceError
from fasgen.sources.adapters.annotations import pairs

_SIDE = re.compile(r"(?i)(train|dev|devel|val|test|eval)(?![a-z]*\d)[a-z]*(?:_([a-z]+))?(?:_(\d+))?\.(txt|json)")
_WORDS = {"devel": "dev", "val": "dev", "eval": "test"}
_NUMBERED = re.compile(r"oulu-(?P<protocol>\d)(?:-(?P<fold>\d))?")
_LABEL = re.compile(r"[+-]?\d+")
_MEDIA = re.compile(r"(?i)\.(?:avi|mp4|mov|m\.mov|png|jpe?g|h5|hdf5)")


@dataclass(frozen=True, slots=True)
class Listed:
    """What the lists say of one side.

    Attributes:
        names: paths or file names without extension; true where the list says live, false where it says an attack, None where
            it says neither.
        frames: by such a name, frames from the beginning that count; of the others all do.
        files: the lists, relative to the folder given.
    """

    names: dict[str, bool | None] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def lists_in(root: Path, protocol: str) -> Path | None:
    """Where a data set that lies at ``root`` has the lists of ``protocol``, as its authors ship it; None where it has none."""
    if numbered := _NUMBERED.fullmatch(protocol):
        folder, sought = root / "Protocols", f"Protocols/Protocol_{numbered['protocol']}"
    elif found := re.fullmatch(r"celeba-spoof-(intra|\d)", protocol):
        sought = f"metas/{'intra_test' if found[1] == 'intra' else f'protocol{found[1]}'}"
        folder = root / sought
    else:
        return None
    return folder if (root / sought).is_dir() else None


def read_lists(protocol: str, folder: Path) -> Mapping[str, Listed]:
    """The lists of ``protocol`` in a folder, by side.

    Args:
        protocol: its name; of OULU-NPU's, the folder ``Protocol_N`` inside and the files of the fold are taken.
        folder: where the lists lie, or of OULU-NPU the folder ``Protocols``.

    Raises:
        SourceError: there is none, or one cannot be read.
    """
    numbered = _NUMBERED.fullmatch(protocol)
    fold = numbered["fold"] if numbered else None
    inner = folder / f"Protocol_{numbered['protocol']}" if numbered else folder
    sides: dict[str, Listed] = {}
    place = inner if inner.is_dir() else folder
    # The lists of another protocol are none of this one's.
    other = numbered is not None and place.name.startswith("Protocol_") and place.name != inner.name
    for path in () if other else sorted(place.iterdir()):
        match = _SIDE.fullmatch(path.name)
        if match is None or (numbered and match[3] != fold) or not path.is_file():
            continue
        word = match[1].lower()
        listed = sides.setdefault(_WORDS.get(word, word), Listed())
        listed.files.append(str(path.relative_to(folder)))
        for name, live in _names(path):
            stem, marked, count = name.rpartition("_60")
            if marked and not count:
                name = stem
                listed.frames[name] = 60
            listed.names[name] = live
    if not sides:
        wanted = (
            f"Protocol_{numbered['protocol']}/Train{f'_{fold}' if fold else ''}.txt" if numbered else "train….txt, test….txt"
        )
        raise SourceError(f"--lists {folder}: holds no list of {protocol}; {wanted} or the like was expected, or {_CSV}")
    return sides


_CSV = "give a CSV file with columns name and split"


def _names(path: Path) -> Iterator[tuple[str, bool | None]]:
    try:
        if path.suffix.lower() == ".json":
            for key, _ in pairs(path):
                yield without_extension(key), None
            return
        lines = path.read_text("utf-8-sig", "surrogateescape").splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"--lists {path}: cannot be read: {error}; fetch it anew, or {_CSV}") from error
    for line in lines:
        parts = line.replace(",", " ").split()
        if len(parts) > 1 and _LABEL.fullmatch(parts[0]):
            yield without_extension(parts[1]), int(parts[0]) > 0
        elif parts:
            yield without_extension(parts[0]), None


def without_extension(path: str) -> str:
    """A path as lists spell it: forward slashes, without the extension of a picture or video."""
    text = path.strip().replace("\\", "/").removeprefix("./")
    found = _MEDIA.search(text)
    return text[: found.start()] if found and found.end() == len(text) else text


def names_of(path: str) -> tuple[str, str]:
    """What a list may call the file at ``path``: its path, or its name, without extension."""
    stem = without_extension(path)
    return stem, PurePosixPath(stem).name
