"""Reading one committed unit: its rows, and any row's images, files and arrays."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.images import RGB, decode_image
from fasgen.manifests.parquet import read_table
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import UnitFacts, group_path, manifest_path, member_key, unit_facts
from fasgen.records import Scalar


class UnitReader:
    """A committed unit, opened. Tar and arrays are opened when first asked for and stay open; reads are thread-safe.

    Args:
        folder: the stage's folder.
        unit: number of the unit.
        tar: name of the unit's tar, formatted with ``unit``.

    Attributes:
        rows: all manifest rows, by (row, variant).
        facts: the unit-level facts.

    Raises:
        StoreError: if the unit is not committed or its manifest is damaged.
    """

    def __init__(self, folder: Path, unit: int, tar: str = "{unit:05d}.tar") -> None:
        self._folder, self._unit = folder, unit
        self._tar_path = folder / tar.format(unit=unit)
        self.facts: UnitFacts = unit_facts(folder, unit)
        self.rows: list[dict[str, Scalar]] = read_table(manifest_path(folder, unit)).to_pylist()
        self._places: dict[tuple[Scalar, Scalar], dict[str, Scalar]] = {(row["row"], row["variant"]): row for row in self.rows}
        self._tar: TarReader | None = None
        self._names: dict[str, list[str]] = {}
        self._arrays: dict[str, ArrayReader] = {}
        self._hashed: dict[tuple[int, int, str], NDArray[Any]] = {}

    def _ok(self, row: int, variant: int) -> dict[str, Scalar]:
        found = self._places.get((row, variant))
        if found is None or found["array_index"] is None:
            what = "is not in it" if found is None else f"has no product ({found['status']}: {found['reason']})"
            raise StoreError(f"{manifest_path(self._folder, self._unit)}: row {row}, variant {variant} {what}")
        return found

    def _opened_tar(self) -> TarReader:
        if self._tar is None:
            self._tar = TarReader(self._tar_path)
            for name in self._tar.members:
                self._names.setdefault(name.partition(".")[0], []).append(name)
        return self._tar

    def row(self, row: int, variant: int = 0) -> dict[str, Scalar] | None:
        """A manifest row, whatever became of it; ``None`` if it was never planned."""
        return self._places.get((row, variant))

    def file(self, row: int, extension: str, variant: int = 0) -> bytes:
        """The stored bytes of the row's member ``<key>.<extension>``.

        Raises:
            StoreError: if the row has no product or no such member.
        """
        found = self._ok(row, variant)
        return self._opened_tar().read(f"{member_key(str(found['sample_id']), variant)}.{extension}")

    def members(self, row: int, variant: int = 0) -> list[str]:
        """Extensions of the row's members, in the order of the file.

        Raises:
            StoreError: if the row has no product.
        """
        found = self._ok(row, variant)
        if self.facts.tar is None:
            return []
        self._opened_tar()
        return [name.partition(".")[2] for name in self._names.get(member_key(str(found["sample_id"]), variant), ())]

    def check(self, row: int, variant: int = 0) -> None:
        """Compare all that a row has in tar and arrays with the digest that was committed.

        Its arrays are kept, so that whoever reads them next need not decode them again.

        Raises:
            StoreError: it has other bytes, or none can be read.
        """
        found = self._ok(row, variant)
        digest = hashlib.sha256()
        for extension in self.members(row, variant):
            digest.update(self.file(row, extension, variant))
        self._hashed.clear()
        for field in self.facts.arrays:
            if self.has_array(row, field, variant):
                array = self.array(row, field, variant)
                digest.update(array.data)
                self._hashed[row, variant, field] = array
        if digest.hexdigest() != found["payload_digest"]:
            raise StoreError(
                f"{manifest_path(self._folder, self._unit)}: row {row}, variant {variant} has other bytes in tar and arrays "
                "than were committed: run `fasgen verify`"
            )

    def encoded(self, row: int, field: str, variant: int = 0) -> bytes:
        """The stored PNG of an image field, as it is."""
        return self.file(row, f"{field}.png", variant)

    def image(self, row: int, field: str, variant: int = 0) -> RGB:
        """An image field, decoded: H x W x 3 uint8 RGB, the very pixels that were written."""
        where = f"{self._tar_path}: row {row}, image {field!r}"
        return decode_image(self.encoded(row, field, variant), where)

    def array(self, row: int, field: str, variant: int = 0) -> NDArray[Any]:
        """An array field of a row.

        Raises:
            StoreError: if the row has no product or not that field.
        """
        hashed = self._hashed.pop((row, variant, field), None)
        if hashed is not None:
            return hashed
        index = self._ok(row, variant)["array_index"]
        if field not in self.facts.arrays:
            raise StoreError(
                f"{group_path(self._folder, self._unit)}: no array {field!r}, only {', '.join(self.facts.arrays) or 'none'}"
            )
        return self._opened_array(field).read(int(str(index)))

    def has_array(self, row: int, field: str, variant: int = 0) -> bool:
        """Whether a row with a product has an array field."""
        index = self._ok(row, variant)["array_index"]
        return field in self.facts.arrays and self._opened_array(field).has(int(str(index)))

    def _opened_array(self, field: str) -> ArrayReader:
        if field not in self._arrays:
            self._arrays[field] = ArrayReader(group_path(self._folder, self._unit) / field)
        return self._arrays[field]

    def close(self) -> None:
        """Close what was opened."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None
        for reader in self._arrays.values():
            reader.close()
        self._arrays.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
