"""Which frames of a video become rows, by decoded index: the conventions of the field as one small table of settings.

Rows are planned without opening a file, so a policy says beforehand how many rows a video gets; which decoded index each
of them means may depend on how many frames decoding yields. The container's own count decides nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Policy = Literal["uniform", "ssdg", "every", "index", "all"]
Indices = tuple[int | None, ...]

_COUNTS = {"uniform": 10, "ssdg": 2, "index": 1}
_STARTS = {"ssdg": 6}
_STEPS = {"every": 8, "all": 1}
_USES = {
    "uniform": {"count"},
    "ssdg": {"count", "start"},
    "every": {"count", "start", "step"},
    "index": {"start"},
    "all": {"count", "start"},
}


class Sampling(BaseModel):
    """Frames of a video. A bare number k stands for ``{policy: uniform, count: k}``.

    ``uniform`` takes the middle of each of ``count`` equal parts (AG-FAS: 10). ``ssdg`` takes
    ``(start + k (n // count)) mod n`` of n frames: 6 and 6 + n // 2, as SSDG, FLIP and few-shot FAS test; they train on the
    first of the two alone, which is frame_k = 0. ``every`` takes each ``step``-th frame from ``start`` on (CelebA-Spoof's
    authors: each 8th of CASIA-FASD), ``index`` the one at ``start`` (LGSC tests 5; DiffFAS takes 0), ``all`` each one.

    Raises:
        ValueError: ``every`` or ``all`` without ``count``, or a setting that the policy does not have.

    Example:
        >>> Sampling.model_validate({"policy": "ssdg"}).indices(100)
        (6, 56)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Policy = Field(
        default="uniform",
        description="uniform: the middles of count equal parts; ssdg: start and start + n // count of n frames, modulo n; "
        "every: each step-th; index: the one at start; all: each one",
    )
    count: int | None = Field(
        default=None,
        ge=1,
        le=200_000,
        description="rows planned for a video; null: 10 for uniform, 2 for ssdg. every and all need it, as videos are not "
        "opened when they are listed: rows beyond a video's end become video_too_short, frames beyond the rows are not taken",
    )
    start: int | None = Field(
        default=None, ge=0, description="decoded index of the first frame; null: 6 for ssdg, 0 for every, index and all"
    )
    step: int | None = Field(default=None, ge=1, description="frames from one to the next of every; null: 8")
    nearest: int = Field(
        default=5,
        ge=0,
        le=100,
        description="where align finds no face in a frame: how many frames before and behind it are tried, the nearest first; "
        "0 tries none",
    )

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return {"policy": "uniform", "count": value} if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _fits(self) -> Sampling:
        for name in ("count", "start", "step"):
            if getattr(self, name) is not None and name not in _USES[self.policy]:
                raise ValueError(f"policy {self.policy} has no {name}; it takes {', '.join(sorted(_USES[self.policy]))}")
        if self.count is None and self.policy not in _COUNTS:
            raise ValueError(f"policy {self.policy} needs count, the most rows that a video may get")
        return self

    @property
    def rows(self) -> int:
        """Rows planned for a video."""
        return self.count or _COUNTS[self.policy]

    @property
    def is_fixed(self) -> bool:
        """Whether indices are known before the video has been decoded."""
        return self.policy in ("every", "index", "all")

    def fixed_index(self, k: int) -> int:
        """Decoded index of request ``k`` where ``is_fixed``; the video may end before it."""
        return (self.start or 0) + k * (self.step or _STEPS.get(self.policy, 1))

    def indices(self, n: int) -> Indices:
        """Decoded index of each request.

        Args:
            n: frames that decoding yields, at least 1.

        Returns:
            ``rows`` indices in [0, n); None where the video ends before it, or an earlier request has the index already.
        """
        if self.is_fixed:
            return tuple(index if (index := self.fixed_index(k)) < n else None for k in range(self.rows))
        if self.policy == "uniform":
            return uniform_indices(n, self.rows)
        start = _STARTS["ssdg"] if self.start is None else self.start
        return _once(tuple((start + k * (n // self.rows)) % n for k in range(self.rows)))


def uniform_indices(count: int, n: int) -> Indices:
    """Decoded indices of n frames, each in the middle of one of n equal parts of the video: floor((2k + 1) count / 2n).

    The first and last frames, often black or blurred, are taken only where parts are that short. A video of fewer than n
    frames gives each of its frames once; the requests in between are None.

    Args:
        count: decoded frames, at least 1.
        n: frames requested, at least 1.
    """
    return _once(tuple((2 * k + 1) * count // (2 * n) for k in range(n)))


def neighbours(indices: Indices, k: int, radius: int) -> tuple[int, ...]:
    """Decoded indices that may stand in for request ``k``, the nearest first, of two as near the earlier first.

    None of them is another request's index or nearer to another request (as near: the earlier one's), so that no two
    requests can come to use the same frame. The video may end before the last of them.
    """
    wanted = indices[k]
    if wanted is None:
        return ()
    others = [index for index in indices if index is not None and index != wanted]
    before = max((index for index in others if index < wanted), default=None)
    behind = min((index for index in others if index > wanted), default=None)
    low = 0 if before is None else (before + wanted) // 2 + 1
    high = wanted + radius if behind is None else (wanted + behind) // 2
    found = [index for gap in range(1, radius + 1) for index in (wanted - gap, wanted + gap)]
    return tuple(index for index in found if low <= index <= high)


def _once(indices: tuple[int, ...]) -> Indices:
    return tuple(None if index in indices[:k] else index for k, index in enumerate(indices))
