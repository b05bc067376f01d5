"""`unstained params` says what holds, and the line of params.yaml that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.config.test_config import RECIPE, edit
from unstained.cli import app
from unstained.config.document import read_document
from unstained.config.effective import effective_model, effective_sections
from unstained.config.project import load_params
from unstained.errors import ParameterError


def stated_at(content: Any, where: tuple[str, ...]) -> object:
    for key in where:
        content = content[key]
    return content


def test_every_stated_value_stands_where_it_is_said_to_stand(repository: Path) -> None:
    project = load_params(repository / "params.yaml")
    content = read_document(repository / "params.yaml").content
    seen = 0
    for study in project.studies:
        for recipe in project.composition.recipes:
            found = effective_sections(project, study, recipe)
            for model in project.composition.bases:
                found += effective_model(project, study, recipe, model)
            for one in found:
                if one.stated is not None and not isinstance(one.value, (list, Mapping)):
                    said = stated_at(content, one.stated)
                    assert one.value == said or one.path[-1:] in (("architecture",),), one
                    seen += 1
    assert seen > 1000


def test_what_is_shown_is_what_a_model_is_trained_with(repository: Path) -> None:
    project = load_params(repository / "params.yaml")
    asked = project.studies["nsc"].recipes["demo"]
    shown = {one.path: one.value for one in effective_model(project, "nsc", "demo", "vgg16")}
    train = asked.models["vgg16"].training(asked.train)
    assert {key: shown["train", key] for key in ("epochs", "learning_rate", "batch_size")} == {
        "epochs": train.epochs,
        "learning_rate": train.learning_rate,
        "batch_size": train.batch_size,
    }


def invoke(project: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.chdir(project)
    done = CliRunner().invoke(app, ["params", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_command_names_value_and_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(project / "params.yaml", *RECIPE, "models", "resnet50", value={"width": 0.375})
    lines = (project / "params.yaml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, start=1) if "width: 0.375" in text)
    said = invoke(project, monkeypatch, "nsc", "--model", "resnet50")
    row = next(row for row in said.splitlines() if row.startswith("width "))
    origin = f"studies.nsc.demo.models.resnet50.width (line {line})"
    assert row.split(maxsplit=2) == ["width", "0.375", origin]
    content = json.loads(invoke(project, monkeypatch, "nsc", "--model", "resnet50", "--json"))
    assert content["width"]["value"] == 0.375
    assert content["width"]["line"] == line
    assert content["weights"] == {"value": "none", "from": "default", "line": None}


def test_another_recipe_is_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(invoke(project, monkeypatch, "nsc", "--recipe", "paper", "--json"))
    assert content["split.strategy"]["value"] == "stratified"
    assert content["split.strategy"]["from"] == "recipes.paper.split.strategy"


@pytest.mark.parametrize(
    ("study", "recipe", "model", "meant"),
    [
        ("nsd", "demo", "vgg16", "nsc"),
        ("nsc", "dmo", "vgg16", "demo"),
        ("nsc", "demo", "vgg", "vgg16"),
        ("nsc", "demo", "cg_recnet_swaped", "cg_recnet_swapped"),
    ],
)
def test_a_wrong_name_says_the_nearest(
    repository: Path, study: str, recipe: str, model: str, meant: str
) -> None:
    project = load_params(repository / "params.yaml")
    with pytest.raises(ParameterError, match=rf"did you mean {meant}\?"):
        effective_model(project, study, recipe, model)
