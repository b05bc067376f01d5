"""A change of params.yaml or of the code reaches the stages that it concerns, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.test_config import RECIPE, edit
from unstained.config.project import load_params
from unstained.errors import ParameterError
from unstained.pipeline import freshness
from unstained.pipeline.catalogue import BASELINES, STAGES, stage_definition
from unstained.pipeline.configure import configure, require_current
from unstained.pipeline.task import make_task


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


def test_results_behind_a_link_are_refused_where_dvc_would_fail(project: Path) -> None:
    (project / "elsewhere").mkdir()
    (project / "runs").symlink_to(project / "elsewhere")
    configure(project)
    (project / ".dvc").mkdir()
    with pytest.raises(ParameterError, match=r"is a link to .*elsewhere") as caught:
        configure(project)
    assert "dvc cache dir --local" in caught.value.remedy


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


@pytest.fixture
def source(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's source, which `configure` takes for the code that runs."""
    place = tmp_path / "src"
    shutil.copytree(repository / "src", place, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(freshness, "SOURCE", place)
    forget()
    yield place / "unstained"
    forget()


def forget() -> None:
    """Let digests be taken again, as a new process does."""
    freshness.own_code.cache_clear()
    freshness.code_digest.cache_clear()


@pytest.mark.parametrize("module", ["imaging/background.py", "report/gallery.py"])
def test_an_edit_of_a_module_reaches_the_stages_that_use_it(
    project: Path, source: Path, module: str
) -> None:
    configure(project)
    before = files(project)
    path = source / module
    path.write_text(path.read_text() + "\n# edited\n")
    forget()
    said: list[str] = []
    configure(project, said.append)
    changed = {name for name, text in files(project).items() if text != before[name]}
    users = {
        name
        for name in (*STAGES, *BASELINES)
        if Path("unstained", module) in freshness.own_code().files(name)
    }
    assert {Path(name).parts[1].removesuffix(".json") for name in changed} == users
    assert said == [f"code has changed that these stages use: {', '.join(sorted(users))}"]
    assert len(changed) > len(users) or users == {"report"}, "of every model"


def test_a_run_that_dvc_started_refuses_code_that_was_edited_since(
    project: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project)
    task = make_task(load_params(project / "params.yaml"), "split", "nsc")
    monkeypatch.setenv("DVC_STAGE", "split@nsc")
    monkeypatch.setenv("DVC_ROOT", str(project))
    require_current(project, task)
    path = source / "data/splits/partition.py"
    path.write_text(path.read_text() + "\n# edited\n")
    forget()
    with pytest.raises(ParameterError, match=r"the code was edited .*nsc/split.json differs"):
        require_current(project, task)


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
