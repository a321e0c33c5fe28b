"""From the members of a sample to tensors."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.json_reader import parse_json
from fasgen.reader.augment import resize
from fasgen.reader.face import face_mask
from fasgen.reader.tar import RawSample, ShardError
from fasgen.seeds import sample_seed

CueScale = Literal["standardised", "signed", "levels"]

LEVELS = 127.5
"""The number that stands for 1 in a cue of 8-bit levels, which a cue is taken for whose JSON names none."""
Augment = Callable[[Mapping[str, torch.Tensor], torch.Generator], dict[str, torch.Tensor]]

UNKNOWN = -1

_BEFORE = "fasgen/1"

FACE = "face"
"""The field in which the mask of the face is."""

Mask = Literal["none", "field", "cues", "all"]

_MOST = 1 << 28
"""Bytes that a packed cue may hold: a picture of 6,600 x 6,600 px. More is a bomb."""


class FasSample(TypedDict, total=False):
    """One sample as trainers get it; cues, further images and arrays stand under their own names.

    A cue is (C, H, W) float32, scaled as asked.

    Attributes:
        image: (3, H, W) float32 in [-1, 1], RGB.
        label: 1 live, 0 spoof, -1 unknown.
        meta: the sample's JSON and, under ``shard``, where it came from.
    """

    image: torch.Tensor
    label: int
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What stays the same of a sample however often it is drawn: everything before augmentation.

    Attributes:
        key: the sample's id.
        moved: image, cues and further images, resized; (C, H, W) float32, cues as stored.
        rest: further arrays.
        meta: the sample's JSON, with ``shard`` added.
    """

    key: str
    moved: Mapping[str, torch.Tensor]
    rest: Mapping[str, torch.Tensor]
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SampleDecoder:
    """Decodes, selects, augments and scales.

    Attributes:
        cues: names of cues: members ``<name>.npy`` or ``<name>.npy.gz``, H x W x C. What is not named is not decoded; None
            decodes every cue that the sample's JSON lists.
        images: names of further images: members ``<name>.png``.
        arrays: names of further arrays: members ``<name>.npy``, handed on as they are, never moved.
        cue_scale: ``standardised``: per image over all channels and pixels, minus mean, over standard deviation + 1e-8, which
            is AG-FAS's recipe and removes magnitude. ``signed``: on the scale of images in [-1, 1], over the number that stands
            for 1, which the sample's JSON tells. ``levels``: as stored. One for all cues, or a mapping by name, in which a cue
            that is not named is standardised.
        size: height and width to which images and cues are resized; None keeps them.
        augment: joint augmentation, after resizing and before scaling.
        select: JSON key to allowed values; other samples are passed over.
        seed: seed of the augmentation; with the epoch and the sample's id it fixes what is drawn.
        mask: where the face is (`face_mask`): ``field`` adds it as ``face``, (1, H, W) in [0, 1], moved with the image;
            ``cues`` also makes cues 0 outside of it, before they are scaled, and ``all`` the image, the middle of its range.
    """

    cues: tuple[str, ...] | None = None
    images: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    cue_scale: CueScale | Mapping[str, CueScale] = "standardised"
    size: tuple[int, int] | None = None
    augment: Augment | None = None
    select: Mapping[str, Collection[Any]] | None = None
    seed: int = 0
    mask: Mask = "none"

    def __call__(self, raw: RawSample, epoch: int = 0) -> FasSample | None:
        """Decode one sample, or None if it is not selected.

        Raises:
            ShardError: a member is missing or damaged; names shard, sample and member.
        """
        decoded = self.decode(raw)
        return None if decoded is None else self.finish(decoded, epoch)

    def decode(self, raw: RawSample) -> Decoded | None:
        """All that costs time and does not change from epoch to epoch, or None if the sample is not selected.

        Raises:
            ShardError: a member is missing or damaged; names shard, sample and member.
        """
        meta = self.meta(raw)
        if self.select and any(meta.get(key) not in allowed for key, allowed in self.select.items()):
            return None
        moved = {name: _image(raw, f"{name}.png" if name else "png") for name in ("", *self.images)}
        moved = {name or "image": image for name, image in moved.items()}
        moved |= {name: _planes(raw, name) for name in self._named(meta, raw)}
        if self.mask != "none":
            moved[FACE] = face_mask(meta, *moved["image"].shape[-2:])
        if self.size is not None:
            moved = {name: resize(x, self.size) for name, x in moved.items()}
        return Decoded(raw.key, moved, {name: torch.from_numpy(_array(raw, name).copy()) for name in self.arrays}, meta)

    def finish(self, decoded: Decoded, epoch: int = 0) -> FasSample:
        """Augment and scale; ``decoded`` is not changed, but what is neither moved nor scaled is handed on without a copy."""
        moved = dict(decoded.moved)
        if self.augment is not None:
            generator = torch.Generator().manual_seed(sample_seed(self.seed, "reader.augment", decoded.key, epoch))
            moved = self.augment(moved, generator)
        if self.mask in ("cues", "all"):
            masked = (*self._named(decoded.meta), *(("image", *self.images) if self.mask == "all" else ()))
            moved |= {name: moved[name] * moved[FACE] for name in masked}
        for name in self._named(decoded.meta):
            scale = self.cue_scale if isinstance(self.cue_scale, str) else self.cue_scale.get(name, "standardised")
            moved[name] = scale_cue(moved[name], scale, _one(decoded.meta, name))
        label = decoded.meta.get("label_index")
        sample = {**moved, **decoded.rest, "label": UNKNOWN if label is None else int(label), "meta": decoded.meta}
        return cast(FasSample, sample)  # names of further fields are the caller's, which a TypedDict cannot list

    def _named(self, meta: Mapping[str, Any], raw: RawSample | None = None) -> Iterable[str]:
        """The cues of a sample that are decoded.

        Raises:
            ShardError: the sample is of a format in which cues had other names.
        """
        if raw is not None and self.cues != () and meta.get("format") == _BEFORE:
            raise ShardError("was packed when the residual was called cue: pack it again (fasgen run)", raw.shard, raw.key)
        told = meta.get("cues")
        return self.cues if self.cues is not None else tuple(told) if isinstance(told, Mapping) else ()

    @staticmethod
    def meta(raw: RawSample) -> dict[str, Any]:
        """The sample's JSON, with ``shard`` added; what is not known is None, and ``synthesis`` of a photograph as well.

        Raises:
            ShardError: it is missing or no JSON object.
        """
        try:
            content = parse_json(_member(raw, "json"))
            return {**_known(content), "shard": raw.shard}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ShardError(f"member json cannot be decoded: {error}", raw.shard, raw.key) from None


_TYPED = "fasgen/3"
"""The format in which every key of a sample's JSON keeps its type: words, numbers and lists stand in for what is not known."""


def _known(content: Any) -> Any:
    """A sample's JSON with None for what is not known."""
    if not isinstance(content, dict) or content.get("format") != _TYPED:
        return content
    out = {key: _or_none(value) for key, value in content.items()}
    for section in ("geometry", "quality", "synthesis"):
        out[section] = {key: _or_none(value) for key, value in content[section].items()}
    parameters = out["synthesis"]["simulation_parameters"]
    out["synthesis"]["simulation_parameters"] = parse_json(parameters) if parameters else None
    out["synthesis"] = out["synthesis"] if content["synthetic"] else None
    return out


def _or_none(value: Any) -> Any:
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    # A measure may be -1.0, which is another thing than a whole number of -1.
    unknown = one in ("", -9999.0) or (one == -1 and isinstance(one, int))
    return None if unknown else value


def scale_cue(levels: torch.Tensor, scale: CueScale, one: float = LEVELS) -> torch.Tensor:
    """Scale a cue (C, H, W); see ``SampleDecoder.cue_scale``.

    The standard deviation is the population's.

    Args:
        levels: the cue as stored.
        scale: how.
        one: the stored number that stands for 1.
    """
    if scale == "levels":
        return levels
    if scale == "signed":
        return levels / one
    # OpenCV sums in float64, ten times faster than torch: a flat cue becomes zeros, not rounding noise blown up by 1e8.
    mean, std = cv2.meanStdDev(levels.contiguous().view(-1, levels.shape[-1]).numpy())
    # As stored rather than on the scale of images, so the 1e-8 of the recipe grows by the same factor.
    return (levels - float(mean[0, 0])).div_(float(std[0, 0]) + one / 1e8)


def _one(meta: Mapping[str, Any], cue: str) -> float:
    """The stored number that stands for 1, as the sample's JSON tells it; that of 8-bit levels where it says nothing."""
    told = meta.get("cues")
    entry = told.get(cue) if isinstance(told, Mapping) else None
    one = entry.get("one") if isinstance(entry, Mapping) else None
    return float(one) if isinstance(one, int | float) and one > 0 else LEVELS


def _member(raw: RawSample, extension: str) -> bytes:
    try:
        return raw.files[extension]
    except KeyError:
        there = ", ".join(raw.files) or "none"
        raise ShardError(f"member {extension} is missing; there are: {there}", raw.shard, raw.key) from None


def _image(raw: RawSample, extension: str) -> torch.Tensor:
    data = _member(raw, extension)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # raised, instead of returning nothing, for no bytes and for absurd sizes
        bgr = None
    if bgr is None:
        raise ShardError(f"member {extension} cannot be decoded as an image ({len(data)} bytes)", raw.shard, raw.key)
    rgb = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    return rgb.permute(2, 0, 1).contiguous().to(torch.float32).div_(127.5).sub_(1.0)


def _planes(raw: RawSample, name: str) -> torch.Tensor:
    array = _array(raw, name)
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ShardError(f"cue {name} is {array.dtype} {array.shape}, H x W x C numbers are needed", raw.shard, raw.key)
    return torch.from_numpy(array).permute(2, 0, 1).contiguous().to(torch.float32)


def _array(raw: RawSample, name: str) -> NDArray[Any]:
    plain = f"{name}.npy" in raw.files or f"{name}.npy.gz" not in raw.files
    data = _member(raw, f"{name}.npy" if plain else f"{name}.npy.gz")
    try:
        out: NDArray[Any] = np.load(io.BytesIO(data if plain else _inflated(data)), allow_pickle=False)
    except Exception as error:  # NumPy reads a header as Python source and lets through whatever that raises
        raise ShardError(f"member {name}.npy cannot be decoded: {error}", raw.shard, raw.key) from None
    return out


def _inflated(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        out = stream.read(_MOST + 1)
    if len(out) > _MOST:
        raise ValueError(f"it holds more than {_MOST} bytes")
    return out
