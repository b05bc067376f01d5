"""What the page knows of the model: its card, what its rows hold, and how its cells are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from unstained.config.study import StudyData
from unstained.predictions import OF
from unstained.serving.judging import Uploads
from unstained.serving.page.pictures import BLOCK, COLUMNS, STRETCHES, Look
from unstained.serving.predictor import Predictor, Tensor
from unstained.serving.served import Model
from unstained.summaries.served import ENDS, PROBABILITIES, SETS, SHARES, TARGETS

CAM: Final = "cam"
FEWEST_POINTS: Final = 4
"""Points along a side of a map, below which it tells nothing of where in a cell."""
TOLD: Final = (
    "title", "question", "intended_use", "limits", "metrics", "tasks", "model", "recipe", "tuned",
    "groups", "simulated", "git_commit", "data_digest", "split_digest", "params_digest",
    "onnx_sha256", "opset", "parity", "package", "calibration",
)  # fmt: skip
"""Of the card."""


def look_of(card: Mapping[str, Any], study: StudyData) -> Look:
    """How a model's cells are shown."""
    pixels = card["inputs"][0]
    return Look(study.axes, pixels["canvas"], pixels["white"])


def maps_of(outputs: Sequence[Tensor]) -> list[str]:
    """Names of the activation maps; none where there are none, or too coarse ones."""
    cam = next((tensor for tensor in outputs if tensor.name == CAM), None)
    if cam is None or min(cam.shape[-2:]) < FEWEST_POINTS:
        return []
    notes = cam.notes
    return list(notes.get("classes") or notes.get("scores") or notes.get("targets") or [])


def seen_side(card: Mapping[str, Any]) -> int | None:
    """Side of the image that the network sees, where it resizes the canvas."""
    side: int | None = card["params"]["model"].get("input", {}).get("side")
    return side


def known_confusion(predictor: Predictor) -> dict[str, tuple[list[str], list[list[int]]]]:
    """By the end of a question's columns: its classes, and how validation cells were called."""
    tasks = [task for task in predictor.card["tasks"] if task["kind"] == "classes"]
    fitted = predictor.card["calibration"]["tasks"]
    return {
        f"{OF}{task['name']}" if len(tasks) > 1 else "": (
            task["classes"],
            fitted[task["name"]]["confusion"],
        )
        for task in tasks
    }


def facts(uploads: Uploads, look: Look) -> dict[str, Any]:
    """Everything that the page shows before there is a sample."""
    served = uploads.served
    beside = None if served.challenger is None else model_facts(served.challenger.model)
    return {
        **model_facts(served.model),
        "challenger": beside,
        "views": look.views,
        "look": {"canvas": look.canvas, "tile": look.tile, "block": BLOCK, "columns": COLUMNS},
        "stretches": list(STRETCHES),
        "images": f"{look.axes}, {served.predictor.input.dtype.removeprefix('uint')} bit",
        "pixel_size_um": uploads.study.pixel_size_um,
        "examples": len(served.predictor.card["golden"]["cells"]),
        "limits": {"bytes": uploads.limits.upload_bytes, "files": uploads.limits.upload_files},
    }


def model_facts(model: Model) -> dict[str, Any]:
    """What the page shows of a model: its card, and what its rows hold."""
    predictor, promotion = model.predictor, model.promotion
    outputs = {tensor.name: tensor for tensor in predictor.outputs}
    return {
        "name": predictor.name,
        "version": model.version,
        "digest": predictor.digest,
        "signed_by": predictor.signed.by,
        "promotion": None if promotion is None else asdict(promotion),
        "card": {key: predictor.card[key] for key in TOLD if key in predictor.card},
        "questions": [
            _question(tensor, outputs[name.replace(PROBABILITIES, SETS, 1)])
            for name, tensor in outputs.items()
            if name.startswith(PROBABILITIES)
        ],
        "values": _values(outputs),
        "shares": [
            {"task": tensor.notes["task"], "parts": tensor.notes["parts"]}
            for name, tensor in outputs.items()
            if name.startswith(SHARES)
        ],
        "maps": maps_of(predictor.outputs),
    }


def _question(tensor: Tensor, sets: Tensor) -> dict[str, Any]:
    task = tensor.notes.get("task")
    end = f"{OF}{task}" if task else ""
    return {
        "task": task,
        "end": end,
        "classes": tensor.notes["classes"],
        "alpha": sets.notes["alpha"],
    }


def _values(outputs: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    if TARGETS not in outputs:
        return []
    ends = outputs.get(ENDS[0])
    alphas = ends.notes["alpha"] if ends else [None] * len(outputs[TARGETS].notes["targets"])
    named = zip(outputs[TARGETS].notes["targets"], alphas, strict=True)
    return [{**target, "alpha": alpha} for target, alpha in named]
