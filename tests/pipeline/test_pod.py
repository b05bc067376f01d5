"""A stage in a pod: what must be set, what is refused, and that numbers keep their kind."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipelines.arguments import run_arguments
from tests.synthetic import asked, make_store, write_ifc
from unstained.config.document import read_document
from unstained.data.remote.pointers import push_store
from unstained.files import read_json, tree_sha256
from unstained.pipeline.freshness import code_digest
from unstained.pipeline.pod import ingest_in_pod, run_in_pod, whole_numbers
from unstained.pipeline.runner import run_stage

plain = st.recursive(
    st.booleans() | st.text(max_size=5) | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def as_doubles(content: Any) -> Any:
    """What Kubeflow makes of numbers."""
    if isinstance(content, dict):
        return {key: as_doubles(value) for key, value in content.items()}
    if isinstance(content, list):
        return [as_doubles(value) for value in content]
    return float(content) if type(content) is int else content


@given(plain)
def test_integers_come_back_from_doubles(content: Any) -> None:
    assert whole_numbers(as_doubles(content)) == content


def test_fractions_stay() -> None:
    assert whole_numbers({"a": [0.5, 2.0]}) == {"a": [0.5, 2]}


def arguments(repository: Path, pointer: dict[str, Any], place: Path) -> dict[str, Any]:
    content = read_document(repository / "params.yaml").content
    return {
        "study": "synthetic",
        "recipe": "demo",
        "code": "",
        "common": as_doubles(content["common"]),
        "data": as_doubles(SYNTHETIC),
        "validate": as_doubles(content["validate"] | {"min_cells_per_class": 2, "folds": 2}),
        "store": as_doubles(pointer),
        "validation": SimpleNamespace(path=str(place)),
        "summary": SimpleNamespace(path=str(place.parent / "summary" / "text")),
    }


SYNTHETIC = {
    "title": "Blobs",
    "question": "Which?",
    "reader": "zhu_ifc",
    "source": "simulator",
    "pixel_size_um": 0.33,
    "channels": ["Ch1"],
    "tasks": asked("abc"),
    "group": "acquisition",
    "canvas": 32,
}


@pytest.fixture
def pointer(tmp_path: Path) -> dict[str, Any]:
    make_store(tmp_path / "store", cells_per_group=8)
    return push_store(tmp_path / "store", str(tmp_path / "remote"), "synthetic").to_dict()


def test_a_pod_does_what_a_project_does(
    repository: Path,
    tmp_path: Path,
    pointer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNSTAINED_STATE", str(tmp_path / "state"))
    place = tmp_path / "artifact"
    run_in_pod("validate", arguments(repository, pointer, place))
    root = tmp_path / "project"
    (root / "runs/synthetic/ingest").mkdir(parents=True)
    (root / "runs/synthetic/ingest/store").symlink_to(tmp_path / "store")
    digest = pointer["manifest_sha256"]
    (root / "runs/synthetic/ingest/report.json").write_text(
        f'{{"outputs": {{"store": "{digest}"}}}}'
    )
    params: Any = read_document(repository / "params.yaml").content
    params["studies"] = {"synthetic": params["studies"]["nsc"] | {"data": SYNTHETIC}}
    params["active"] = ["synthetic"]
    params["validate"] |= {"min_cells_per_class": 2, "folds": 2}
    YAML().dump(params, root / "params.yaml")
    run_stage("validate", "synthetic", root=root)
    home = root / "runs/synthetic/validate"
    for name in ("clusters.parquet", "audit.json", "shortcuts.csv"):
        assert tree_sha256(place / name) == tree_sha256(home / name)
    fingerprints = [read_json(path / "report.json")["fingerprint"] for path in (place, home)]
    assert fingerprints[0] == fingerprints[1]
    assert "| number | value |" in (tmp_path / "summary" / "text").read_text()


def test_the_store_is_fetched_once_for_all_pods_of_a_volume(
    repository: Path,
    tmp_path: Path,
    pointer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNSTAINED_STATE", str(tmp_path / "state"))
    run_in_pod("validate", arguments(repository, pointer, tmp_path / "first"))
    shutil.rmtree(tmp_path / "remote")
    run_in_pod("validate", arguments(repository, pointer, tmp_path / "second"))
    assert (tmp_path / "second" / "audit.json").is_file()


def test_a_missing_address_is_one_message(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SystemExit) as ended:
        run_in_pod("promote", {})
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "MLFLOW_TRACKING_URI is not set in this pod" in said
    assert "ConfigMap unstained-platform" in said


@pytest.mark.parametrize("stage", ["compare", "promote", "monitor"])
def test_who_asks_for_the_champion_needs_the_ledger(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A pod has no ledger of its own, and an alias may have been moved by hand."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    monkeypatch.delenv("UNSTAINED_LEDGER", raising=False)
    with pytest.raises(SystemExit):
        run_in_pod(stage, {})
    assert "UNSTAINED_LEDGER is not set in this pod" in capsys.readouterr().err


def test_a_wrong_parameter_is_one_message(
    repository: Path, tmp_path: Path, pointer: dict[str, Any], capsys: Any
) -> None:
    given = arguments(repository, pointer, tmp_path / "artifact")
    given["validate"]["fold"] = 3.0
    with pytest.raises(SystemExit):
        run_in_pod("validate", given)
    assert "fold: unknown key" in capsys.readouterr().err
    assert not (tmp_path / "artifact").exists()


def test_an_image_of_other_code_is_refused(
    repository: Path,
    tmp_path: Path,
    pointer: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("UNSTAINED_STATE", str(tmp_path / "state"))
    given = arguments(repository, pointer, tmp_path / "artifact")
    with pytest.raises(SystemExit):
        run_in_pod("validate", given | {"code": code_digest("split")})
    assert "other code of the stage validate" in capsys.readouterr().err
    run_in_pod("validate", given | {"code": code_digest("validate")})


def test_images_that_changed_since_the_graph_was_given_them_are_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Kubeflow's cache would know these cells by the digest of the files before."""
    monkeypatch.setenv("UNSTAINED_DATA_REMOTE", str(tmp_path / "remote"))
    write_ifc(tmp_path / "images", {"a_1": 2, "b_1": 2, "c_1": 2})
    params: Any = read_document(repository / "params.yaml").content
    data = SYNTHETIC | {"source": str(tmp_path / "images"), "markers": {}}
    params["studies"] = {"synthetic": params["studies"]["nsc"] | {"data": data}}
    params["active"] = ["synthetic"]
    YAML().dump(params, tmp_path / "params.yaml")
    given = run_arguments(tmp_path, "synthetic") | {
        "code": "",
        "pointer": SimpleNamespace(path=str(tmp_path / "pointer"), metadata={}),
        "summary": SimpleNamespace(path=str(tmp_path / "summary")),
    }
    assert run_arguments(tmp_path, "synthetic", repository="x", revision="y")["source"] == ""
    assert ingest_in_pod(as_doubles(given))["study"] == "synthetic"
    shutil.copytree(tmp_path / "images" / "a_1", tmp_path / "images" / "a_2")
    with pytest.raises(SystemExit):
        ingest_in_pod(as_doubles(given))
    assert "changed since this run was asked for" in capsys.readouterr().err
    assert run_arguments(tmp_path, "synthetic")["source"] != given["source"]
