"""README.md: documentation for people, with the front matter that Hugging Face reads as a card."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import yaml
from jinja2 import Environment, StrictUndefined

from unstained.publishing.people import People

TEMPLATE: Final = "readme.md.j2"
SCORES: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "area under the ROC curve",
    "ece": "calibration error",
}
"""Metrics of the card that are told, in words."""


def readme(
    card: Mapping[str, Any], digest: str, label: str, people: People, *, croissant: bool
) -> str:
    """The document.

    Args:
        card: the model's card.
        digest: of the artifact.
        label: number of the version; '' where it is none.
        people: who made it, and who may use it.
        croissant: whether metadata of its cells are in the package.
    """
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - markdown
    source = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source, globals={"card": _plain(card)}).render(
        front=yaml.safe_dump(front_matter(card, people), sort_keys=False, allow_unicode=True),
        pixels=card["inputs"][0],
        scores=_scores(card["metrics"]),
        digest=digest,
        label=label,
        people=people,
        croissant=croissant,
    )


def front_matter(card: Mapping[str, Any], people: People) -> dict[str, Any]:
    """What Hugging Face's hub reads: licence, library, tags, and scores as a model index."""
    metrics = [
        {"type": name, "name": words, "value": card["metrics"][name]}
        for name, words in SCORES.items()
        if card["metrics"].get(name) is not None
    ]
    dataset = {"type": card["study"], "name": f"{card['title']}, test cells"}
    result = {"task": {"type": "image-classification"}, "dataset": dataset, "metrics": metrics}
    simulated = ["simulated"] if card["simulated"] else []
    classes = any(task["kind"] == "classes" for task in card["tasks"])
    front = {
        "license": people.licence.lower() if people.licence else None,
        "library_name": "onnx",
        "pipeline_tag": "image-classification" if classes else None,
        "tags": ["cytometry", "microscopy", "label-free", "single-cell", "onnx", *simulated],
        "model-index": [{"name": card["name"], "results": [result]}] if metrics else None,
    }
    return {name: value for name, value in front.items() if value is not None}


def _plain(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card, every output with the names that it may have."""
    outputs = [{"classes": None, "targets": None, **output} for output in card["outputs"]]
    return {**card, "outputs": outputs}


def _scores(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rows of the table: what, value, interval."""
    rows = []
    for name, words in SCORES.items():
        if (value := metrics.get(name)) is not None:
            ends = metrics.get("interval", {}).get(name) or {}
            rows.append(_row(words, value, ends.get("low"), ends.get("high")))
    for target, found in sorted(metrics.get("target", {}).items()):
        if found.get("r") is not None:
            rows.append(_row(f"r of {target}", found["r"], found.get("r_low"), found.get("r_high")))
    return rows


def _row(words: str, value: float, low: float | None, high: float | None) -> dict[str, str]:
    known = low is not None and high is not None
    interval = f"{low:.3f} to {high:.3f}" if known else "–"
    return {"words": words, "value": f"{value:.3f}", "interval": interval}
