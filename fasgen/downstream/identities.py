"""Identities joined to packed samples by sample id, so that every source has subjects for DLIF and for protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fasgen.errors import ConfigError, SourceError
from fasgen.reader import SampleTable

_COLUMNS = ("sample_id", "identity")


class Identities:
    """Who the photographs show, as ``fasgen cluster`` found out.

    Args:
        of: identity by sample id of a photograph.
    """

    def __init__(self, of: Mapping[str, str]) -> None:
        self._of = of

    @staticmethod
    def read(path: Path) -> Identities:
        """Read a table with the columns sample_id and identity.

        Raises:
            SourceError: it cannot be read, lacks a column, or names a sample twice.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            names = pq.read_schema(path).names
            missing = [name for name in _COLUMNS if name not in names]
            columns = pq.read_table(path, columns=list(_COLUMNS)).to_pydict() if not missing else {}
        except (OSError, pa.ArrowException) as error:
            raise SourceError(
                f"{path}: cannot be read as a table of identities: {error}; `fasgen cluster` writes one"
            ) from None
        if missing:
            raise SourceError(f"{path}: has no column {missing[0]}; `fasgen cluster` writes sample_id and identity")
        of = dict(zip(columns["sample_id"], columns["identity"], strict=True))
        if len(of) != len(columns["sample_id"]):
            raise SourceError(f"{path}: names a sample twice; `fasgen cluster` writes each once")
        return Identities(of)

    def subject(self, meta: Mapping[str, Any]) -> str:
        """The subject that a sample's JSON names, else its identity; a synthetic sample has that of its live parent.

        Empty where neither is known.
        """
        if meta.get("subject") and not meta.get("subject_is_pseudo"):
            return str(meta["subject"])
        parents = (meta.get("synthesis") or {}).get("parent_ids") or ()
        own = parents[0] if meta.get("synthetic") and parents else meta.get("sample_id")
        return self._of.get(str(own)) or str(meta.get("subject") or "")

    def lender(self, meta: Mapping[str, Any]) -> str:
        """The subject whose style a synthetic sample has; where synth had to name the guide itself, the guide's identity."""
        name = str(meta.get("style_subject") or "")
        return self._of.get(name, name)

    def join(self, table: SampleTable, metas: Sequence[Mapping[str, Any]]) -> SampleTable:
        """``table`` with subjects where there were none.

        Args:
            table: of all samples.
            metas: their JSON, in the same order.

        Raises:
            ConfigError: the identities are of other samples.
        """
        subjects, lenders = np.empty(len(table), np.object_), np.empty(len(table), np.object_)
        subjects[:] = [self.subject(meta) for meta in metas]
        lenders[:] = [self.lender(meta) for meta in metas]
        lacking = sum(not meta.get("subject") for meta in metas)
        if lacking and not any(subject and not meta.get("subject") for subject, meta in zip(subjects, metas, strict=True)):
            raise ConfigError(
                f"data.identities: names none of the {lacking} samples that have no subject; take the table of the store that "
                f"these shards were packed from"
            )
        return replace(table, subject=subjects, style_subject=lenders)
