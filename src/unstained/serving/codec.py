"""Requests and answers of the open inference protocol over REST: JSON, and the binary extension.

With the binary extension a body is JSON followed by the tensors' bytes, and the header
`Inference-Header-Content-Length` says where the JSON ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

import numpy as np
import orjson

from unstained.serving.limits import Limits
from unstained.serving.pixels import (
    checked_shape,
    datatype,
    pixels_of_bytes,
    pixels_of_numbers,
)
from unstained.serving.predictor import Predictor, Tensor
from unstained.serving.refusals import RequestError, invalid

ID: Final = "request_id"
"""Key of a request's state: its identifier."""

HEADER: Final = "Inference-Header-Content-Length"
LONGEST_ID: Final = 256
LONGEST_KNOWN: Final = 4096
"""Bytes of a binary request's JSON up to which what it says is remembered: clients that send cell
after cell of one size send the same JSON each time."""
MOST_KNOWN: Final = 256


@dataclass(frozen=True)
class Asked:
    """A request that was read.

    Attributes:
        id: the client's, or the one that it was given.
        pixels: (B, C, H, W).
        wanted: names of outputs, in the order of the request; None: all.
        binary: those whose values are sent as bytes.
    """

    id: str
    pixels: np.ndarray
    wanted: tuple[str, ...] | None
    binary: frozenset[str]


@dataclass(frozen=True)
class Head:
    """What the JSON of a request says.

    Attributes:
        id: the client's; '' where it brings none.
        shape: of the pixels, (B, C, H, W).
        data: the pixels as numbers, unless they follow as bytes.
        size: how many bytes are to follow; None: the pixels are in `data`.
        wanted, binary: see `Asked`.
    """

    id: str
    shape: tuple[int, ...]
    data: object
    size: int | None
    wanted: tuple[str, ...] | None
    binary: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """Body and headers of an answer over HTTP."""

    body: bytes
    headers: Mapping[str, str]


class Codec:
    """Reads and writes for one predictor.

    Args:
        predictor: whose input and outputs it knows.
        version: what it is called.
        limits: of requests.
    """

    def __init__(self, predictor: Predictor, version: str, limits: Limits) -> None:
        self._input = predictor.input
        self._outputs = {tensor.name: tensor for tensor in predictor.outputs}
        self._notes = {name: scalar_notes(tensor) for name, tensor in self._outputs.items()}
        self._written = {k: orjson.Fragment(orjson.dumps(v)) for k, v in self._notes.items()}
        self._limits = limits
        self._known = lru_cache(MOST_KNOWN)(self._head)
        self._all_binary = lru_cache(MOST_KNOWN)(self._outputs_as_bytes)
        self._said = {
            "model_name": predictor.name,
            "model_version": version,
            "parameters": orjson.Fragment(orjson.dumps(said_of(predictor))),
        }

    def read(self, body: bytes, header: str | None, told: str) -> Asked:
        """Read a request.

        Args:
            body: all of it.
            header: value of `Inference-Header-Content-Length`.
            told: its identifier, where it brings none.

        Raises:
            RequestError: it is no request of the protocol that this model can answer.
        """
        end = len(body) if header is None else _split(header, len(body))
        if end > self._limits.json_bytes:
            raise too_large(end, self._limits.json_bytes)
        text = body[:end] if end < len(body) else body
        known = header is not None and end <= LONGEST_KNOWN
        head = self._known(text) if known else self._head(text)
        return Asked(
            head.id or told,
            self._pixels(head, memoryview(body)[end:]),
            head.wanted,
            head.binary,
        )

    def _head(self, text: bytes) -> Head:
        """What the JSON of a request says. Raises: RequestError: see `read`."""
        content = _table(_json(text), "the request")
        options = _table(content.get("parameters", {}), "parameters")
        inputs = content.get("inputs")
        if not isinstance(inputs, list) or len(inputs) != 1:
            given = f"{len(inputs)} were" if isinstance(inputs, list) else "no list of them was"
            raise invalid(f"the one input is {self._input.name!r}; {given} given")
        tensor = _table(inputs[0], "an input")
        wanted, binary = self._wanted(content.get("outputs"), options)
        name, kind, sides = (tensor.get(key) for key in ("name", "datatype", "shape"))
        shape = checked_shape(name, kind, sides, self._input, self._limits)
        own = content.get("id")
        own = "" if own is None or own == "" else require_id(own)
        size = _table(tensor.get("parameters", {}), "an input's parameters").get("binary_data_size")
        if size is None:
            return Head(own, shape, tensor.get("data"), None, wanted, binary)
        if "data" in tensor:
            raise invalid(f"{self._input.name}: either data or binary_data_size, not both")
        if type(size) is not int:
            raise invalid(f"{self._input.name}: binary_data_size is {size!r:.40}, no whole number")
        return Head(own, shape, None, size, wanted, binary)

    def write(
        self, asked: Asked, found: Mapping[str, np.ndarray], more: Mapping[str, Any] | None = None
    ) -> Answer:
        """Write an answer.

        Args:
            asked: the request.
            found: its outputs.
            more: beside what the protocol knows.
        """
        names = asked.wanted or tuple(self._outputs)
        tail = [raw_bytes(found[name]) for name in names if name in asked.binary]
        outputs: object
        if len(tail) == len(names):
            kinds = ((found[name].dtype, found[name].shape) for name in names)
            outputs = self._all_binary(names, tuple(kinds), tuple(map(len, tail)))
        else:
            sizes = iter(map(len, tail))
            outputs = [
                self._binary(name, found[name].dtype, found[name].shape, next(sizes))
                if name in asked.binary
                else self._numbers(name, found[name])
                for name in names
            ]
        head = orjson.dumps(
            {**self._said, "id": asked.id, "outputs": outputs, **(more or {})},
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        if not tail:
            return Answer(head, {"Content-Type": "application/json"})
        headers = {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
        return Answer(b"".join((head, *tail)), headers)

    def _outputs_as_bytes(
        self,
        names: tuple[str, ...],
        kinds: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...],
        sizes: tuple[int, ...],
    ) -> orjson.Fragment:
        """What JSON says of outputs whose values all follow it."""
        told = zip(names, kinds, sizes, strict=True)
        return orjson.Fragment(
            orjson.dumps([self._binary(n, *kind, size) for n, kind, size in told])
        )

    def _binary(
        self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], size: int
    ) -> dict[str, Any]:
        said = {"name": name, "datatype": datatype(dtype), "shape": shape}
        return {**said, "parameters": {**self._notes[name], "binary_data_size": size}}

    def _numbers(self, name: str, values: np.ndarray) -> dict[str, Any]:
        said = {"name": name, "datatype": datatype(values.dtype), "shape": values.shape}
        return {**said, "parameters": self._written[name], "data": _plain(values)}

    def _pixels(self, head: Head, tail: memoryview) -> np.ndarray:
        if head.size is None:
            if len(tail):
                raise invalid(f"{len(tail)} bytes follow the JSON that no input claims")
            return pixels_of_numbers(head.data, head.shape, self._input)
        if head.size != len(tail):
            raise invalid(
                f"{self._input.name}: binary_data_size is {head.size}; {len(tail)} bytes follow "
                "the JSON"
            )
        return pixels_of_bytes(tail, head.shape, self._input)

    def _wanted(
        self, outputs: object, options: Mapping[str, Any]
    ) -> tuple[tuple[str, ...] | None, frozenset[str]]:
        """Names of the outputs that are asked for, and those to be sent as bytes."""
        default = _flag(options, "binary_data_output", False)
        if outputs is None or outputs == []:
            return None, frozenset(self._outputs if default else ())
        if not isinstance(outputs, list):
            raise invalid("outputs must be a list")
        binary: dict[str, bool] = {}
        for output in outputs:
            entry = _table(output, "an output")
            name = known_output(entry.get("name"), self._outputs)
            own = _table(entry.get("parameters", {}), f"parameters of {name}")
            binary[name] = _flag(own, "binary_data", default)
        return tuple(binary), frozenset(name for name, chosen in binary.items() if chosen)


def said_of(predictor: Predictor) -> dict[str, str | bool]:
    """What every answer says of the model."""
    told: dict[str, str | bool] = {"artifact_digest": predictor.digest, "graph": predictor.graph}
    return told | predictor.lineage


def known_output(name: object, known: Mapping[str, Tensor]) -> str:
    """A name if it is an output's. Raises: RequestError (400)."""
    if not isinstance(name, str) or name not in known:
        raise invalid(f"there is no output {name!r:.80}; outputs are {', '.join(known)}")
    return name


def raw_bytes(values: np.ndarray) -> bytes:
    """Values as the protocol sends them: little-endian; texts each after its length (4 bytes)."""
    if datatype(values.dtype) != "BYTES":
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = (str(value).encode() for value in values.ravel())
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def too_large(given: int, most: int) -> RequestError:
    """Of a body (413)."""
    return RequestError(413, f"the body has {given} bytes; {most} are read: send fewer cells")


def scalar_notes(tensor: Tensor) -> dict[str, str]:
    """An output's notes; as JSON, because the protocol's parameters are scalars."""
    return {
        key: note if isinstance(note, str) else orjson.dumps(note).decode()
        for key, note in tensor.notes.items()
    }


_PROCESS: Final = uuid.uuid4().hex[:16]
_NUMBERS: Final = count(1)


def new_id() -> str:
    """For a request that has none: a number of this process, which no other process has."""
    return f"{_PROCESS}-{next(_NUMBERS)}"


def _plain(values: np.ndarray) -> object:
    """Flat values that JSON can be made of."""
    if datatype(values.dtype) in ("BYTES", "FP16"):
        return values.ravel().tolist()
    return np.ascontiguousarray(values).ravel()


def _split(header: str, length: int) -> int:
    """Where the JSON ends."""
    if not header.isascii() or not header.isdigit() or len(header) > 19 or int(header) > length:
        raise invalid(
            f"{HEADER} is {header!r:.40}; expected the length of the JSON that the body begins "
            f"with, at most {length}"
        )
    return int(header)


def _json(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise invalid(f"the request is no JSON: {error}") from None


def _table(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{what} must be an object of JSON")
    return value


def _flag(options: Mapping[str, Any], name: str, default: bool) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise invalid(f"{name} must be true or false")
    return value


def require_id(given: object) -> str:
    """A request's own identifier. Raises: RequestError, it is none (400)."""
    if not isinstance(given, str) or len(given) > LONGEST_ID:
        raise invalid(f"id must be a text of at most {LONGEST_ID} characters")
    return given
