"""Lists a source: one row per still and per requested frame of a video, without opening a file unless it asks for digests."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fasgen.errors import SourceError
from fasgen.remote.path import RemotePath
from fasgen.sources.adapters.engine import NO_PATTERN
from fasgen.sources.config import GENERIC, SourceConfig
from fasgen.sources.copies import find_copies
from fasgen.sources.failure import SampleError
from fasgen.sources.label_table import respell
from fasgen.sources.labels import Labeller, Labels
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape, unescape
from fasgen.sources.patience import Search, limited
from fasgen.sources.rows import Scan as Scan
from fasgen.sources.rows import SourceFile
from fasgen.sources.rows import SourceRow as SourceRow
from fasgen.sources.walk import OTHER_EXTENSIONS, VIDEO_EXTENSIONS, Selection, extension, in_order, is_reached, walk

_EXAMPLES = 10_000
"""Files that are looked at for the message about a pattern that matches none."""


def scan(config: SourceConfig) -> Scan:
    """List a source.

    No file is opened: what a file truly holds, the decoder finds out, and a bad one becomes a row with a reason. A folder
    that cannot be listed, a symbolic link that leads nowhere or back to a folder above it is a row as well.

    Raises:
        SourceError: the folder or table cannot be used, labels cannot be translated, or there is nothing to process.
    """
    if not config.path.is_dir():
        what = "is a file, not a folder" if config.path.exists() else "does not exist"
        raise SourceError(f"source {config.name}: {config.path} {what}; set sources.path to a folder of images and videos")
    with limited(config.name) as search:
        if config.adapter == "webdataset":
            return _scan_tars(config, search)
        return _scan_folder(config, search) if config.adapter in GENERIC else _scan_data_set(config, search)


def _scan_folder(config: SourceConfig, search: Search) -> Scan:
    """List the files of a folder, by patterns and a table."""
    odd = Oddities()
    labeller = Labeller(config, odd, search)
    skipped: Counter[str] = Counter()
    selection = Selection.of(config.include, config.exclude)
    files: dict[str, tuple[int, int | str]] = {}
    for path, size, changed in walk(config.path, config.follow_symlinks, skipped, odd):
        if why := selection.against(path):
            skipped[why] += 1
        else:
            files[path] = size, changed
    if config.table:
        respell(labeller.table, files, config.table, odd)
    if config.table_only:
        unlisted = [path for path in files if path not in labeller.table]
        for path in unlisted:
            del files[path]
        skipped.update({"not in the table": len(unlisted)} if unlisted else {})
    missing = [path for path in labeller.table if path not in files and not selection.against(path)]
    if labeller.table and len(missing) == len(labeller.table):
        raise SourceError(
            f"source {config.name}: none of the {len(missing)} paths in {config.table} is a file below {config.path} "
            f"(the first is {escape(missing[0])!r}); write them relative to that folder, with extension"
        )
    if isinstance(config.path, Path):
        # A table must not lead where links in the folder may not.
        beyond = {path for path in missing if not is_reached(config.path, path, config.follow_symlinks)}
        missing = [path for path in missing if path not in beyond]
        for path in in_order(beyond):
            odd.see("outside", escape(path))
    for path in in_order(missing):
        odd.see("no_file", escape(path))
    files.update(dict.fromkeys(missing, (0, 0)))
    if not files:
        left_out = ", ".join(f"{count} {why}" for why, count in sorted(skipped.items())) or "the folder is empty"
        raise SourceError(f"source {config.name}: no image or video below {config.path} ({left_out})")
    listed, stamps = _Listed(config, search), _Stamps(config)
    how = _How(str(config.adapter))
    order = in_order(files)
    for path in order:
        size, changed = files.pop(path)
        listed.add(path, size, stamps(path, changed), labeller(path), how)
    labeller.finish(order[:_EXAMPLES])
    return listed.scan(skipped, odd, selection)


def _scan_data_set(config: SourceConfig, search: Search) -> Scan:
    """List a data set by its adapter's table."""
    from fasgen.sources.adapters import open_table
    from fasgen.sources.adapters.listing import ingest

    if isinstance(config.path, RemotePath):
        raise SourceError(
            f"source {config.name}: adapter {config.adapter} reads lists and boxes beside the files from a disk: copy the data "
            "set to one, or say by pattern or table what its paths mean"
        )
    table = open_table(config.adapter)
    odd = Oddities()
    skipped: Counter[str] = Counter()
    selection = Selection.of(config.include, config.exclude)
    paths: dict[str, int] = {}
    changes: dict[str, int | str] = {}
    excluded = set()
    for path, size, changed in walk(config.path, config.follow_symlinks, skipped, odd):
        paths[path], changes[path] = size, changed
        if not selection.includes(path):
            excluded.add(path)
    licence = config.licence if "licence" in config.model_fields_set else None
    found = ingest(table, config.name, config.path, paths, licence, odd, search)
    listed, stamps = _Listed(config, search), _Stamps(config)
    count = len(found.files)
    for path in in_order(found.files):
        known, size = found.files.pop(path)
        if path in excluded:
            skipped["excluded"] += 1
            continue
        marks, marks_format = known.marks or (None, None)
        how = _How(table.name, known.rule.kind, known.rule.container, marks_format)
        inside = path if path in changes else _archive(path, changes)
        stamp = stamps(inside, changes.get(inside, 0))
        if marks:
            stamp = f"{stamp}+{stamps(marks, changes.get(marks, 0))}"
        listed.add(path, size, stamp, known.labels, how, marks)
    if not listed.files:
        raise SourceError(f"source {config.name}: include and exclude leave nothing of {count} files")
    skipped.update(found.left_out)
    unknown = {escape(path): why for path, why in sorted(found.unknown.items()) if path not in excluded}
    odd.note(found.notes)
    return listed.scan(skipped, odd, selection, unknown=unknown, notes=tuple(found.notes))


def _scan_tars(config: SourceConfig, search: Search) -> Scan:
    """List the samples inside the tars of a WebDataset; their JSON members say what a table would."""
    from fasgen.sources.contained.tar import list_samples

    odd = Oddities()
    labeller = Labeller(config, odd, search)
    skipped: Counter[str] = Counter()
    selection = Selection.of(config.include, config.exclude)
    listed, stamps = _Listed(config, search), _Stamps(config)
    unknown: dict[str, str] = {}
    how = _How("webdataset", None, "tar")
    tars = 0
    for tar, _, changed in sorted(walk(config.path, config.follow_symlinks, skipped, odd)):
        if extension(tar) != "tar":
            unknown[escape(tar)] = "not a .tar (compressed ones cannot be read from the middle: unpack them with gunzip)"
            continue
        tars += 1
        try:
            samples = list_samples(config.path / tar)
        except SampleError as error:
            unknown[escape(tar)] = str(error)
            continue
        if samples.cut:
            odd.see("cut", escape(tar), samples.cut)
        stamp = stamps(tar, changed)
        for member, (size, said) in samples.members.items():
            path = f"{tar}/{member}"
            if extension(member) in OTHER_EXTENSIONS or extension(member) == "cls":
                skipped[f"not media: .{extension(member)}"] += 1
            elif not selection.includes(path):
                skipped["excluded"] += 1
            else:
                if member in samples.doubled:
                    odd.see("doubled", escape(path), f"{samples.doubled[member]} times")
                labeller.table[path] = said
                listed.add(path, size, stamp, labeller(path), how)
    if not listed.files:
        raise SourceError(
            f"source {config.name}: no picture in {tars} tars below {config.path}; a WebDataset is a folder of .tar files"
        )
    labeller.finish([unescape(file.path) for file in listed.files[:_EXAMPLES]])
    return listed.scan(skipped, odd, selection, unknown=unknown)


def _archive(path: str, files: Mapping[str, int | str]) -> str:
    """The file that a member's path begins with."""
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in files:
            break
    return path


class _Stamps:
    """What tells one content of a file from another: its time of change, or its bytes where the source asks for that."""

    def __init__(self, config: SourceConfig) -> None:
        self._root, self._hash = config.path, config.hash
        self._last: tuple[str, str] = "", ""

    def __call__(self, path: str, changed: int | str) -> int | str:
        if not self._hash:
            return changed
        # The members of an archive come one after the other.
        if self._last[0] != path:
            self._last = path, self._digest(path)
        return self._last[1]

    def _digest(self, path: str) -> str:
        try:
            with (self._root / path).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            # The decoder says what is wrong with it.
            return ""


class _How(NamedTuple):
    """How the pixels of a file are read, beyond its path."""

    adapter: str
    kind: Literal["image", "video"] | None = None
    container: str | None = None
    marks_format: str | None = None


class _Listed:
    """Files on their way into a scan. What is known of many is kept once."""

    def __init__(self, config: SourceConfig, search: Search) -> None:
        self.files: list[SourceFile] = []
        self._config, self._search = config, search
        self._dataset, self._licence, self._frames = config.name, config.licence, config.frames.rows
        self._alike: dict[tuple[Labels, _How, bool], dict[str, Any]] = {}
        self._videos: dict[str, tuple[str, str, str]] = {}

    def add(self, path: str, size: int, stamp: int | str, labels: Labels, how: _How, marks: str | None = None) -> None:
        """Take one file, by its path as ``os`` gives it."""
        video = extension(path) in VIDEO_EXTENSIONS if how.kind is None else how.kind == "video"
        key = labels, how, video
        alike = self._alike.get(key)
        if alike is None:
            if labels.video and not video:
                self._is_one(labels.video, labels, path)
            alike = self._alike[key] = self._made(labels, how, video)
        self.files.append(SourceFile(escape(path), size, escape(marks) if marks else None, stamp, alike))

    def scan(self, skipped: Mapping[str, int], odd: Oddities, selection: Selection, **more: Any) -> Scan:
        """All that was found. Raises SourceError where a setting of the source turns no file."""
        find_copies([file.path for file in self.files], odd)
        for glob, where in selection.idle():
            odd.see("idle", glob, where)
        for path, why in more.get("unknown", {}).items():
            odd.see("not_known", path, "" if why == NO_PATTERN else why)
        for pattern in self._config.rotate:
            if not self._finds(re.compile(pattern)):
                raise SourceError(
                    f"source {self._dataset}: the pattern {pattern!r} of rotate matches no file, for example not "
                    f"{self.files[0].path!r}; mend it, or take it out"
                )
        says_itself = self._config.adapter not in GENERIC or "label" in self._config.model_fields_set
        if not says_itself and all(file.alike["label"] == "unknown" for file in self.files):
            odd.see("unlabelled", self.files[0].path, count=len(self.files))
        return Scan(tuple(self.files), dict(sorted(skipped.items())), odd=odd.found(), **more)

    def _is_one(self, name: str, labels: Labels, path: str) -> None:
        """Raises SourceError where the frames of a video are of two people, or live and spoof."""
        now = labels.subject or "nobody", labels.label
        *before, other = self._videos.setdefault(name, (*now, path))
        if two := next((pair for pair in zip(before, now, strict=True) if pair[0] != pair[1]), None):
            raise SourceError(
                f"source {self._dataset}: the video {name!r} has frames of {two[0]} ({escape(other)!r}) and of {two[1]} "
                f"({escape(path)!r}): name videos so that they differ; by a pattern, let the group reach as far as what tells "
                "them apart"
            )

    def _finds(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern is found in the path of any file."""
        found = False
        for file in self.files:
            self._search.path = file.path
            found = pattern.search(file.path) is not None
            if found:
                break
        self._search.path = None
        return found

    def _made(self, labels: Labels, how: _How, video: bool) -> dict[str, Any]:
        # The digest of a row covers all that stands here: where no video is named it is what it was.
        named = {"video": labels.video} if labels.video and not video else {}
        return named | {
            "dataset": self._dataset,
            "kind": "video" if video else "image",
            "frame_n": self._frames if video else None,
            "subject": labels.subject,
            "label": labels.label,
            "attack_type": labels.attack_type,
            "device": labels.device,
            "domain": labels.domain,
            "split": labels.split,
            "licence": labels.licence or self._licence,
            "attack_family": labels.attack_family,
            "attack_raw": labels.attack_raw,
            "session": labels.session,
            "lighting": labels.lighting,
            "subject_is_pseudo": labels.subject_is_pseudo,
            "adapter": how.adapter,
            "container": how.container,
            "marks_format": how.marks_format,
        }
