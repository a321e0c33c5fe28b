"""What an adapter is: a table of patterns and codes. The built-in ones are written in Python, a user's own in YAML."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from fasgen.sources.adapters.templates import names_in

Family = Literal[
    "print",
    "cut_print",
    "replay",
    "mask_rigid",
    "mask_flexible",
    "mask_paper",
    "fake_head",
    "glasses",
    "partial",
    "makeup",
    "wax",
    "other",
]
"""Families of presentation attacks, over all data sets."""

SAID = (
    "label",
    "subject",
    "subject_is_pseudo",
    "attack_family",
    "attack_type",
    "attack_raw",
    "device",
    "session",
    "lighting",
    "split",
    "licence",
    "video",
)
"""What a table can say of a file. Any other name is a value for templates alone."""

MARKS = ("frame", "x", "y", "w", "h", "right", "bottom", "left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "_")
"""What a column of a file of boxes or eye positions can hold; ``_`` is skipped."""


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {text!r}: {error}") from error
    return text


def _fills(text: str) -> str:
    names_in(text)
    return text


Pattern = Annotated[str, AfterValidator(_compiles)]
Template = Annotated[str, AfterValidator(_fills)]
Said = dict[str, Template]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lookup(_Part):
    """A table of codes: ``by`` names the code, each pattern that matches it as a whole says what it means.

    A file whose code no pattern matches is no row: it is listed as unknown, with the code.
    """

    by: Template = Field(description="the code, as a template over the values so far, for example {type}_{pai}")
    codes: dict[Pattern, Said] = Field(description="regular expression, matched as a whole, to what such a code says")


class Marks(_Part):
    """Boxes or eye positions that are shipped beside a file, as text: one line a frame, or one line for a still."""

    path: Template = Field(description="where they are, relative to the root; {stem} is the path without its extension")
    columns: str = Field(description=f"what the columns hold, in words of: {' '.join(MARKS)}")
    grid: int | None = Field(
        default=None, ge=1, description="side of the square that coordinates refer to whatever the picture's size; null: pixels"
    )

    @field_validator("columns")
    @classmethod
    def _columns(cls, value: str) -> str:
        for name in value.split():
            if name not in MARKS:
                raise ValueError(f"{name!r} is no column of marks; they are {', '.join(MARKS)}")
        return " ".join(value.split())

    @property
    def spelt(self) -> str:
        """The format in one line, as rows carry it: ``frame x y w h``, or ``x y w h @224`` on a grid."""
        return f"{self.columns} @{self.grid}" if self.grid else self.columns


class Annotation(_Part):
    """A file of the data set that says more of its other files: subjects of a split, a table, a mapping in JSON."""

    file: Pattern = Field(description="its path relative to the root, as a regular expression matched as a whole")
    format: Literal["lines", "csv", "json"] = Field(
        description="lines: a key a line; csv: a header and a record a line; json: one mapping of keys to lists or mappings"
    )
    key: Template = Field(description="the key of a file, over its values")
    record_key: Template | None = Field(
        default=None, description="the key of a record: over the columns of csv, over {key} of the others; null: {key}"
    )
    says: Said = Field(
        description="what a record says: over the columns of csv, the positions {40} or names {a.b} of json, {key} of lines"
    )
    codes: dict[str, dict[str, Said]] = Field(
        default_factory=dict, description="by a name that the record says, a table of codes as in a lookup"
    )
    without: str = Field(default="", description="what is not known where there is no such file, for a note to the user")


class Rule(_Part):
    """A kind of files: where they lie, and what their paths say of them.

    Later wins: named groups of the pattern, then ``says``, then the lookups, then the annotations.
    """

    path: Pattern = Field(description="regular expression for the whole relative path without its extension")
    extensions: tuple[str, ...] = Field(description="extensions, without the dot; upper and lower case are the same")
    says: Said = Field(default_factory=dict, description="what such a path says, as templates over its groups")
    lookups: tuple[Lookup, ...] = Field(default=(), description="tables of codes, in order")
    marks: tuple[Marks, ...] = Field(default=(), description="boxes or eye positions beside it; the first that is there counts")
    kind: Literal["image", "video"] | None = Field(default=None, description="null: by the extension")
    container: str | None = Field(
        default=None, description="how the pixels are held: hdf5, npz, joblib, tar, with :NAME for a part; null: a plain file"
    )
    repeats: str = Field(
        default="", description="why such files are left out where files of another rule are there; empty: they never are"
    )

    @field_validator("extensions")
    @classmethod
    def _extensions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one.lower().removeprefix(".") for one in value)


class Ignored(_Part):
    """Files that belong to the data set and are no samples."""

    path: Pattern = Field(description="regular expression for the whole relative path, extension included")
    why: str = Field(min_length=1, description="why they are left out, in a few words")


class Archive(_Part):
    """A file that holds many samples. Its members are listed as if it were a folder."""

    path: Pattern = Field(description="regular expression for the whole relative path, extension included")
    reader: Literal["joblib"] = Field(description="how members are listed")


class Published(_Part):
    """Counts as the authors state them, to compare with what is on the disk."""

    split: Literal["train", "dev", "test"] | None = Field(default=None, description="null: the whole data set")
    subjects: int | None = None
    files: int | None = None
    live: int | None = None
    spoof: int | None = None
    families: dict[Family, int] = Field(default_factory=dict)


class Table(_Part):
    """One data set: its layout, its codes, and what is known of it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="name of the data set")
    about: str = Field(default="", description="one line for people")
    licence: str = Field(default="unknown", min_length=1, description="licence tag of every row")
    layout: tuple[str, ...] = Field(min_length=1, description="what the root holds, for the message about a wrong one")
    rules: tuple[Rule, ...] = Field(min_length=1, description="kinds of files; of several that match, the first counts")
    ignore: tuple[Ignored, ...] = Field(default=(), description="files that belong to it and are no samples")
    archives: tuple[Archive, ...] = Field(default=(), description="files that hold many samples")
    annotations: tuple[Annotation, ...] = Field(default=(), description="files that say more of the others")
    published: tuple[Published, ...] = Field(default=(), description="counts as the authors state them")

    @model_validator(mode="after")
    def _says_something(self) -> Table:
        said = {name for rule in self.rules for name in _said_by(rule)} | {n for a in self.annotations for n in a.says}
        if "label" not in said | {n for a in self.annotations for t in a.codes.values() for s in t.values() for n in s}:
            raise ValueError("nothing in it says a label: name a group, a code or a text `label`")
        return self


def _said_by(rule: Rule) -> set[str]:
    coded = {name for lookup in rule.lookups for said in lookup.codes.values() for name in said}
    return {*re.compile(rule.path).groupindex, *rule.says, *coded}


def stem_of(path: str) -> tuple[str, str]:
    """A relative path without its extension, and the extension in lower case without the dot."""
    name = path.rpartition("/")[2]
    if "." not in name.lstrip("."):
        return path, ""
    stem, _, extension = path.rpartition(".")
    return stem, extension.lower()
