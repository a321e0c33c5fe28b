"""Words that folders and tables use for live and spoof, for splits, and for what is not known."""

from __future__ import annotations

LABELS = {
    **dict.fromkeys(("live", "real", "genuine", "bonafide", "bona_fide", "bona-fide", "bona fide"), "live"),
    **dict.fromkeys(("spoof", "attack", "fake"), "spoof"),
    "unknown": "unknown",
}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
MISSING = frozenset(
    {"", "nan", "na", "n/a", "n.a.", "<na>", "#n/a", "#na", "-nan", "nat", "none", "null", "nil", "undefined", "missing"}
    | {"empty", "unknown", "-", "--", "---", "?", "(null)", "(none)", "(empty)", "<null>", "<none>"}
)
"""What programs and people write where they know nothing, in lower case."""


def reads_as_missing(text: str) -> bool:
    """Whether a text is a word for what is not known, so that it can be nobody's name."""
    return len(text) <= 9 and text.strip().lower() in MISSING
