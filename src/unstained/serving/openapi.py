"""What the server offers over HTTP, as an OpenAPI document that programs read and tests attack."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from unstained import __version__
from unstained.serving.pixels import datatype
from unstained.serving.served import Served

Content = dict[str, Any]

ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
REFUSALS: Final = {
    "400": "the request is no request of the protocol that this model can answer",
    "401": "the token is missing or another one",
    "403": "no request decides this",
    "404": "there is no such model or version",
    "405": "there is no such method",
    "408": "the request did not arrive in time",
    "413": "the request is too large",
    "415": "the body is compressed",
    "429": "too many cells wait",
    "431": "the headers are too long",
    "503": "the server stops or has too many large requests",
    "504": "there was no time to answer",
}


def openapi(served: Served) -> Content:
    """The document of one served model."""
    name = {"enum": [served.predictor.name]}
    version = {"enum": [served.version, served.predictor.digest]}
    paths: dict[str, Content] = {
        "/v2": {"get": _get("The server's name and extensions", "ServerMetadata")},
        "/v2/health/live": {"get": _get("Whether the graph comes back", "Live")},
        "/v2/health/ready": {"get": _get("Whether new requests should come here", "Ready")},
    }
    for end, told in (
        ("", [("name", name)]),
        ("/versions/{version}", [("name", name), ("version", version)]),
    ):
        place = f"/v2/models/{{name}}{end}"
        where = [_in_path(key, schema) for key, schema in told]
        paths |= {
            place: {"parameters": where, "get": _get("Input and outputs", "ModelMetadata")},
            f"{place}/ready": {
                "parameters": where,
                "get": _get("Is it ready?", "ModelReady"),
            },
            f"{place}/infer": {"parameters": where, "post": _post(served, "Judge cells", "Answer")},
            f"{place}/explain": {
                "parameters": where,
                "post": _post(served, "Judge cells, and tell each in words", "Explanation"),
            },
        }
    paths["/v2/models/{name}/images"] = {
        "parameters": [_in_path("name", name)],
        "post": _images(),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": served.predictor.name, "version": __version__},
        "paths": paths,
        "components": {"schemas": _schemas(served)},
    }


def _get(summary: str, answer: str) -> Content:
    return {"summary": summary, "responses": _responses(answer)}


def _post(served: Served, summary: str, answer: str) -> Content:
    content = {"application/json": {"schema": _schema("Request"), "example": _example(served)}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer),
    }


def _images() -> Content:
    """Files as a form; what they may be is for the readers to say."""
    file = {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}
    several = {"type": "array", "items": file, "minItems": 1}
    form = {"type": "object", "required": ["file"], "properties": {"file": several}}
    return {
        "summary": "Judge the cells of image files, .cif, tables with their images, or .zip",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": _responses("Rows"),
    }


def _responses(answer: str) -> Content:
    errors = {
        status: {"description": said, "content": {"application/json": {"schema": _schema("Error")}}}
        for status, said in REFUSALS.items()
    }
    content = {"application/json": {"schema": _schema(answer)}}
    if answer in ("Live", "Ready", "ModelReady"):
        errors["503"] = {"description": "no", "content": content}
    return {"200": {"description": "the answer", "content": content}, **errors}


def _schemas(served: Served) -> Content:
    yes = {"type": "boolean"}
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    tensor = _object(name=text, datatype=text, shape=_numbers())
    output = _object(**tensor["properties"], parameters={"type": "object"})
    answer = _object(
        model_name=text,
        model_version=text,
        id=text,
        parameters={"type": "object"},
        outputs={"type": "array", "items": output},
    )
    explained = {
        **answer["properties"],
        "summaries": {"type": "array", "items": {"type": "object"}},
    }
    return {
        "Error": ERROR,
        "Live": _object(live=yes),
        "Ready": _object(ready=yes),
        "ModelReady": _object(name=text, ready=yes),
        "ServerMetadata": _object(name=text, version=text, extensions=texts),
        "ModelMetadata": _object(
            name=text,
            versions=texts,
            platform=text,
            inputs={"type": "array", "items": tensor},
            outputs={"type": "array", "items": tensor},
        ),
        "Request": _request(served),
        "Answer": answer,
        "Rows": _object(
            model_name=text,
            model_version=text,
            parameters={"type": "object"},
            rows={"type": "array", "items": {"type": "object"}},
        ),
        "Explanation": _object(**explained),
    }


def _request(served: Served) -> Content:
    expected = served.predictor.input
    channels = expected.shape[1]
    side = {"type": "integer", "minimum": 1}
    limit = int(np.iinfo(np.dtype(expected.dtype)).max)
    pixels = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": expected.name},
            "datatype": {"const": datatype(np.dtype(expected.dtype))},
            "shape": {
                "type": "array",
                "prefixItems": [side, {"const": channels}, side, side],
                "minItems": 4,
                "maxItems": 4,
            },
            "data": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": limit},
            },
        },
    }
    names = [tensor.name for tensor in served.predictor.outputs]
    output = {"type": "object", "required": ["name"], "properties": {"name": {"enum": names}}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": 256},
            "inputs": {"type": "array", "items": pixels, "minItems": 1, "maxItems": 1},
            "outputs": {"type": ["array", "null"], "items": output},
        },
    }


def _example(served: Served) -> Content:
    """A request for one grey cell of 2 x 2 pixels."""
    expected = served.predictor.input
    shape = [1, expected.shape[1], 2, 2]
    tensor = {"name": expected.name, "datatype": datatype(np.dtype(expected.dtype))}
    return {"inputs": [{**tensor, "shape": shape, "data": [100] * math.prod(shape)}]}


def _object(**properties: Any) -> Content:
    return {"type": "object", "required": list(properties), "properties": properties}


def _numbers() -> Content:
    return {"type": "array", "items": {"type": "integer"}}


def _schema(name: str) -> Content:
    return {"$ref": f"#/components/schemas/{name}"}


def _in_path(name: str, schema: Content) -> Content:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", **schema}}
