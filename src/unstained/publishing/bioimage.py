"""rdf.yaml, by which the BioImage Model Zoo and its tools know and run a model (spec 0.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained import __version__
from unstained.artifact.artifact import CARD_FILE, DIGEST_FILE, MODEL_FILE
from unstained.artifact.inference import INPUT_NAME
from unstained.files import file_sha256
from unstained.publishing.people import People

FORMAT: Final = "0.5.14"
FILE: Final = "rdf.yaml"
LONGEST_NAME: Final = 128
LONGEST_DESCRIPTION: Final = 1024
LONGEST_ID: Final = 32
IN_TWO_DIMENSIONS: Final = 4
"""Axes of a tensor that has a height and a width: cells, channels, rows, columns."""


def description(
    folder: Path, card: Mapping[str, Any], tensors: Mapping[str, Path], people: People
) -> dict[str, Any]:
    """Content of rdf.yaml.

    Args:
        folder: the package so far; it holds `artifact`, README.md and the test tensors.
        card: the model's card.
        tensors: .npy file of the input and of every output, by name.
        people: who made it, and who may use it.

    Returns:
        Plain data; every file in it is named relative to `folder`, with its sha256.
    """
    artifact = folder / "artifact"
    rest = sorted({path.name for path in artifact.iterdir()} - {MODEL_FILE})
    weights = _file(folder, artifact / MODEL_FILE) | {"opset_version": card["opset"]}
    told: dict[str, Any] = {
        "format_version": FORMAT,
        "type": "model",
        "name": _name(card["name"]),
        "description": f"{card['title']}. {card['question']}"[:LONGEST_DESCRIPTION],
        "documentation": _file(folder, folder / "README.md"),
        "authors": [{"name": name} for name in people.authors],
        "cite": [{"text": text, "doi": doi} for text, doi in people.cited],
        "license": people.licence,
        "tags": _tags(card),
        "attachments": [_file(folder, artifact / name) for name in rest],
        "inputs": [_input(folder, card["inputs"][0], tensors[INPUT_NAME])],
        "outputs": [_output(folder, out, tensors[out["name"]]) for out in card["outputs"]],
        "weights": {"onnx": weights},
        "config": {
            "unstained": {
                "version": __version__,
                "artifact_digest": file_sha256(artifact / DIGEST_FILE),
                "card": f"artifact/{CARD_FILE}",
            }
        },
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


def _input(folder: Path, pixels: Mapping[str, Any], tensor: Path) -> dict[str, Any]:
    space = {
        "type": "space",
        "size": {"min": 1, "step": 1},
        "unit": "micrometer",
        "scale": pixels["pixel_size_um"],
    }
    axes: list[Mapping[str, Any]] = [
        {"type": "batch"},
        {"type": "channel", "channel_names": list(pixels["planes"])},
        {"id": "y", **space},
        {"id": "x", **space},
    ]
    return _tensor(folder, INPUT_NAME, f"{pixels['meaning']}. {pixels['padding']}", axes, tensor)


def _output(folder: Path, output: Mapping[str, Any], tensor: Path) -> dict[str, Any]:
    shape = np.load(tensor, mmap_mode="r").shape
    names = output.get("classes") or output.get("parts")
    names = names or [target["name"] for target in output.get("targets", ())]
    axes: list[Mapping[str, Any]] = [{"type": "batch"}]
    if names:
        axes.append({"type": "channel", "channel_names": list(names)})
    else:
        axes.append({"type": "index", "size": shape[1]})
    if len(shape) == IN_TWO_DIMENSIONS:
        axes += [
            {"type": "space", "id": axis, "size": size}
            for axis, size in zip("yx", shape[2:], strict=True)
        ]
    return _tensor(folder, output["name"], output["meaning"], axes, tensor)


def _tensor(
    folder: Path, name: str, meaning: str, axes: Sequence[Mapping[str, Any]], tensor: Path
) -> dict[str, Any]:
    return {
        "id": re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_ID],
        "description": meaning[:LONGEST_NAME],
        "axes": list(axes),
        "test_tensor": _file(folder, tensor),
        "data": {"type": np.load(tensor, mmap_mode="r").dtype.name},
    }


def _file(folder: Path, path: Path) -> dict[str, Any]:
    return {"source": path.relative_to(folder).as_posix(), "sha256": file_sha256(path)}


def _name(name: str) -> str:
    """The model's name in the letters that the specification takes."""
    return f"unstained {re.sub(r'[^A-Za-z0-9_+() -]', ' ', name)}"[:LONGEST_NAME].strip()


def _tags(card: Mapping[str, Any]) -> list[str]:
    kinds = {task["kind"] for task in card["tasks"]}
    tags = ["cytometry", "label-free", "single-cell", "onnx", "2d"]
    tags += ["classification"] if "classes" in kinds else []
    tags += ["regression"] if kinds - {"classes"} else []
    return [*tags, "simulated"] if card["simulated"] else tags
