"""The vocabulary that stages, manifests, sources and pipeline share: columns, reasons, statuses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ArrowKind = Literal["string", "bool", "int32", "int64", "uint64", "float32", "float64", "list<string>", "list<float32>"]
Scalar = str | bool | int | float | None | list[str] | list[float]
Higher = Literal["", "live", "spoof", "better", "worse"]
"""What a higher value of a column tells: that a face is more like a live one, or like a spoof; or that the picture is better or
worse. Empty: the column is no score."""


@dataclass(frozen=True, slots=True)
class Column:
    """One typed manifest column.

    Attributes:
        name: column name, snake_case.
        kind: Arrow type, by name.
        doc: what it holds, in one line.
        unit: physical unit or range, for example ``px``, ``degrees`` or ``[0, 1]``; empty for labels.
        higher: of a score, what a higher value tells; empty where the column is none.
    """

    name: str
    kind: ArrowKind
    doc: str
    unit: str = ""
    higher: Higher = ""


class Status(StrEnum):
    """What became of a planned row. ``planned = ok + filtered + failed``, always."""

    OK = "ok"
    FILTERED = "filtered"
    FAILED = "failed"


class Reason(StrEnum):
    """The closed list of reasons for which a planned row has no product."""

    UNREADABLE = "unreadable"
    EMPTY_FILE = "empty_file"
    NOT_MEDIA = "not_media"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    VIDEO_TOO_SHORT = "video_too_short"
    NO_FACE = "no_face"
    LOW_SCORE = "low_score"
    FACE_TOO_SMALL = "face_too_small"
    POSE = "pose"
    BLURRED = "blurred"
    QUALITY = "quality"
    IDENTITY_LOST = "identity_lost"
    NO_CUE = "no_cue"
    NOT_SELECTED = "not_selected"
    LABEL = "label"
    LICENCE = "licence"
    RETRACTED = "retracted"
    GONE = "gone"
    NO_STYLE = "no_style"
    UNKNOWN_STYLE = "unknown_style"
    GUIDE = "guide"
    STYLE_LOST = "style_lost"
    NEAR_COPY = "near_copy"
    DUPLICATE = "duplicate"
    UNCHANGED = "unchanged"
    NOT_FINITE = "not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    WORKER_DIED = "worker_died"
    STAGE_ERROR = "stage_error"

    @property
    def status(self) -> Status:
        """``filtered`` where a setting turned the sample away, ``failed`` where something broke."""
        return Status.FILTERED if self in _FILTERS else Status.FAILED


_FILTERS = frozenset(
    {
        Reason.TOO_SMALL,
        Reason.VIDEO_TOO_SHORT,
        Reason.NO_FACE,
        Reason.LOW_SCORE,
        Reason.FACE_TOO_SMALL,
        Reason.POSE,
        Reason.BLURRED,
        Reason.QUALITY,
        Reason.IDENTITY_LOST,
        Reason.NO_CUE,
        Reason.NOT_SELECTED,
        Reason.LABEL,
        Reason.LICENCE,
        Reason.RETRACTED,
        Reason.GONE,
        Reason.NO_STYLE,
        Reason.UNKNOWN_STYLE,
        Reason.GUIDE,
        Reason.STYLE_LOST,
        Reason.NEAR_COPY,
        Reason.DUPLICATE,
        Reason.UNCHANGED,
    }
)

PROVENANCE: tuple[Column, ...] = (
    Column("dataset", "string", "name of the source"),
    Column("path", "string", "path inside the source, undecodable bytes escaped"),
    Column("frame", "int32", "decoded index of the frame that was used; null for a still"),
    Column("frame_requested", "int32", "decoded index that was asked for; another than frame where no face was found in it"),
    Column("subject", "string", "subject key, prefixed by the data set; null where unknown"),
    Column("style_subject", "string", "subject whose spoof style was used; null for what was not synthesised"),
    Column("label", "string", "live, spoof or unknown"),
    Column("attack_type", "string", "presentation attack instrument; null for live"),
    Column("device", "string", "capture device; null where unknown"),
    Column("domain", "string", "data set | capture device | attack type: DiffFAS's style key"),
    Column("split", "string", "train, dev, test or null"),
    Column("licence", "string", "licence tag of the source, inherited by every product"),
    Column("attack_family", "string", "family of attacks over all data sets, such as print, replay, mask_rigid; null for live"),
    Column("attack_raw", "string", "the attack as the data set spells or numbers it; null for live"),
    Column("session", "string", "recording session; null where unknown"),
    Column("lighting", "string", "lighting; null where unknown"),
    Column("subject_is_pseudo", "bool", "whether the subject stands for a clip or picture: the data set does not tell people"),
    Column("shipped_box", "list<float32>", "the data set's own face box of this frame: x0, y0, x1, y1; null without", "px"),
    Column("shipped_eyes", "list<float32>", "the data set's own eye centres: left x, y, right x, y; null without", "px"),
    Column("video", "string", "video that a still is a frame of, unique in its source; null for other stills and video files"),
)
"""Columns that every row inherits from its source, unchanged through all one-to-one stages."""

LATER = frozenset({"video"})
"""Columns of provenance that a manifest or roster has only where one of its rows has a value: without one it has the bytes that
it had before there was such a column. Who asks for one always gets it, null where it is not written."""

PHOTOGRAPHED = "photographed"
"""The lane of what was photographed. Others are named after the stages that draw their samples from it."""

TRAINING_SPLITS: tuple[str | None, ...] = (None, "train")
"""Splits that are training material: what has none counts as such."""


def may_lend(guide: str | None, face: str | None) -> bool:
    """Whether a picture of split ``guide`` may lend its style to a face of split ``face``; ``dev`` and ``test`` are apart."""
    return guide == face or (guide in TRAINING_SPLITS and face in TRAINING_SPLITS)


MADE_BY = ("seed", "plan_hash", "weights")
"""Columns of every manifest that say what made a row. Its plan hash covers all stages above it."""
