"""Lists a source: one row per still and per requested frame of a video, without opening a single file."""

# ruff: noqa: SIM905 (lists of extensions read better as words)

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import translate
from pathlib import Path
from typing import Literal, NamedTuple, overload

from fasgen.errors import SourceError
from fasgen.records import Scalar
from fasgen.sources.config import GENERIC, SourceConfig
from fasgen.sources.failure import SampleError
from fasgen.sources.labels import Labeller, Labels
from fasgen.sources.paths import escape, sample_id

VIDEO_EXTENSIONS = frozenset("mp4 m4v mov qt avi mkv webm mpg mpeg m2v ts mts m2ts flv wmv asf 3gp 3g2 ogv vob".split())
OTHER_EXTENSIONS = frozenset(
    "txt csv tsv json jsonl ndjson md rst html htm xml yaml yml toml ini cfg conf log lst list face pdf doc docx odt xls xlsx "
    "ods ppt pptx zip tar gz tgz bz2 xz zst 7z rar parquet arrow feather npy npz h5 hdf5 mat pkl pickle pt pth ckpt onnx "
    "safetensors lz4 db sqlite sqlite3 py ipynb sh bat m c h cpp js css exe dll so wav mp3 m4a flac aac srt vtt md5 sha1 "
    "sha256 bib tex lock part tmp".split()
)
"""Extensions (lower case) of files that are listed as skipped, not as rows."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One planned sample.

    Attributes:
        sample_id: 16 hex digits over data set, path and frame number.
        dataset: the source's name.
        path: relative path, escaped losslessly (`fasgen.sources.paths.unescape` gives it back).
        size: bytes on disk when listed; 0 where that could not be found out.
        kind: ``image`` or ``video``, by extension.
        frame_k: number of the requested frame, 0 to ``frame_n - 1``; None for a still.
        frame_n: frames requested of this video; None for a still.
        subject: subject key, prefixed by the data set.
        label: ``live``, ``spoof`` or ``unknown``.
        attack_type: presentation attack instrument; None for live.
        device: capture device.
        domain: ``dataset|device|attack type``; ``?`` where the device is unknown, the label where there is no attack type.
        split: ``train``, ``dev``, ``test`` or None.
        licence: licence tag.
        attack_family: family of attacks over all data sets, as `fasgen.sources.adapters.table.Family` lists them.
        attack_raw: the attack as the data set spells or numbers it.
        session: recording session.
        lighting: lighting.
        subject_is_pseudo: whether the subject stands for a clip or picture because the data set does not tell people.
        adapter: what read the data set: an adapter's name, whatever the source is called.
        container: how the pixels are held, for `fasgen.sources.contained`; None for a file of its own.
        marks: relative path, escaped, of shipped boxes or eye positions; None without.
        marks_format: how that file is to be read, for `fasgen.sources.marks`.
    """

    sample_id: str
    dataset: str
    path: str
    size: int
    kind: Literal["image", "video"]
    frame_k: int | None
    frame_n: int | None
    subject: str | None
    label: str
    attack_type: str | None
    device: str | None
    domain: str
    split: str | None
    licence: str
    attack_family: str | None = None
    attack_raw: str | None = None
    session: str | None = None
    lighting: str | None = None
    subject_is_pseudo: bool = False
    adapter: str | None = None
    container: str | None = None
    marks: str | None = None
    marks_format: str | None = None

    def as_dict(self) -> dict[str, Scalar]:
        """The row as a plain dict, in column order."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(field.name for field in fields(SourceRow))


@dataclass(frozen=True)
class Scan(Sequence[SourceRow]):
    """The rows of a source, in order of path bytes and frame number, and what was left out.

    Attributes:
        rows: the planned samples.
        skipped: why files are no rows, with counts: ``hidden``, ``not media: .txt``, ``excluded``, ``not in the table``,
            ``not a regular file``, ``symbolic link``.
        missing: escaped paths that the table lists and the disk does not have; each is a row all the same.
        unlisted: files on disk that the table does not list (0 without a table).
        unmatched: files that neither a pattern nor the table said anything of, so that only defaults apply.
        unknown: escaped paths of files that the adapter knows nothing of, and why; none of them is a row.
        notes: what a user should know of the data set's own lists and boxes.
    """

    rows: tuple[SourceRow, ...]
    skipped: dict[str, int]
    missing: tuple[str, ...] = ()
    unlisted: int = 0
    unmatched: int = 0
    unknown: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SourceRow, ...]: ...
    def __getitem__(self, index: int | slice) -> SourceRow | tuple[SourceRow, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)


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
    if config.adapter == "webdataset":
        return _scan_tars(config)
    if config.adapter not in GENERIC:
        return _scan_data_set(config)
    labeller = Labeller(config)
    skipped: Counter[str] = Counter()
    selection = _Selection(_globs(config.include), _globs(config.exclude))
    files: dict[str, int] = {}
    unlisted = 0
    for path, size in _walk(config.path, config.follow_symlinks, skipped):
        if why := selection.against(path):
            skipped[why] += 1
            continue
        if config.table and path not in labeller.table:
            unlisted += 1
            if config.table_only:
                skipped["not in the table"] += 1
                continue
        files[path] = size
    missing = [path for path in labeller.table if path not in files and not selection.against(path)]
    if labeller.table and len(missing) == len(labeller.table):
        raise SourceError(
            f"source {config.name}: none of the {len(missing)} paths in {config.table} is a file below {config.path} "
            f"(the first is {escape(missing[0])!r}); write them relative to that folder, with extension"
        )
    files.update(dict.fromkeys(missing, 0))
    if not files:
        left_out = ", ".join(f"{count} {why}" for why, count in sorted(skipped.items())) or "the folder is empty"
        raise SourceError(f"source {config.name}: no image or video below {config.path} ({left_out})")
    rows = [row for path in sorted(files, key=os.fsencode) for row in _rows(config, path, files[path], labeller(path))]
    return Scan(tuple(rows), dict(sorted(skipped.items())), tuple(sorted(map(escape, missing))), unlisted, labeller.unmatched)


def _scan_data_set(config: SourceConfig) -> Scan:
    """List a data set by its adapter's table."""
    from fasgen.sources.adapters import open_table
    from fasgen.sources.adapters.listing import ingest

    table = open_table(config.adapter)
    skipped: Counter[str] = Counter()
    selection = _Selection(_globs(config.include), _globs(config.exclude))
    paths: dict[str, int] = {}
    excluded = set()
    for path, size in _walk(config.path, config.follow_symlinks, skipped):
        paths[path] = size
        if not selection.includes(path):
            excluded.add(path)
    licence = config.licence if "licence" in config.model_fields_set else None
    found = ingest(table, config.name, config.path, paths, licence)
    rows: list[SourceRow] = []
    for path in sorted(found.files, key=os.fsencode):
        if path in excluded:
            skipped["excluded"] += 1
            continue
        known, size = found.files[path]
        how = _How(table.name, known.rule.kind, known.rule.container, *(known.marks or (None, None)))
        rows += _rows(config, path, size, known.labels, how)
    if not rows:
        raise SourceError(f"source {config.name}: include and exclude leave nothing of {len(found.files)} files")
    skipped.update(found.left_out)
    unknown = {escape(path): why for path, why in sorted(found.unknown.items()) if path not in excluded}
    return Scan(tuple(rows), dict(sorted(skipped.items())), unknown=unknown, notes=tuple(found.notes))


def _scan_tars(config: SourceConfig) -> Scan:
    """List the samples inside the tars of a WebDataset; their JSON members say what a table would."""
    from fasgen.sources.contained.tar import list_samples

    labeller = Labeller(config)
    skipped: Counter[str] = Counter()
    selection = _Selection(_globs(config.include), _globs(config.exclude))
    rows: list[SourceRow] = []
    unknown: dict[str, str] = {}
    how = _How("webdataset", None, "tar")
    tars = 0
    for tar, _ in sorted(_walk(config.path, config.follow_symlinks, skipped)):
        if _extension(tar) != "tar":
            unknown[escape(tar)] = "not a .tar (compressed ones cannot be read from the middle: unpack them with gunzip)"
            continue
        tars += 1
        try:
            samples = list_samples(config.path / tar)
        except SampleError as error:
            unknown[escape(tar)] = str(error)
            continue
        for member, (size, said) in samples.members.items():
            path = f"{tar}/{member}"
            if _extension(member) in OTHER_EXTENSIONS or _extension(member) == "cls":
                skipped[f"not media: .{_extension(member)}"] += 1
            elif not selection.includes(path):
                skipped["excluded"] += 1
            else:
                labeller.table[path] = said
                rows += _rows(config, path, size, labeller(path), how)
    if not rows:
        raise SourceError(
            f"source {config.name}: no picture in {tars} tars below {config.path}; a WebDataset is a folder of .tar files"
        )
    return Scan(tuple(rows), dict(sorted(skipped.items())), unmatched=labeller.unmatched, unknown=unknown)


class _How(NamedTuple):
    """How the pixels of a row are read, beyond its path."""

    adapter: str | None = None
    kind: Literal["image", "video"] | None = None
    container: str | None = None
    marks: str | None = None
    marks_format: str | None = None


def _rows(config: SourceConfig, path: str, size: int, labels: Labels, how: _How | None = None) -> Iterator[SourceRow]:
    how = how or _How(str(config.adapter))
    video = _extension(path) in VIDEO_EXTENSIONS if how.kind is None else how.kind == "video"
    text = escape(path)
    for k in range(config.frames.rows) if video else (None,):
        yield SourceRow(
            sample_id=sample_id(config.name, text, k),
            dataset=config.name,
            path=text,
            size=size,
            kind="video" if video else "image",
            frame_k=k,
            frame_n=config.frames.rows if video else None,
            subject=labels.subject,
            label=labels.label,
            attack_type=labels.attack_type,
            device=labels.device,
            domain=labels.domain,
            split=labels.split,
            licence=labels.licence or config.licence,
            attack_family=labels.attack_family,
            attack_raw=labels.attack_raw,
            session=labels.session,
            lighting=labels.lighting,
            subject_is_pseudo=labels.subject_is_pseudo,
            adapter=how.adapter,
            container=how.container,
            marks=escape(how.marks) if how.marks else None,
            marks_format=how.marks_format,
        )


@dataclass(frozen=True, slots=True)
class _Selection:
    include: re.Pattern[str] | None
    exclude: re.Pattern[str] | None

    def against(self, path: str) -> str | None:
        """Why a path is left out, or None."""
        extension = _extension(path)
        if extension in OTHER_EXTENSIONS:
            return f"not media: .{extension}"
        return None if self.includes(path) else "excluded"

    def includes(self, path: str) -> bool:
        """Whether the globs keep a path."""
        return not ((self.include and not self.include.match(path)) or (self.exclude and self.exclude.match(path)))


def _globs(globs: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{translate(glob)})" for glob in globs)) if globs else None


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name.lstrip(".") else ""


def _walk(root: Path, follow: bool, skipped: Counter[str]) -> Iterator[tuple[str, int]]:
    """Yield (relative path, size) of every file that may be media, in no particular order."""
    top = root.stat()
    # Each pending folder carries the identities of the folders above it: a link back to one of them would never end.
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(os.fspath(root), "", frozenset({(top.st_dev, top.st_ino)}))]
    while pending:
        folder, prefix, above = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if not prefix:
                raise SourceError(f"the folder {folder} cannot be listed: {error.strerror}; check its permissions") from error
            yield prefix[:-1], 0
            continue
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                skipped["hidden"] += 1
                continue
            if not follow and entry.is_symlink():
                skipped["symbolic link"] += 1
                continue
            try:
                found = entry.stat()
            except OSError:
                yield path, 0
                continue
            if stat.S_ISDIR(found.st_mode):
                identity = (found.st_dev, found.st_ino)
                if identity in above:
                    yield path, 0
                else:
                    pending.append((entry.path, path + "/", above | {identity}))
            elif stat.S_ISREG(found.st_mode):
                yield path, found.st_size
            else:
                skipped["not a regular file"] += 1
