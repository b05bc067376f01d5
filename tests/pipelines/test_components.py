"""Every component says what its stage's contract says: names, sections, inputs."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from unstained.pipeline.catalogue import OPERATIONS, STAGES, stage_definition
from unstained.pipeline.contract import Stage
from unstained.pipeline.pod import ARTIFACTS

NAMES = (*STAGES, *OPERATIONS)
SHOWN = {"metrics", "curves", "page", "leaderboard", "summary"}
"""Outputs that are for the Kubeflow UI alone."""


def component(name: str):
    return getattr(importlib.import_module(f"components.{name}"), name)


def expected_inputs(stage: Stage) -> set[str]:
    found = {"study", "recipe", "code"}
    found |= {"architecture" if k == "model" else k.rstrip("_") for k in stage.sections}
    if stage.per == "model":
        found.add("model")
    if stage.watches == "source":
        found.add("source")
    for source in stage.inputs.values():
        found.add(ARTIFACTS.get(source.stage, "store"))
        if source.every_model:
            found.add("models")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_those_of_the_stage(name: str) -> None:
    assert set(component(name).component_spec.inputs) == expected_inputs(stage_definition(name))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_stage_and_what_the_ui_shows(name: str) -> None:
    outputs = set(component(name).component_spec.outputs)
    own = {"pointer", "Output"} if name == "ingest" else {ARTIFACTS[name]}
    assert own <= outputs
    assert outputs - own <= SHOWN
    assert outputs & SHOWN, f"{name} shows nothing in the Kubeflow UI"


def test_curves_and_pages_are_of_the_types_that_the_ui_draws() -> None:
    curves = component("controls").component_spec.outputs["curves"]
    assert curves.type == "system.ClassificationMetrics@0.0.1"
    pages = component("report").component_spec.outputs
    assert {pages[name].type for name in ("page", "leaderboard")} == {"system.HTML@0.0.1"}


@pytest.mark.parametrize("path", sorted(Path("components").glob("*.py")), ids=lambda p: p.stem)
def test_a_body_is_one_import_and_one_call(repository: Path, path: Path) -> None:
    if path.stem in ("__init__", "base"):
        return
    tree = ast.parse((repository / path).read_text(encoding="utf-8"))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.FunctionDef)]
    docstring, line, call = body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(line, ast.ImportFrom)
    assert line.module is not None
    assert line.module.startswith("unstained.pipeline.")
    assert isinstance(call, ast.Expr | ast.Return)
    assert isinstance(call.value, ast.Call)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_installed_when_a_task_starts(name: str) -> None:
    spec = component(name).component_spec.implementation.container
    assert "pip install" not in " ".join(spec.command)
    assert spec.image.rpartition("@sha256:")[2].isalnum()
