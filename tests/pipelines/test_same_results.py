"""`dvc repro`, the compiled pipeline and direct calls give equal bytes.

The pipeline runs for real, from the DVC remote on S3 to a promotion in MLflow on PostgreSQL and S3.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.demo import COMMIT, RECIPE
from tests.servers.ceph import S3Server
from unstained.config.project import load_params
from unstained.files import read_json, tree_sha256
from unstained.pipeline.catalogue import STAGES, stage_definition
from unstained.pipeline.runner import run_stage

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("s3")

BIN = Path(sys.executable).parent
MODELS = ("plain_cnn", "features_boosting")


def command(place: Path, *words: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        words, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"{' '.join(words)} failed:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}")
    return done.stdout


class Results:
    """Where the results of one way of running lie, whatever the way."""

    def __init__(self, stages: dict[str, Path]) -> None:
        self.stages = stages

    def digests(self) -> dict[str, str]:
        """What must not depend on the way: split, weights, predictions, ONNX graphs."""
        found = {
            "split": tree_sha256(self.stages["split"] / "split.parquet"),
            "clusters": tree_sha256(self.stages["validate"] / "clusters.parquet"),
        }
        for model in MODELS:
            for name in ("predictions.parquet", "calibration.json"):
                found[f"{name} of {model}"] = tree_sha256(self.stages["evaluate"] / model / name)
            found[f"weights of {model}"] = tree_sha256(self.stages["train"] / model / "model")
            graph = self.stages["export"] / model / "artifact" / "model.onnx"
            found[f"graph of {model}"] = tree_sha256(graph)
        return found

    def decision(self) -> dict[str, Any]:
        """The decision; of the latency, which is measured anew each time, only its verdict."""
        content = read_json(self.stages["promote"] / "decision.json")
        for criterion in content["criteria"]:
            if criterion["name"] == "latency":
                assert criterion.pop("value") > 0
                assert criterion.pop("sentence")
        return dict(content)

    def fingerprints(self) -> dict[str, str]:
        """Of the stages whose inputs hold no measured time."""
        places = {name: self.stages[name] for name in ("validate", "split", "controls")}
        places |= {f"evaluate {model}": self.stages["evaluate"] / model for model in MODELS}
        places |= {f"train {model}": self.stages["train"] / model for model in MODELS}
        places |= {f"tune {model}": self.stages["tune"] / model for model in MODELS}
        return {
            name: read_json(path / "report.json")["fingerprint"] for name, path in places.items()
        }


def of_project(root: Path) -> Results:
    return Results({name: root / "runs" / "nsc" / name for name in STAGES})


def of_pipeline(place: Path, target: Path) -> Results:
    """The artifacts of a run, gathered by stage."""
    from unstained.pipeline.pod import ARTIFACTS

    for name, artifact in ARTIFACTS.items():
        for path in place.rglob(f"{name}/{artifact}"):
            shutil.copytree(path, target / name, dirs_exist_ok=True)
    return Results({name: target / name for name in STAGES})


@pytest.fixture(scope="module")
def environment(s3: S3Server) -> dict[str, str]:
    """Of all ways: the S3 server, one commit, one thread."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("UNSTAINED_")}
    kept.pop("MLFLOW_TRACKING_URI", None)
    return (
        kept
        | s3.environment
        | {"UNSTAINED_GIT_COMMIT": COMMIT, "COLUMNS": "200"}
        | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    )


@pytest.fixture(scope="module")
def by_dvc(finished: Path, s3: S3Server, environment: dict[str, str]) -> Path:
    """A project after `dvc repro`, pushed to S3 and committed."""
    remote = f"s3://{s3.new_bucket()}/dvc"
    command(finished, "dvc", "remote", "add", "-d", "lab", remote, environment=environment)
    command(finished, "dvc", "push", "-q", environment=environment)
    command(finished, "git", "commit", "-qam", "a remote", environment=environment)
    return finished


@pytest.fixture(scope="module")
def by_pipeline(
    by_dvc: Path, tracking: tuple[str, str], environment: dict[str, str]
) -> tuple[Path, Results]:
    """A second project after `unstained pipeline run` on the first one's revision."""
    project = by_dvc.parent / "pipeline"
    project.mkdir()
    shutil.copy(by_dvc / "params.yaml", project)
    shutil.copytree(ROOT / "k8s", project / "k8s")
    words = ("unstained", "pipeline", "run", "--study", "nsc")
    words += ("--repository", str(by_dvc), "--revision", "HEAD")
    served = environment | {"MLFLOW_TRACKING_URI": tracking[0]}
    command(project, *words, environment=served)
    (place,) = (project / "runs" / "pipeline").iterdir()
    return place, of_pipeline(place, by_dvc.parent / "gathered")


def test_the_pipeline_gives_the_bytes_of_dvc_repro(
    by_dvc: Path, by_pipeline: tuple[Path, Results]
) -> None:
    _, results = by_pipeline
    expected = of_project(by_dvc)
    assert results.digests() == expected.digests()
    assert results.decision() == expected.decision()
    assert results.fingerprints() == expected.fingerprints()
    assert results.decision()["promoted"] is True


@pytest.mark.minutes
def test_direct_calls_give_the_bytes_of_dvc_repro(
    by_dvc: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = by_dvc.parent / "direct"
    root.mkdir()
    shutil.copy(by_dvc / "params.yaml", root)
    monkeypatch.setenv("UNSTAINED_GIT_COMMIT", environment["UNSTAINED_GIT_COMMIT"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    models = load_params(root / "params.yaml").models
    for name in STAGES:
        for model in models if stage_definition(name).per == "model" else (None,):
            run_stage(name, "nsc", model, root=root)
    assert of_project(root).digests() == of_project(by_dvc).digests()
    assert of_project(root).decision() == of_project(by_dvc).decision()


def test_no_pixel_is_an_artifact_of_the_pipeline(by_pipeline: tuple[Path, Results]) -> None:
    place, _ = by_pipeline
    (pointer,) = [json.loads(path.read_text()) for path in place.rglob("fetch/pointer")]
    assert pointer["remote"].startswith("s3://")
    assert pointer["rows"] > 0
    assert len(pointer["revision"]) == 40
    assert not list(place.rglob("store"))


def test_the_ui_gets_curves_metrics_and_pages(by_pipeline: tuple[Path, Results]) -> None:
    place, _ = by_pipeline
    for name in ("page", "leaderboard"):
        assert "<html" in (place / "report" / name).read_text(encoding="utf-8")
    output = json.loads((place / "controls" / "executor_output.json").read_text())
    curves = output["artifacts"]["curves"]["artifacts"][0]["metadata"]
    assert curves["confusionMatrix"]["annotationSpecs"]
    assert len(curves["confidenceMetrics"]) > 2
    (ending,) = place.rglob("report-run/summary")
    assert "succeeded" in ending.read_text()


def test_the_champion_stands_in_the_served_registry(
    by_pipeline: tuple[Path, Results], tracking: tuple[str, str], s3: S3Server
) -> None:
    from unstained.registry.registry import CHAMPION, Registry

    _, results = by_pipeline
    registry = Registry(tracking[0], Path("/nonexistent"))
    assert registry.alias("unstained-nsc", CHAMPION) == results.decision()["champion"]
    assert s3.client().list_objects_v2(Bucket=tracking[1])["KeyCount"] > 0


def pipeline_again(
    by_dvc: Path, environment: dict[str, str], address: str, *words: str
) -> tuple[Path, str]:
    """One more run in the pipeline's project: the directory of its artifacts, what it printed."""
    project = by_dvc.parent / "pipeline"
    before = set((project / "runs" / "pipeline").iterdir())
    served = environment | {"MLFLOW_TRACKING_URI": address}
    said = command(project, "unstained", "pipeline", "run", *words, environment=served)
    (place,) = set((project / "runs" / "pipeline").iterdir()) - before
    return place, said


@pytest.mark.minutes
def test_promotion_decides_about_registered_versions(
    by_dvc: Path,
    by_pipeline: tuple[Path, Results],
    tracking: tuple[str, str],
    environment: dict[str, str],
) -> None:
    words = ("promotion", "--repository", str(by_dvc), "--revision", "HEAD")
    place, said = pipeline_again(by_dvc, environment, tracking[0], *words)
    (decision,) = [read_json(path) for path in place.rglob("promote/decision/decision.json")]
    _, results = by_pipeline
    assert decision["challenger"] == results.decision()["champion"]
    assert decision["promoted"] is False
    assert "stays champion" in said
    assert not list(place.rglob("train"))


@pytest.mark.minutes
def test_monitoring_packs_new_images_and_watches_the_champion(
    by_dvc: Path,
    by_pipeline: tuple[Path, Results],
    tracking: tuple[str, str],
    environment: dict[str, str],
) -> None:
    """Without a repository the run packs the images itself: here simulated, two more of a class."""
    params = by_dvc.parent / "pipeline" / "params.yaml"
    edit(params, *RECIPE, "simulate", "acquisitions_per_class", value=6)
    place, said = pipeline_again(by_dvc, environment, tracking[0], "monitoring")
    (watch,) = [read_json(path) for path in place.rglob("monitor/watch/watch.json")]
    _, results = by_pipeline
    assert watch["version"] == results.decision()["champion"]
    assert watch["groups"] == 6
    assert watch["cells"] <= 6 * 16
    assert "images have changed" in said or "drift was found" in said or "cells look" in said
    assert list(place.rglob("ingest/pointer"))
