"""The messages of the open inference protocol over gRPC.

Built from this table rather than generated, in a pool of their own: a client's generated messages
of the same names may live in the same process. Names and numbers are those of the protocol's
`grpc_predict_v2.proto` (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE: Final = "inference"
SERVICE: Final = f"{PACKAGE}.GRPCInferenceService"

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {
    "bool": _FIELD.TYPE_BOOL,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}

_MODEL: Final = "name:string version:string"
_PARAMETERS: Final = "parameters:{InferParameter}"
_TENSOR: Final = (
    f"name:string datatype:string *shape:int64 {_PARAMETERS} contents:InferTensorContents"
)
_MESSAGES: Final = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:bool",
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": "ready:bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name:string version:string *extensions:string",
    "ModelMetadataRequest": _MODEL,
    "ModelMetadataResponse.TensorMetadata": "name:string datatype:string *shape:int64",
    "ModelMetadataResponse": "name:string *versions:string platform:string "
    "*inputs:ModelMetadataResponse.TensorMetadata *outputs:ModelMetadataResponse.TensorMetadata",
    "InferParameter": "|bool_param:bool |int64_param:int64 |string_param:string",
    "InferTensorContents": "*bool_contents:bool *int_contents:int32 *int64_contents:int64 "
    "*uint_contents:uint32 *uint64_contents:uint64 *fp32_contents:float *fp64_contents:double "
    "*bytes_contents:bytes",
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": f"name:string {_PARAMETERS}",
    "ModelInferRequest": f"model_name:string model_version:string id:string {_PARAMETERS} "
    "*inputs:ModelInferRequest.InferInputTensor "
    "*outputs:ModelInferRequest.InferRequestedOutputTensor *raw_input_contents:bytes",
    "ModelInferResponse.InferOutputTensor": _TENSOR,
    "ModelInferResponse": f"model_name:string model_version:string id:string {_PARAMETERS} "
    "*outputs:ModelInferResponse.InferOutputTensor *raw_output_contents:bytes",
    "RepositoryModelLoadRequest": "model_name:string",
    "RepositoryModelLoadResponse": "model_name:string isLoaded:bool",
    "RepositoryModelUnloadRequest": "model_name:string",
    "RepositoryModelUnloadResponse": "model_name:string isUnloaded:bool",
}
"""Message -> its fields in the order of their numbers from 1: `*` repeated, `|` one of these,
`{T}` a map from strings."""

METHODS: Final = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)
"""Each takes a message `<name>Request` and answers `<name>Response`."""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="unstained/grpc_predict_v2.proto", package=PACKAGE, syntax="proto3"
    )
    made: dict[str, Any] = {}
    for name in sorted(_MESSAGES, key=lambda name: name.count(".")):
        outer, _, own = name.rpartition(".")
        made[name] = (made[outer].nested_type if outer else file.message_type).add(name=own)
    for name, fields in _MESSAGES.items():
        for number, field in enumerate(fields.split(), start=1):
            _add(made[name], name, number, *field.split(":"))
    return file


def _add(message: Any, owner: str, number: int, name: str, kind: str) -> None:
    """Add a field to a message's description."""
    field = message.field.add(name=name.lstrip("*|"), number=number, label=_FIELD.LABEL_OPTIONAL)
    if name.startswith("*") or kind.startswith("{"):
        field.label = _FIELD.LABEL_REPEATED
    if name.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if kind in _TYPES:
        field.type = _TYPES[kind]
        return
    field.type = _FIELD.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{kind}"
    if kind.startswith("{"):
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add(entry, "", 1, "key", "string")
        _add(entry, "", 2, "value", kind.strip("{}"))
        field.type_name = f".{PACKAGE}.{owner}.{entry.name}"


_POOL: Final = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


@cache
def message(name: str) -> Any:
    """The class of a message, such as `ModelInferRequest`."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
