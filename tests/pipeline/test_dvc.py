"""dvc.yaml is what the stage definitions ask for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from unstained.config.document import read_document
from unstained.pipeline.catalogue import BASELINES, STAGES, stage_definition
from unstained.pipeline.configure import CONFIGURE, configured_path
from unstained.pipeline.dvc import FILES, dvc_file, write_dvc_files
from unstained.pipeline.holdings import HOLDINGS

ENTRIES = [(file, name) for file, (*_, stages) in FILES.items() for name in stages]
NAMES = tuple(dict.fromkeys(name for _, name in ENTRIES))


def entries(repository: Path, file: str) -> dict[str, Any]:
    return dict(read_document(repository / file).content["stages"])


@pytest.mark.parametrize("file", FILES)
def test_files_are_current(repository: Path, file: str) -> None:
    assert (repository / file).read_text() == dvc_file(file), "run: unstained dvc"


def test_a_file_that_differs_is_written_and_no_other(repository: Path, tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(repository / file, tmp_path / file)
    assert write_dvc_files(tmp_path) == []
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    assert write_dvc_files(tmp_path) == ["dvc.yaml"]
    assert (tmp_path / "dvc.yaml").read_text() == (repository / "dvc.yaml").read_text()


def test_stages_are_in_the_order_in_which_they_run(repository: Path) -> None:
    assert tuple(entries(repository, "dvc.yaml")) == (CONFIGURE, HOLDINGS, *STAGES)
    assert tuple(entries(repository, "baselines/dvc.yaml")) == BASELINES


@pytest.mark.parametrize(("file", "name"), ENTRIES)
def test_a_stage_depends_on_the_file_that_holds_its_code_and_parameters(
    repository: Path, file: str, name: str
) -> None:
    deps = entries(repository, file)[name]["deps"]
    path = configured_path(stage_definition(name), "${item.study}", "${item.model}")
    assert path in deps
    assert not any(dep.startswith("src") for dep in deps)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_come_from_earlier_stages(name: str) -> None:
    order = list(NAMES)
    for source in stage_definition(name).inputs.values():
        assert order.index(source.stage) < order.index(name)
        assert source.output in stage_definition(source.stage).outputs


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_fields_of_the_sections(name: str) -> None:
    stage = stage_definition(name)
    assert set(stage.params.model_fields) == set(stage.sections)


def test_commands_parameters_and_outputs_of_a_stage_of_each_kind(repository: Path) -> None:
    """By hand, so that writer and definitions are not only compared with themselves."""
    main, grid = entries(repository, "dvc.yaml"), entries(repository, "baselines/dvc.yaml")
    assert main["train"]["cmd"] == "unstained run train ${item.study} --model ${item.model}"
    assert main["train"]["matrix"] == {"study": "${active}", "model": "${models}"}
    assert "runs/${item.study}/tune/${item.model}/best.json" in main["train"]["deps"]
    home = "runs/${item.study}/train/${item.model}"
    assert main["train"]["outs"] == [
        f"{home}/{name}" for name in ("model", "training.json", "report.json")
    ]
    shown = {name for name, entry in main.items() if "metrics" in entry}
    assert shown == {"register"}
    summary = "runs/${item.study}/register/${item.model}/summary.json"
    assert main["register"]["metrics"] == [summary]
    assert "runs/${item.study}/holdings.json" in main["register"]["deps"]
    assert "runs/configure/${item.study}/source.json" in main["ingest"]["deps"]
    (history,) = main["train"]["plots"]
    assert history["runs/${item.study}/train/${item.model}/history.csv"]["y"] == "val_loss"
    assert "runs/configure/${item.study}/train/${item.model}.json" in main["train"]["deps"]
    assert main["split"]["cmd"] == "unstained run split ${item.study}"
    assert main["split"]["matrix"] == {"study": "${active}"}
    assert "runs/configure/${item.study}/promote.json" in main["promote"]["deps"]
    home = "runs/${item.study}/replicates/train/${item.model}/fold${item.fold}-seed${item.seed}"
    assert grid["train"]["wdir"] == ".."
    assert grid["train"]["cmd"] == main["train"]["cmd"] + " --fold ${item.fold} --seed ${item.seed}"
    assert grid["train"]["matrix"]["model"] == "${baselines.models}"
    assert grid["train"]["matrix"]["seed"] == "${baselines.seeds}"
    assert grid["train"]["outs"] == [
        f"{home}/{name}" for name in ("model", "training.json", "history.csv", "report.json")
    ]
    assert not any("best.json" in dep for dep in grid["train"]["deps"]), "no search of its own"
    assert not any("plots" in entry or "metrics" in entry for entry in grid.values())
    assert f"{home}/model" in grid["evaluate"]["deps"]
    assert "runs/configure/${item.study}/baselines.json" in grid["baselines"]["deps"]
    assert "runs/${item.study}/replicates/evaluate" in grid["baselines"]["deps"]
