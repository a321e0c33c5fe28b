"""What a source is: a folder, how to read labels from its paths or a table, and which files are too much or too little."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fasgen.remote.setting import Place
from fasgen.sources.sampling import Sampling
from fasgen.sources.words import reads_as_missing

FIELDS = ("label", "subject", "attack_type", "device", "split")
"""What a path, a table or a default can say of a file."""

DETAILS = ("attack_family", "attack_raw", "session", "lighting", "video")
"""What a path or a table can say besides; there are neither defaults nor maps for these."""

_LABELLING = (*FIELDS, *(f"{name}_map" for name in FIELDS), "pattern", "table", "table_only")

Adapter = Literal[
    "folder",
    "csv",
    "parquet",
    "webdataset",
    "msu-mfsd",
    "casia-fasd",
    "replay-attack",
    "oulu-npu",
    "siw",
    "siw-m",
    "siw-mv2",
    "wmca",
    "padisi-face",
    "hkbu-mars-v1",
    "hkbu-mars-v2",
    "wffd",
    "rose-youtu",
    "celeba-spoof",
    "ffhq",
]
GENERIC = ("folder", "csv", "parquet", "webdataset")
"""Adapters that know no data set: what they say comes from patterns, tables and defaults of the source."""

Label = Literal["live", "spoof", "unknown"]
Split = Literal["train", "dev", "test"]
Turn = Literal[90, 180, 270]
Follow = Literal["inside"] | bool
"""Which symbolic links of a source are followed."""

Level = Annotated[int, Field(ge=0, le=255)]


class Limits(BaseModel):
    """What is decoded at all. Everything is checked from headers, before memory is spent.

    Transparent pixels are laid over ``background``; the default is black because align, too, fills what lies outside a
    picture with black.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pixels: int = Field(default=100_000_000, ge=1, le=2**31 - 1, description="largest width x height, px; also stops bombs")
    min_side: int = Field(default=16, ge=1, le=65_535, description="shorter side below which a picture is too small, px")
    max_bytes: int = Field(default=1 << 29, ge=1, description="largest still image file, bytes (videos are streamed)")
    max_frames: int = Field(default=200_000, ge=1, description="longest video, decoded frames")
    bits: int | None = Field(
        default=None,
        ge=8,
        le=16,
        description="bits that pictures of 16 bits use, the lower ones, as infrared cameras do; null: of each picture by its "
        "largest level, 8, 10, 12, 14 or 16: say it where a dark picture of a camera must not become brighter than the others",
    )
    background: tuple[Level, Level, Level] = Field(default=(0, 0, 0), description="RGB under transparent pixels")
    profiles: Literal["cmyk", "all"] = Field(
        default="cmyk",
        description="which embedded ICC profiles are converted to sRGB; cmyk leaves RGB pictures byte-equal to what other "
        "decoders of face data sets give, all converts Display P3 and the like as well",
    )


class SourceConfig(BaseModel):
    r"""One folder of images and videos.

    Each field comes from the table, else from the pattern, else from the default. Beyond the maps, the usual words for live
    and spoof (real, genuine, bonafide; attack, fake) and for splits (training, devel, val, testing) are understood.
    Patterns are searched in the path relative to the folder, with ``/`` between its parts and the extension kept; of
    several, the first that matches counts. Named groups are ``label``, ``subject``, ``attack_type``, ``device``, ``split``,
    ``attack_family``, ``attack_raw``, ``session``, ``lighting`` and ``video``; groups with a digit after the name are joined
    to it by ``-``, and a group may lie inside another, so ``(?P<split>(?P<subject>train|test))_release/(?P<subject2>\d+)/``
    makes the subject ``train-7`` where subject numbers start anew in every split.

    ``video`` is for stills that are frames of one: the path as far as the group reaches names it, so that frames in
    ``anna/clip_3/`` and ``ben/clip_3/`` are of two by ``(?P<subject>[^/]+)/(?P<video>[^/]+)/``. A table names it in full.

    With an ``adapter`` that knows the data set, none of these is needed.

    Example:
        >>> SourceConfig(name="msu", path=".", pattern=r"(?P<label>real|attack)_client(?P<subject>\d{3})_").frames.rows
        10
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="data set name; prefixes subjects and names the folder in the store",
    )
    path: Place = Field(description="folder of images and videos, or its address, such as s3://bucket/faces")
    adapter: Adapter | Path = Field(
        default="folder",
        description="how the folder is read: the name of a data set, as its authors ship it; a YAML file that describes one of "
        "your own (docs/datasets.md); or, by pattern, table and defaults below, folder, csv and parquet (path is then such a "
        "table, and files lie relative to its folder) or webdataset (tars of samples)",
    )
    pattern: str | tuple[str, ...] | None = Field(
        default=None, description="regular expression(s) with named groups, searched in the relative path"
    )
    table: Place | None = Field(
        default=None,
        description="CSV or parquet file, or its address, with a column path and any of label, subject, attack_type, device, "
        "split, attack_family, attack_raw, session, lighting, video",
    )
    table_only: bool = Field(default=False, description="leave out files that the table does not list")
    label: Label = Field(default="unknown", description="label where nothing else says one")
    subject: str | None = Field(default=None, description="subject where nothing else says one")
    attack_type: str | None = Field(default=None, description="attack type where nothing else says one")
    device: str | None = Field(default=None, description="capture device where nothing else says one")
    split: Split | None = Field(default=None, description="split where nothing else says one")
    label_map: dict[str, Label] = Field(
        default_factory=dict, description="found value to label, e.g. {real: live, attack: spoof}"
    )
    subject_map: dict[str, str] = Field(default_factory=dict, description="found value to subject")
    attack_type_map: dict[str, str] = Field(default_factory=dict, description="found value to attack type")
    device_map: dict[str, str] = Field(default_factory=dict, description="found value to device")
    split_map: dict[str, Split | None] = Field(default_factory=dict, description="found value to split")
    licence: str = Field(default="unknown", min_length=1, description="licence tag, inherited by every product")
    frames: Sampling = Field(
        default_factory=Sampling,
        description="which frames of a video, by decoded index; a number k stands for {policy: uniform, count: k}",
    )
    rotate: dict[str, Turn] = Field(
        default_factory=dict,
        description="regular expression, searched in the relative path, to the degrees by which such files are turned "
        "clockwise to stand upright, beyond what their metadata says; of several, the first that matches counts",
    )
    include: tuple[str, ...] = Field(
        default=(), description="globs on the relative path (* also matches /), *.jpg also for .JPG; empty: everything"
    )
    exclude: tuple[str, ...] = Field(default=(), description="globs on the relative path to leave out")
    follow_symlinks: Follow = Field(
        default="inside",
        description="follow symbolic links to files and folders: true: wherever they lead; inside: where that is below the "
        "source's folder, others are told and left alone, so that a folder from elsewhere shows nothing else of this machine; "
        "loops end as a row with a reason",
    )
    limits: Limits = Field(default_factory=Limits, description="what is decoded at all")
    hash: bool = Field(
        default=False,
        description="tell changed files by the digest of their bytes, not by their time of change: for sources that are copied "
        "without their times; every plan reads all of them",
    )

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for text in (value,) if isinstance(value, str) else value or ():
            try:
                groups = re.compile(text).groupindex
            except re.error as error:
                raise ValueError(f"not a regular expression: {text!r}: {error}") from error
            known = (*FIELDS, *DETAILS)
            unknown = [name for name in groups if name.rstrip("0123456789") not in known]
            if unknown:
                raise ValueError(
                    f"unknown group {unknown[0]!r} in {text!r}; groups are {', '.join(known)}, with a digit for further parts"
                )
            if not groups:
                raise ValueError(
                    f"no named group in {text!r}; name at least one of {', '.join(FIELDS)}, as in (?P<label>live|spoof)"
                )
        return value

    @field_validator("subject", "attack_type", "device", "subject_map", "attack_type_map", "device_map")
    @classmethod
    def _names(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        # {NA: NA} says that a word which reads as missing is somebody's name.
        named = value.items() if isinstance(value, dict) else [("", value)]
        for found, text in named:
            if text and reads_as_missing(text) and not (found and reads_as_missing(found)):
                raise ValueError(f"{text!r} reads as missing, and what is not known has no name: leave it out")
        return value

    @field_validator("rotate")
    @classmethod
    def _rotate(cls, value: dict[str, Turn]) -> dict[str, Turn]:
        for text in value:
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"not a regular expression: {text!r}: {error}") from error
        return value

    @model_validator(mode="after")
    def _one_way_to_label(self) -> SourceConfig:
        if self.adapter in ("csv", "parquet") and self.table is None:
            raise ValueError(f"adapter {self.adapter} needs table, the file that lists the pictures of the folder `path`")
        if self.adapter not in GENERIC:
            given = [name for name in _LABELLING if name in self.model_fields_set and getattr(self, name)]
            given = [name for name in given if getattr(self, name) != type(self).model_fields[name].default]
            if given:
                raise ValueError(
                    f"adapter {self.adapter} says what paths mean, so {given[0]} cannot: leave it out, or extend the adapter "
                    "in a YAML file of your own"
                )
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns in the order in which they are tried."""
        return (self.pattern,) if isinstance(self.pattern, str) else self.pattern or ()
