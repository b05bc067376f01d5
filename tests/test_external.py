"""`unstained evaluate-external`: a real champion on labelled files, against scikit-learn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from typer.testing import CliRunner

from tests.registered import STUDY
from tests.stages.studies import make_job
from tests.synthetic import write_ifc
from unstained.artifact.artifact import artifact_digest
from unstained.cli import app
from unstained.config.project import load_params
from unstained.errors import ParameterError, SourceError, UnstainedError
from unstained.external_source import pack_what_is_told, without
from unstained.files import read_json, tree_sha256
from unstained.pipeline.catalogue import pick_params
from unstained.serving.predictor import Predictor
from unstained.stages import ingest

pytestmark = pytest.mark.xdist_group("champion")

SAMPLES = {"a_1": 9, "b_1": 8, "b_2": 7}
"""Of class c there is none."""


@pytest.fixture(autouse=True)
def here(champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(champion)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def run(*words: object) -> str:
    done = CliRunner().invoke(
        app, ["evaluate-external", STUDY, *map(str, words)], catch_exceptions=False
    )
    assert done.exit_code == 0
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ifc(tmp_path_factory.mktemp("labelled") / "other lab", SAMPLES)


@pytest.fixture(scope="module")
def done(images: Path, champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command wrote."""
    folder = tmp_path_factory.mktemp("out") / "scored"
    store = champion / "runs" / STUDY / "ingest" / "store"
    before = tree_sha256(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(champion)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        said = run(images, "--out", folder)
    assert f"{sum(SAMPLES.values())} cells" in said
    assert tree_sha256(store) == before, "the store of training must not change"
    assert not list((champion / "state").glob("external-*")), "nothing is left behind"
    return folder


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_scores_agree_with_scikit_learn_and_the_artifact(done: Path, artifact: Path) -> None:
    found = read_json(done / "metrics.json")
    told = pd.read_parquet(done / "predictions.parquet")
    assert len(told) == found["cells"] == 24
    assert found["artifact_digest"] == artifact_digest(artifact)
    assert sorted(told["label"].unique()) == [0, 1]
    expected = balanced_accuracy_score(told["label"], told["predicted"])
    scores = found["tasks"]["blob"]
    known = [scores[name]["value"] for name in scores if name != "known"]
    assert any(value == pytest.approx(expected, abs=1e-6) for value in known)
    recall = (told["predicted"] == 1)[told["label"] == 1].mean()
    assert found["classes"]["b"]["recall"]["value"] == pytest.approx(recall, abs=1e-6)


def test_classes_without_a_cell_are_left_out_and_named(done: Path) -> None:
    found = read_json(done / "metrics.json")
    assert found["absent_classes"] == ["c"]
    assert set(found["classes"]) == {"a", "b"}
    page = (done / "external.html").read_text()
    assert "No cell here is of class c" in page


def test_coverage_groups_and_refusals_are_counted(done: Path, artifact: Path) -> None:
    found = read_json(done / "metrics.json")
    told = pd.read_parquet(done / "predictions.parquet")
    sets = told[["set_0", "set_1", "set_2"]].to_numpy()
    held = sets[np.arange(len(told)), told["label"]]
    covered = {one["name"]: one for one in found["covered"]}
    assert covered["all"]["found"]["value"] == pytest.approx(held.mean(), abs=1e-6)
    assert covered["all"]["promise"] == pytest.approx(0.9)
    assert covered["b"]["cells"] == 15
    assert [(group["name"], group["cells"]) for group in found["groups"]] == [*SAMPLES.items()]
    assert found["refused"]["promise"] == Predictor(artifact)._rules.false_alarms
    assert 0 <= found["refused"]["share"]["value"] <= 1


def test_an_artifact_alone_has_nothing_to_be_compared_with(
    images: Path, artifact: Path, tmp_path: Path
) -> None:
    run(images, "--out", tmp_path / "alone", "--artifact", artifact)
    found = read_json(tmp_path / "alone" / "metrics.json")
    assert (found["version"], found["drift"]) == (None, [])
    assert "an artifact alone does not hold them" in (tmp_path / "alone/external.html").read_text()


def test_groups_of_the_models_own_data_are_named(artifact: Path, tmp_path: Path) -> None:
    own = read_json(artifact / "card.json")["groups"][0]
    source = write_ifc(tmp_path / "again", {own: 4, "b_9": 4})
    said = run(source, "--out", tmp_path / "out", "--artifact", artifact)
    assert f"of 2 groups the names of 1 are in the model's own data, such as {own}" in said


@pytest.mark.parametrize("more", [(), ("--reader", "table")])
def test_a_source_without_the_stain_of_a_value_is_scored_without_it(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    """Its files lack the channel, or their layout knows none."""
    source = write_ifc(tmp_path / "unstained", {"a_1": 5, "b_1": 5}, channels=("Ch1",))
    said = run(source, "--out", tmp_path / "out", *more)
    assert "note: no cell here tells DNA" in said
    found = read_json(tmp_path / "out" / "metrics.json")
    assert found["tasks"]["DNA"]["known"] == 0
    assert found["tasks"]["blob"]["known"] == 10
    told = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert told["target_DNA"].isna().all()
    assert told["predicted_DNA"].notna().all()
    assert "No cell here tells DNA" in (tmp_path / "out" / "external.html").read_text()


def test_where_no_task_would_be_left_what_is_lacking_is_told(
    champion: Path, tmp_path: Path
) -> None:
    content = load_params(champion / "params.yaml").content(STUDY, ())
    params = pick_params(ingest.STAGE, content, None)
    values = tuple(task for task in params.data.tasks if task.kind == "value")
    only = params.data.model_copy(update={"tasks": values, "reader": "table"})
    assert without(params.data, ["Ch9"]) is params.data
    assert [task.name for task in without(params.data, ["Ch2"]).tasks] == ["blob"]
    job = make_job(tmp_path, None)
    asked = params.model_copy(update={"data": only.model_copy(update={"source": str(tmp_path)})})
    with pytest.raises(ParameterError, match="no marker channels"):
        pack_what_is_told(asked, job)


def test_a_source_without_labels_is_sent_to_predict(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unlabelled"
    shutil.copytree(images / "a_1", folder / "zz")
    for path in (folder / "zz").iterdir():
        path.rename(path.with_name(path.name.replace("a_1", "zz")))
    with pytest.raises(SourceError, match="class"):
        run(folder, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SourceError, match="there is no"):
        run(tmp_path / "nowhere")


def test_an_earlier_result_is_replaced_whole(done: Path, images: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(done, again)
    (again / "stale").write_text("")
    run(images, "--out", again)
    assert sorted(path.name for path in again.iterdir()) == [
        "external.html",
        "metrics.json",
        "predictions.parquet",
        "quarantine.csv",
    ]
    assert (again / "metrics.json").read_text() == (done / "metrics.json").read_text()


def test_a_folder_of_something_else_is_kept(images: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UnstainedError, match="was not written by this command") as error:
        run(images, "--out", tmp_path)
    assert error.value.remedy == "name a new folder"
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
