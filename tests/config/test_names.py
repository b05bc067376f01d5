"""Names that a later stage would refuse are refused when params.yaml is read, with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.config.test_config import edit
from tests.conftest import ROOT
from unstained.config.names import LONGEST_STUDY, model_problem, study_problem
from unstained.config.project import load_params
from unstained.errors import ParameterError
from unstained.registry.deployment import inference_service

ODD = "CD4+ T (naïve)"
TASKS = ("studies", "nsc", "data", "tasks")
CLASSES = (*TASKS, "lineage", "rules")


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "pattern": f"^{n}"} for n, name in enumerate(names)]


def test_names_of_the_field_are_taken_as_they_are(params: Path) -> None:
    edit(params, "studies", "nsc", "data", "markers", value={ODD: "Ch2"})
    tasks = {
        ODD: {"kind": "classes", "rules": named(ODD, "β-cell / “50 %”")},
        "DNA (µg)": {"kind": "value", "column": f"marker_{ODD}"},
    }
    edit(params, *TASKS, value=tasks)
    edit(params, "studies", "nsc", "uncertainty", value={})
    data = load_params(params).studies["nsc"].data
    assert data.class_names == (ODD, "β-cell / “50 %”")
    assert [task.name for task in data.tasks] == list(tasks)
    assert list(data.markers) == [ODD]


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (CLASSES, named("a", "A"), "'a' and 'A' differ in case or encoding alone"),
        (CLASSES, named("naïve", "nai\u0308ve"), "differ in case or encoding alone"),
        (CLASSES, named("a ", "b"), "'a ' is empty or has spaces around it"),
        (CLASSES, named("", "b"), "is empty or has spaces around it"),
        (CLASSES, named("a\nb", "b"), "holds a character that is no text"),
        (CLASSES, named("x" * 81, "b"), "has 81 characters, more than 80"),
        (("studies", "nsc", "data", "markers"), {"GFAP": "Ch2", "gfap": "Ch3"}, "in case or enc"),
        (TASKS, {"a\tb": {"kind": "value", "column": "x"}}, "holds a character that is no text"),
        (("register", "registered_model"), "lab/{study}", "should match pattern"),
        (("variants", "A model"), {"of": "cg_recnet"}, "variants.A model"),
        (("variants", "Resnet50"), {"of": "resnet50"}, "differs from resnet50 in case alone"),
        (("variants", "con.1"), {"of": "resnet50"}, "is a device on Windows"),
        (("studies", "Blood_2"), {}, "is no name that KServe serves (as unstained-Blood_2)"),
    ],
)
def test_other_names_are_refused_with_the_reason(
    params: Path, where: tuple[str, ...], value: Any, said: str
) -> None:
    edit(params, *where, value=value)
    with pytest.raises(ParameterError) as error:
        load_params(params)
    assert said in error.value.message


def test_studies_that_run_together_have_registered_models_of_their_own(params: Path) -> None:
    edit(params, "active", value=["nsc", "wbc"])
    edit(params, "register", "registered_model", value="lab")
    with pytest.raises(ParameterError, match="studies would share 'lab'") as error:
        load_params(params)
    assert error.value.remedy == "write {study} into the name"
    edit(params, "active", value=["wbc"])
    assert load_params(params).active == ("wbc",)


@pytest.mark.parametrize("name", ["a", "n-1", "x" * LONGEST_STUDY, "aux", "-a", "A", "x" * 44, ""])
def test_a_study_that_loads_can_be_served(name: str) -> None:
    digest = "5" * 64
    address = f"s3://bucket/{digest}"
    if name == "aux" or not study_problem(name):
        made = inference_service(name, address, digest, version="1", model="cg_recnet")
        assert made["metadata"]["name"] == f"unstained-{name}"
    else:
        with pytest.raises(ParameterError):
            inference_service(name, address, digest, version="1", model="cg_recnet")


@pytest.mark.parametrize("name", ["a", "x.y_z-1", "x" * 63, "x" * 64, "_a", "a b", "a+b"])
def test_a_model_that_loads_is_a_label(name: str) -> None:
    digest = "5" * 64
    address = f"s3://bucket/{digest}"
    if not model_problem(name):
        inference_service("nsc", address, digest, version="1", model=name)
    else:
        with pytest.raises(ParameterError, match="label in Kubernetes"):
            inference_service("nsc", address, digest, version="1", model=name)


def test_markers_are_ordered_by_channel_however_they_are_written() -> None:
    """A store has them in this order, and so do its bytes; Kubeflow keeps none."""
    data = load_params(ROOT / "params.yaml").studies["nsc"].data
    assert list(data.markers.items()) == [("GFAP", "Ch2"), ("Olig2", "Ch3"), ("NeuN", "Ch11")]
    content = data.model_dump(mode="json")
    content["markers"] = dict(sorted(content["markers"].items()))
    assert list(type(data).model_validate(content).markers) == ["GFAP", "Olig2", "NeuN"]
