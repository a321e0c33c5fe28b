"""Croissant metadata of a delivery: which files there are, what their columns mean, and how pictures are found by them.

The format is MLCommons' Croissant 1.0: JSON-LD that data set loaders and search engines read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.manifests.parquet import read_table
from fasgen.manifests.unit import manifest_path
from fasgen.records import LATER

if TYPE_CHECKING:
    import pyarrow as pa

CROISSANT = "croissant.json"

_WORDS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes isLiveDataset jsonPath key "
    "md5 parentField path recordSet references regex repeated replace samplingRate separator source subField transform"
)

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{word: f"cr:{word}" for word in _WORDS.split()},
}
"""The context of the standard, whole: loaders say so where a word of it is missing."""

_ID = 16
"""Characters of a sample id; the members of variants have ``-N`` behind it."""

_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    **dict.fromkeys(("int32", "int64", "uint64"), "sc:Integer"),
    **dict.fromkeys(("float", "double"), "sc:Float"),
}
"""Croissant's types by Arrow's names."""


def encode_croissant(folder: Path, index: Mapping[str, Any]) -> bytes:
    """The bytes of ``croissant.json``, from what ``index.json`` holds and the columns of a manifest.

    Raises:
        StoreError: the manifest is damaged.
    """
    shards = index["shards"]
    columns = read_table(manifest_path(folder, shards[0]["unit"])).schema if shards else ()
    # What came later, not every manifest has.
    columns = [one for one in columns if one.name not in LATER]
    return (json.dumps(_described(index, columns), indent=1, sort_keys=True) + "\n").encode("ascii")


def _described(index: Mapping[str, Any], columns: list[pa.Field]) -> dict[str, Any]:
    total, shards = index["total"], index["shards"]
    licences = [name or "not stated" for name in total["counts"]["licence"]]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"fasgen-{index['stage']}-{str(index['plan_hash'])[:8]}",
        "description": f"Face anti-spoofing data: {total['samples']} aligned faces with labels, cues and provenance, "
        f"{total['synthetic']} of them synthetic. README.md beside this file is the data card.",
        **({"license": licences} if licences else {}),
        "keywords": ["face anti-spoofing", "presentation attack detection"],
        "distribution": [*map(_shard, shards), *(_files(index, shards) if shards else ())],
        "recordSet": list(_records(columns)) if shards else [],
    }


def _shard(shard: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard["name"],
        "name": shard["name"],
        "contentUrl": shard["name"],
        "contentSize": f"{shard['bytes']} B",
        "encodingFormat": "application/x-tar",
        "sha256": shard["sha256"],
    }


def _files(index: Mapping[str, Any], shards: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The manifests, and what lies inside of the shards."""

    def files(name: str, form: str, includes: str | list[str], doc: str, **where: Any) -> dict[str, Any]:
        about = {"name": name, "encodingFormat": form, "includes": includes, "description": doc}
        return {"@type": "cr:FileSet", "@id": name, **about, **where}

    inside = {"containedIn": [{"@id": shard["name"]} for shard in shards]}
    yield files(
        "manifests", "application/x-parquet", ["?????.parquet", "??????.parquet"], "a row for every sample that was planned"
    )
    # Whatever is made of an image has a further word in its name; loaders look at no `excludes`.
    key = "?" * _ID
    names = [f"{key}.png", *(f"{key}-{'?' * digits}.png" for digits in (1, 2, 3))]
    yield files("png", "image/png", names, "aligned faces, RGB, 8 bits", **inside)
    yield files("json", "application/json", "*.json", "what is known of each sample", **inside)
    for name, cue in index["cues"].items():
        yield files(f"cue-{name}", "application/octet-stream", f"*.{name}.npy*", f"NumPy arrays: {cue['doc']}", **inside)


def _records(columns: list[pa.Field]) -> Iterator[dict[str, Any]]:
    """Rows of the manifests; pictures and JSON by the key that the names of all members of a sample begin with.

    A reference between them would be carried out as a join, which the reference loader cannot do for files inside of tars. Nor
    does it read JSON there by its keys.
    """
    yield _record_set("samples", [f"samples/{name}" for name in ("sample_id", "variant")], list(map(_column, columns)))
    for name, files, kind, doc in (
        ("images", "png", "sc:ImageObject", "the aligned face"),
        ("records", "json", "sc:Text", "labels, geometry, quality, cues and synthesis: an object, the same keys in each"),
    ):
        found = {"fileProperty": "filename"}
        key = _field(f"{name}/key", "sc:Text", files, found, "`sample_id`, and `-variant` behind it where that is not 0")
        key["source"]["transform"] = {"regex": rf"^(?:.*/)?([^/.]+)\.{files}$"}
        content = _field(f"{name}/{'image' if files == 'png' else files}", kind, files, {"fileProperty": "content"}, doc)
        yield _record_set(name, [f"{name}/key"], [key, content])


def _record_set(name: str, keys: list[str], fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": [{"@id": key} for key in keys], "field": fields}


def _column(column: pa.Field) -> dict[str, Any]:
    told = {name.decode(): value.decode() for name, value in (column.metadata or {}).items()}
    doc = f"{told.get('doc', '')} [{told['unit']}]" if told.get("unit") else told.get("doc", "")
    many = str(column.type).startswith("list")
    kind = _TYPES[str(column.type.value_type if many else column.type)]
    field = _field(f"samples/{column.name}", kind, "manifests", {"column": column.name}, doc)
    return {**field, "repeated": True} if many else field


def _field(name: str, kind: str, files: str, extract: dict[str, str], doc: str) -> dict[str, Any]:
    source = {"fileSet": {"@id": files}, "extract": extract}
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind, "description": doc, "source": source}
