"""What is odd in a source: files and words that a user would want to look at before anything is made of them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

FEW = 3
"""Examples that are kept of each kind."""


class _Kind(NamedTuple):
    """How a kind is told: what there is one of, what is odd about it, and what becomes of it or is to be changed."""

    one: str
    what: str
    so: str


KINDS: Mapping[str, _Kind] = {
    "unlabelled": _Kind("file", "of unknown label", "nothing says live or spoof: set label, or say it by a pattern or a table"),
    "no_pattern": _Kind(
        "file",
        "that no pattern matches",
        "nothing but defaults is known here: widen pattern, or leave out by exclude",
    ),
    "not_listed": _Kind(
        "file",
        "that the table does not list",
        "nothing but defaults is known here: add rows, or leave out by table_only: true",
    ),
    "no_file": _Kind("row", "of the table without a file", "will fail as unreadable: mend the path, or bring the file back"),
    "respelt": _Kind(
        "row",
        "of the table spelt otherwise than the file",
        "case, slashes or the form of letters differ; taken for one and the same",
    ),
    "unread": _Kind(
        "column",
        "of the table that nothing here reads",
        "name what is meant label, subject, attack_type, device or split",
    ),
    "not_known": _Kind(
        "file",
        "that the adapter does not know",
        "no row is made: mend the name, or describe such files in a YAML file that extends the adapter (docs/datasets.md)",
    ),
    "cut": _Kind("archive", "cut short", "what lies before the cut is read: fetch it anew"),
    "doubled": _Kind("name", "held more than once by an archive or list", "the last one counts: give each a name of its own"),
    "copy": _Kind("file", "named like a copy of another", "both are rows: leave copies out by exclude"),
    "twin": _Kind(
        "file",
        "whose name is another's but for case or the form of letters",
        "both are rows: leave one out by exclude, or rename it",
    ),
    "missing": _Kind("value", "taken for not known", "if it is a name after all, say so in a map, as in subject_map: {NA: NA}"),
    "idle": _Kind("setting", "of the source that no file needs", "mend it, or take it out"),
    "outside": _Kind(
        "symbolic link",
        "that leads out of the source",
        "nothing is read there: allow it by follow_symlinks: true, if the folder is your own",
    ),
    "note": _Kind("note", "", ""),
}
"""Every kind, in the order in which kinds are told."""


class Example(NamedTuple):
    """One of a kind.

    Attributes:
        path: escaped relative path, or the text that is meant.
        why: what is odd about it beyond its kind; empty where the kind says all.
    """

    path: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Odd:
    """One kind of what is odd in a source.

    Attributes:
        kind: one of ``KINDS``.
        count: how many there are.
        examples: the first few of them.
    """

    kind: str
    count: int
    examples: tuple[Example, ...] = ()

    @property
    def what(self) -> str:
        """How many of what, and examples."""
        if self.kind == "note":
            return self.examples[0].path
        one, what, _ = KINDS[self.kind]
        named = ", ".join(f"'{path}'" + (f" ({why})" if why else "") for path, why in self.examples)
        more = f" and {self.count - len(self.examples):,} more" if self.examples and self.count > len(self.examples) else ""
        # Of values, one example stands for all that are the same.
        return (
            f"{self.count:,} {one}{'' if self.count == 1 else 's'} {what}"
            + (f": {named}" if named else "")
            + ("" if self.kind == "missing" else more)
        )

    @property
    def change(self) -> str:
        """What becomes of it, and what to change; empty for a note, which says all itself."""
        return KINDS[self.kind].so

    def without(self, paths: Container[str]) -> Odd:
        """The same, not naming these paths."""
        kept = [one for one in self.examples if one.path not in paths and one.why.partition(" ")[2] not in paths]
        return replace(self, examples=tuple(kept))

    def document(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "count": self.count, "examples": [list(one) for one in self.examples]}

    @staticmethod
    def of(document: Mapping[str, Any]) -> Odd:
        """From what `document` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        if document["kind"] not in KINDS:
            raise ValueError(f"no kind of odd thing is called {document['kind']!r}")
        examples = tuple(Example(str(path), str(why)) for path, why in document["examples"])
        return Odd(str(document["kind"]), int(document["count"]), examples)


class Oddities:
    """Collects what is odd while a source is listed."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[Example]] = {}
        self._notes: list[Odd] = []

    def see(self, kind: str, path: str, why: str = "", count: int = 1) -> None:
        """Count one of a kind; the first few are kept."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        kept = self._examples.setdefault(kind, [])
        if len(kept) < FEW:
            kept.append(Example(path, why))

    def note(self, texts: Iterable[str]) -> None:
        """Sentences that say all themselves."""
        self._notes += [Odd("note", 1, (Example(text),)) for text in texts]

    def found(self) -> tuple[Odd, ...]:
        """What there is, in the order of ``KINDS``."""
        told = (Odd(kind, self._counts[kind], tuple(self._examples[kind])) for kind in KINDS if kind in self._counts)
        return (*told, *self._notes)
