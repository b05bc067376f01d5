"""Croissant metadata (mlcommons.org/croissant/1.0) of the packed cells that a model was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from unstained.files import file_sha256
from unstained.publishing.people import People

if TYPE_CHECKING:
    import pyarrow as pa

    from unstained.data.store.cell_store import CellStore

TABLE: Final = "cells.parquet"
RECORDS: Final = "cells"

CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification prints, and its validator compares with."""


def metadata(store: CellStore, title: str, people: People) -> dict[str, Any]:
    """The description of a store, to lie beside its cells.parquet.

    Args:
        store: the packed cells.
        title: of the study.
        people: who made it, and who may use it.

    Returns:
        JSON-LD: cells.parquet with a record a cell, the blocks of pixels as a set of files.
    """
    simulated = "simulated " if store.manifest["source"] == "simulator" else ""
    told: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"unstained-{store.study}",
        "description": (
            f"{title}: {len(store):,} {simulated}cells, channels {', '.join(store.axes.channels)}, "
            f"{store.dtype.name}, as packed by unstained (digest {store.digest})."
        ),
        "version": "1.0.0",
        "creator": [{"@type": "sc:Person", "name": name} for name in people.authors],
        "license": people.licence,
        "citeAs": "; ".join(text for text, _ in people.cited),
        "distribution": [
            _file("manifest.json", "application/json", store),
            _file(TABLE, "application/x-parquet", store),
            {
                "@type": "cr:FileSet",
                "@id": "blocks",
                "name": "blocks",
                "description": "Pixels: zarr arrays; column `block` of a cell names its array.",
                "encodingFormat": "application/octet-stream",
                "includes": "blocks/**",
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": RECORDS,
                "name": RECORDS,
                "description": "A record a cell.",
                "key": {"@id": f"{RECORDS}/cell_id"},
                "field": [_field(column) for column in store.schema],
            }
        ],
    }
    return {name: value for name, value in told.items() if value not in (None, [], "")}


def _file(name: str, encoding: str, store: CellStore) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": encoding,
        "sha256": file_sha256(store.path / name),
    }


def _field(column: pa.Field) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{quote(column.name)}",
        "name": column.name,
        "dataType": _type(column.type),
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": column.name}},
    }


def _type(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
