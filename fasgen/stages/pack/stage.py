"""Pack: the stored crop's bytes, the exact cues and the sample's record, as members of a WebDataset shard."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.marks import mark
from fasgen.records import Reason, Scalar
from fasgen.stages.pack.config import PackConfig
from fasgen.stages.pack.record import canonical, is_synthetic, record
from fasgen.stages.stage import RGB, Product, Reject, Sample, SampleCue

if TYPE_CHECKING:
    import torch

PNG_LEVEL = 1


class Pack:
    """Maps each accepted sample to the members of a shard. It alters no pixel and draws no number."""

    def __init__(self, config: PackConfig) -> None:
        self.config = config

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """Pack up to ``config.batch`` samples.

        Args:
            batch: samples with the PNG ``crop`` in ``files``, cues (H x W x C) in ``cues`` and ``embedding`` in ``arrays``.

        Returns:
            a product, or a reject where the configuration does not ship the sample's label or licence.

        Raises:
            ValueError: crop and a cue do not belong together; the message names the sample.
        """
        return [self._refusal(sample) or self._product(sample) for sample in batch]

    def _refusal(self, sample: Sample) -> Reject | None:
        label = sample.values.get("label") or "unknown"
        if label not in self.config.labels:
            return Reject(Reason.LABEL, f"label {label} is not among pack.labels ({', '.join(self.config.labels)})")
        licence = str(sample.values.get("licence") or "")
        # What was synthesised carries the licences of face and guide; each of them has to be allowed.
        if self.config.licences and not all(
            any(fnmatchcase(one, pattern) for pattern in self.config.licences) for one in licence.split(" + ")
        ):
            allowed = ", ".join(self.config.licences)
            return Reject(Reason.LICENCE, f"licence {licence or 'unknown'} matches none of pack.licences ({allowed})")
        return None

    def _product(self, sample: Sample) -> Product:
        png = sample.files["crop"]
        height, width = png_size(png, sample.sample_id)
        digest = hashlib.sha256(png).hexdigest()
        files, cue_bytes = {"png": png}, 0
        for name, one in sample.cues.items():
            if one.array.ndim != 3 or one.array.shape[:2] != (height, width):
                raise ValueError(
                    f"sample {sample.sample_id}: the cue {name} is {one.array.dtype} {one.array.shape}, "
                    f"the crop needs ({height}, {width}, channels)"
                )
            files[f"{name}.{self.config.cue_format}"] = data = self._encoded(one.array)
            cue_bytes += len(data)
            if self.config.reconstruction and one.cue.leaves:
                files[f"{one.cue.leaves}.png"] = _left(png, one)
        if self.config.embedding:
            files["embedding.npy"] = npy_bytes(np.asarray(sample.arrays["embedding"], np.float32))
        files["json"] = canonical(record(sample, (height, width), digest))
        values: dict[str, Scalar] = {
            "image_digest": digest,
            "image_width": width,
            "image_height": height,
            "image_bytes": len(png),
            "cue_bytes": cue_bytes,
            "cues": list(sample.cues),
            "synthetic": is_synthetic(sample),
        }
        return Product(files=files, values=values)

    def _encoded(self, cue: NDArray[Any]) -> bytes:
        data = npy_bytes(cue)
        return gzip.compress(data, self.config.gzip_level, mtime=0) if self.config.cue_format == "npy.gz" else data


def png_size(png: bytes, sample_id: str) -> tuple[int, int]:
    """Height and width that a PNG's header states.

    Raises:
        ValueError: these are not the bytes of a PNG.
    """
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR" or len(png) < 24:
        raise ValueError(f"sample {sample_id}: the stored crop is not a PNG")
    return int.from_bytes(png[20:24], "big"), int.from_bytes(png[16:20], "big")


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The bytes of an ``.npy`` file, little-endian whatever the machine."""
    stream = io.BytesIO()
    np.lib.format.write_array(
        stream, array.astype(array.dtype.newbyteorder("<"), copy=False), version=(1, 0), allow_pickle=False
    )
    return stream.getvalue()


def _left(png: bytes, one: SampleCue) -> bytes:
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("the stored crop cannot be decoded")
    image: RGB = bgr[:, :, ::-1].astype(np.uint8)
    made = image.astype(np.int16) - one.array
    if made.min() < 0 or made.max() > 255:
        raise ValueError(f"image - {one.cue.name} leaves the range 0 to 255: the cue was not made from this crop")
    done, encoded = cv2.imencode(".png", made[:, :, ::-1].astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise ValueError(f"the {one.cue.leaves} could not be encoded as PNG")
    return mark(bytes(encoded), "compositeWithTrainedAlgorithmicMedia")


def build(config: PackConfig, device: torch.device) -> Pack:
    """Build the stage; it runs on the CPU whatever ``device`` is."""
    return Pack(config)
