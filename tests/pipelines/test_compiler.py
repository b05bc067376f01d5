"""Compiled graphs: the committed ones are current, every cluster's are valid and placed right."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.base import UNBUILT_IMAGE
from pipelines.arguments import run_arguments
from pipelines.compiler import GRAPHS, compile_graph, compile_resources
from pipelines.deployment import load_deployment, require_built
from tests.k8s.schemas import custom_faults
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.errors import ParameterError
from unstained.pipeline.catalogue import OPERATIONS, STAGES
from unstained.pipeline.freshness import code_digest

OVERLAYS = ("local", "gpu", "prod")
IMAGE = "registry.example.org/lab/train@sha256:" + "5e" * 32
NEVER_CACHED = {
    "fetch",
    "nominate",
    "register",
    "compare",
    "promote",
    "report",
    "monitor",
    "report-run",
}


pytestmark = pytest.mark.usefixtures("quick_compiler")


@pytest.fixture(autouse=True)
def _no_image_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSTAINED_TRAIN_IMAGE", raising=False)


def compiled(repository: Path, name: str, overlay: str) -> tuple[dict, dict]:
    """Graph and settings of a pipeline as it is compiled now; only to be read."""
    return _compiled(repository, name, overlay, os.environ.get("UNSTAINED_TRAIN_IMAGE"))


@cache
def _compiled(repository: Path, name: str, overlay: str, image: str | None) -> tuple[dict, dict]:
    """`image` is the one in the environment, which the compiler reads there."""
    text = _written(repository, name, overlay, image)
    graph, platform = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return graph, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@cache
def _written(repository: Path, name: str, overlay: str, image: str | None) -> str:
    """The text of a compiled graph; a compilation takes seconds."""
    deployment = load_deployment(repository, overlay)
    given = run_arguments(repository, "nsc")
    with TemporaryDirectory() as folder:
        path = compile_graph(name, deployment, given, Path(folder) / "graph.yaml").path
        return path.read_text(encoding="utf-8")


def tasks(graph: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task that runs a container, of all nested graphs, by the name of its component."""
    dags = [graph["root"], *graph["components"].values()]
    inner = [task for dag in dags for task in dag.get("dag", {}).get("tasks", {}).items()]
    return {
        name: task
        for name, task in inner
        if "executorLabel" in graph["components"][task["componentRef"]["name"]]
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_committed_graphs_are_current(repository: Path, name: str) -> None:
    committed = repository / "pipelines" / "compiled" / f"{name}.yaml"
    made = _written(repository, name, "gpu", None)
    assert made == committed.read_text(), "run: unstained pipeline compile"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_are_valid(repository: Path, name: str, overlay: str) -> None:
    graph, executors = compiled(repository, name, overlay)
    json_format.ParseDict(graph, pipeline_spec_pb2.PipelineSpec())
    images = {
        executor["container"]["image"] for executor in graph["deploymentSpec"]["executors"].values()
    }
    assert images == {UNBUILT_IMAGE}
    for label in graph["deploymentSpec"]["executors"]:
        settings = executors[label]
        assert settings["securityContext"]["runAsNonRoot"] is True
        assert settings["configMapAsEnv"][0]["configMapName"] == "unstained-platform"
        secrets = {secret["secretName"] for secret in settings["secretAsEnv"]}
        own = {"exec-promote": {"unstained-signing"}, "exec-report-run": {"unstained-notify"}}
        assert secrets == {"unstained-s3", "unstained-mlflow-tokens"} | own.get(label, set()), label
        maps = {source["configMapName"] for source in settings["configMapAsEnv"]}
        goes_by_the_ledger = label in ("exec-compare", "exec-promote", "exec-monitor")
        assert ("unstained-trust" in maps) is goes_by_the_ledger, label


@pytest.mark.parametrize("name", GRAPHS)
def test_only_what_follows_from_its_arguments_is_cached(repository: Path, name: str) -> None:
    graph, _ = compiled(repository, name, "prod")
    for task, content in tasks(graph).items():
        cached = content["cachingOptions"].get("enableCache", False)
        assert cached is (task not in NEVER_CACHED), task


def test_no_key_of_the_cache_is_shared_by_the_tasks_of_a_loop(repository: Path) -> None:
    graph, _ = compiled(repository, "training", "prod")
    for name in ("tune", "train", "export"):
        content = tasks(graph)[name]
        assert "cacheKey" not in content["cachingOptions"]
        assert "model" in content["inputs"]["parameters"]


def test_training_asks_for_a_gpu_and_comes_back_after_preemption(repository: Path) -> None:
    graph, executors = compiled(repository, "training", "gpu")
    for name in ("train", "tune"):
        resources = graph["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["resources"]
        assert resources["accelerator"]["resourceCount"] == "1"
        assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
        assert resources["resourceCpuLimit"] == resources["resourceCpuRequest"]
        settings = executors[f"exec-{name}"]
        assert settings["nodeSelector"]["labels"] == {"nvidia.com/gpu.present": "true"}
        assert settings["tolerations"][0]["operator"] == "Exists"
        assert "value" not in settings["tolerations"][0]
        memory = [v for v in settings["emptyDirMounts"] if v["mountPath"] == "/dev/shm"]
        assert memory[0]["medium"] == "Memory"
        assert {"/state"} == {claim["mountPath"] for claim in settings["pvcMount"]}
        assert tasks(graph)[name]["retryPolicy"]["maxRetryCount"] == 4
    light = graph["deploymentSpec"]["executors"]["exec-compare"]["container"]["resources"]
    assert "accelerator" not in light


@pytest.mark.parametrize(
    ("name", "asking"),
    [("training", {"exec-compare", "exec-promote"}), ("monitoring", {"exec-monitor"})],
)
def test_who_asks_for_the_champion_reaches_the_ledger(
    repository: Path, name: str, asking: set[str]
) -> None:
    _, executors = compiled(repository, name, "prod")
    holders = {
        label
        for label, settings in executors.items()
        if any(claim["mountPath"] == "/ledger" for claim in settings["pvcMount"])
    }
    assert holders == asking


def test_the_champion_is_moved_by_the_tasks_that_decide_alone(repository: Path) -> None:
    """MLflow's token is the promoter's there, the writer's in every other task."""
    for name in GRAPHS:
        _, executors = compiled(repository, name, "prod")
        for label, settings in executors.items():
            tokens = [
                variable["secretKey"]
                for secret in settings["secretAsEnv"]
                for variable in secret["keyToEnv"]
                if variable["envVar"] == "MLFLOW_TRACKING_TOKEN"
            ]
            decides = label in ("exec-compare", "exec-promote")
            assert tokens == ["promoter" if decides else "writer"], label


def test_resources_for_a_repository_that_is_applied(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold the graph that is submitted otherwise, under a name of its own for each content."""
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    graph, executors = compiled(repository, "monitoring", "gpu")
    deployment = load_deployment(repository, "gpu")
    made = compile_resources(
        "monitoring", deployment, run_arguments(repository, "nsc"), tmp_path / "m.yaml"
    )
    pipeline, version = yaml.safe_load_all(made.path.read_text())
    assert custom_faults(pipeline) == custom_faults(version) == []
    assert pipeline["metadata"] == {"name": "unstained-monitoring", "namespace": "unstained"}
    assert version["metadata"]["name"] == f"unstained-monitoring-{made.version}"
    spec = version["spec"]
    assert spec["pipelineName"] == pipeline["metadata"]["name"]
    assert spec["pipelineSpec"] == graph
    platform = spec["platformSpec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert platform == executors


def test_the_image_of_all_is_the_pipelines_image(repository: Path, tmp_path: Path) -> None:
    for part in ("k8s/images", "k8s/overlays/gpu"):
        shutil.copytree(repository / part, tmp_path / part)
    images = tmp_path / "k8s/images/kustomization.yaml"
    images.write_text(images.read_text().replace("0" * 64, "5e" * 32))
    require_built(tmp_path, "gpu")
    assert load_deployment(tmp_path, "gpu").image.endswith("unstained-train@sha256:" + "5e" * 32)
    images.write_text(images.read_text().replace("digest: sha256:" + "5e" * 32, "newTag: v1"))
    with pytest.raises(ParameterError, match="unstained-train:v1' is not named by its digest"):
        load_deployment(tmp_path, "gpu")


def test_the_image_comes_by_its_digest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="no image of this project is named"):
        require_built(repository, "gpu")
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", "registry.example.org/lab/train:latest")
    with pytest.raises(ParameterError, match="not named by its digest"):
        load_deployment(repository, "gpu")
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    require_built(repository, "gpu")
    graph, _ = compiled(repository, "training", "gpu")
    assert graph["deploymentSpec"]["executors"]["exec-train"]["container"]["image"] == IMAGE


def test_the_key_of_the_cache_holds_the_code_of_the_stage(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def codes(name: str) -> dict[str, str]:
        graph, _ = compiled(repository, name, "gpu")
        return {
            task: content["inputs"]["parameters"]["code"]["runtimeValue"]["constant"]
            for task, content in tasks(graph).items()
            if task in (*STAGES, *OPERATIONS)
        }

    assert set(codes("training").values()) == {""}, "no image, no code"
    monkeypatch.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    assert codes("training") == {name: code_digest(name) for name in STAGES}
    for name in ("promotion", "monitoring"):
        assert all(digest == code_digest(task) for task, digest in codes(name).items())


def test_any_study_and_any_models(repository: Path) -> None:
    given = run_arguments(repository, "cellcycle", recipe="full", models=("resnet50",))
    assert [model["model"] for model in given["models"]] == ["resnet50"]
    assert given["models"][0]["params"]["depth"] == [3, 4, 6, 3]
    assert given["train"]["epochs"] == 100


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"study": "wbcs"}, "there is no study 'wbcs'"),
        ({"study": "nsc", "recipe": "papier"}, "no recipe 'papier'"),
        ({"study": "nsc", "models": ("resnet51",)}, "there is no model 'resnet51'"),
    ],
)
def test_unknown_names_are_refused(repository: Path, names: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        run_arguments(repository, **names)


def test_unknown_clusters_are_refused(repository: Path) -> None:
    with pytest.raises(ParameterError, match="use one of: gpu, local, prod"):
        load_deployment(repository, "gpus")


@pytest.mark.parametrize("study", ["nsc", "cellcycle"])
def test_tasks_keep_their_order_where_keys_are_sorted(repository: Path, study: str) -> None:
    """Kubeflow carries arguments as protobuf structs, which sort the keys of every mapping."""
    sent = json.loads(json.dumps(run_arguments(repository, study)["data"], sort_keys=True))
    project = load_params(repository / "params.yaml")
    assert StudyData.model_validate(sent).tasks == project.studies[study].data.tasks
