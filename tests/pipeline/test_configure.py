"""A change of params.yaml reaches the stages that it concerns, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_config import RECIPE, edit
from unstained.errors import ParameterError
from unstained.pipeline.catalogue import BASELINES, STAGES, stage_definition
from unstained.pipeline.configure import configure


def files(project: Path) -> dict[str, str]:
    home = project / "runs/configure"
    return {p.relative_to(home).as_posix(): p.read_text() for p in home.rglob("*.json")}


def changed_by(project: Path, *keys: str, value: object) -> set[str]:
    """Parameter files that an edit changes, relative to runs/configure."""
    configure(project)
    before = files(project)
    edit(project / "params.yaml", *keys, value=value)
    assert configure(project) > 0
    after = files(project)
    assert set(after) == set(before)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def both(project: Path) -> Path:
    """A project in which both studies are active."""
    edit(project / "params.yaml", "studies", "cellcycle", "data", "source", value="simulator")
    edit(project / "params.yaml", "active", value=["nsc", "cellcycle"])
    return project


def test_one_models_width_reaches_that_model_alone(project: Path) -> None:
    of_all_models = {
        f"nsc/{name}.json"
        for name in BASELINES
        if "models" in stage_definition(name).params.model_fields
    }
    changed = changed_by(project, "architectures", "vgg16", "demo", "width", value=0.25)
    assert changed == {"nsc/train/vgg16.json"} | of_all_models
    changed = changed_by(project, "architectures", "resnet50", "demo", "width", value=0.5)
    assert {"nsc/tune/resnet50.json", "nsc/train/resnet50.json"} <= changed
    assert all(name.endswith("/resnet50.json") for name in changed - of_all_models)


def test_one_study_touches_no_other(both: Path) -> None:
    changed = changed_by(both, "studies", "nsc", "demo", "train", "epochs", value=3)
    assert changed
    assert {name.split("/")[0] for name in changed} == {"nsc"}


def test_a_section_reaches_the_stages_that_are_asked_for_it(both: Path) -> None:
    changed = changed_by(both, "evaluate", "bootstrap", value=77)
    asked = {
        name
        for name in (*STAGES, *BASELINES)
        if "evaluate" in stage_definition(name).params.model_fields
    }
    assert {name.split("/")[1].removesuffix(".json") for name in changed} == asked


def test_a_second_time_writes_nothing(project: Path) -> None:
    configure(project)
    times = {p: p.stat().st_mtime_ns for p in (project / "runs/configure").rglob("*.json")}
    assert configure(project) == 0
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_what_is_asked_for_no_more_is_removed(both: Path) -> None:
    configure(both)
    edit(both / "params.yaml", "active", value=["nsc"])
    configure(both)
    assert {name.split("/")[0] for name in files(both)} == {"nsc"}


TYPOS = [
    (("recipies",), {}, "recipes"),
    (("trian",), {"epochs": 3}, "train"),
    (("train", "epoch"), 3, "epochs"),
    (("train", "learningrate"), 0.1, "learning_rate"),
    (("recipes", "demo", "tune", "trails"), 3, "trials"),
    (("architectures", "resnet50", "widht"), 0.5, "width"),
    (("architectures", "resnet5"), {}, "resnet50"),
    (("variants", "cg_recnet_swapped", "of"), "cg_recnt", "cg_recnet"),
    (("studies", "nsc", "data", "canvs"), 64, "canvas"),
    (("studies", "nsc", "demo", "models", "features_bosting"), {}, "features_boosting"),
    (("studies", "cellcycle", "data", "marker"), {}, "markers"),
    (("promote", "max_latncy_ms"), 1.0, "max_latency_ms"),
    ((*RECIPE, "train", "augment", "blur"), 1.0, "blur_px"),
]


@pytest.mark.parametrize(("keys", "value", "meant"), TYPOS, ids=[k[-1] for k, _, _ in TYPOS])
def test_a_typo_names_the_nearest_known_key(
    project: Path, keys: tuple[str, ...], value: object, meant: str
) -> None:
    edit(project / "params.yaml", *keys, value=value)
    with pytest.raises(ParameterError, match=rf"did you mean {meant}\?") as error:
        configure(project)
    assert ".".join(keys) in str(error.value)
    assert not (project / "runs").exists()
