"""`unstained export-package`: judged by the validators of those for whom it is written."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from tests.registered import STUDY
from unstained.artifact.artifact import artifact_digest, seal_artifact, verify_artifact
from unstained.cli import app
from unstained.errors import IntegrityError, ParameterError, UnstainedError
from unstained.files import read_json, write_json

pytestmark = pytest.mark.xdist_group("champion")

AUTHORS = ("--author", "Ada Lovelace", "--author", "Grace Hopper")
LICENCE = ("--license", "CC-BY-4.0")
CITED = ("--cite", "Blasi et al. 2016, 10.1038/ncomms10256")


def no_network(*_: object, **__: object) -> Any:
    raise AssertionError("the network was asked")


@pytest.fixture(autouse=True)
def here(champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(champion)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)


def model_zoo(file: Path, **options: Any) -> tuple[Any, bool]:
    """What the Model Zoo's validator reads of an rdf.yaml, and whether it takes it for a model.

    The validators are imported where they are called: the Model Zoo's takes eight seconds.
    """
    from bioimageio.spec import load_description
    from bioimageio.spec.model import ModelDescr

    found = load_description(file, format_version="latest", **options)
    return found, isinstance(found, ModelDescr)


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["export-package", STUDY, *map(str, words)])
    if done.exception is not None:
        raise done.exception
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def package(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages") / "toy model (é)"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(champion)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        said = run(folder, *AUTHORS, *LICENCE, *CITED)
    assert said.count("note:") == 1
    assert "was not verified" in said
    return folder


def test_it_holds_the_artifact_as_it_was_registered(package: Path, artifact: Path) -> None:
    assert verify_artifact(package / "artifact", artifact_digest(artifact))
    assert sorted(path.name for path in package.parent.iterdir()) == [package.name]


def test_the_model_zoo_s_validator_finds_nothing_wrong(package: Path) -> None:
    found, accepted = model_zoo(package / "rdf.yaml", perform_io_checks=True)
    assert accepted, found.validation_summary.display()
    assert found.validation_summary.status in ("passed", "valid-format")
    assert [author.name for author in found.authors] == ["Ada Lovelace", "Grace Hopper"]
    assert found.license == "CC-BY-4.0"
    assert str(found.cite[0].doi) == "10.1038/ncomms10256"
    pixels = found.inputs[0]
    assert [str(axis.id) for axis in pixels.axes] == ["batch", "channel", "y", "x"]
    assert (
        pixels.axes[2].scale
        == read_json(package / "artifact/card.json")["inputs"][0]["pixel_size_um"]
    )
    probabilities = next(out for out in found.outputs if str(out.id) == "probabilities")
    assert [str(name) for name in probabilities.axes[1].channel_names] == ["a", "b", "c"]


def test_the_model_zoo_s_validator_sees_damage(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package, copy)
    with (copy / "artifact" / "model.onnx").open("ab") as file:
        file.write(b"?")
    assert not model_zoo(copy / "rdf.yaml", perform_io_checks=True)[1]


def test_its_graph_gives_the_test_tensors(package: Path) -> None:
    """What the zoo's own test does: onnxruntime on the input, compared with every output."""
    found, _ = model_zoo(package / "rdf.yaml", perform_io_checks=False)
    graph = onnxruntime.InferenceSession(package / str(found.weights.onnx.source.path))
    pixels = np.load(package / "test_pixels.npy")
    answers = graph.run([str(out.id) for out in found.outputs], {"pixels": pixels})
    for out, answer in zip(found.outputs, answers, strict=True):
        expected = np.load(package / str(out.test_tensor.source.path))
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_hugging_face_reads_its_card(package: Path) -> None:
    card = ModelCard.load(package / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.pipeline_tag == "image-classification"
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("macro_f1", 0.5)
    assert "Research use only" in card.text
    assert "| macro F1 | 0.500 | – |" in card.text
    assert "Blasi et al. 2016" in card.text


def test_croissant_s_validator_reads_the_cells(
    package: Path, champion: Path, tmp_path: Path
) -> None:
    import mlcroissant

    store = champion / "runs" / STUDY / "ingest" / "store"
    place = tmp_path / "store"
    shutil.copytree(store, place)
    shutil.copy(package / "data" / "croissant.json", place)
    data = mlcroissant.Dataset(place / "croissant.json")
    assert not data.metadata.issues.errors
    assert all("datePublished" in warning for warning in data.metadata.issues.warnings)
    records = pd.DataFrame(list(data.records("cells")))
    records.columns = [name.removeprefix("cells/") for name in records]
    expected = pd.read_parquet(store / "cells.parquet")
    assert len(records) == len(expected)
    told = [name.decode() for name in records["cell_id"]]
    assert told == list(expected["cell_id"])
    np.testing.assert_allclose(records["marker_DNA"].astype(float), expected["marker_DNA"])


def test_what_nobody_told_is_said(tmp_path: Path) -> None:
    said = run(tmp_path / "out")
    assert "nobody is named as its author: --author NAME" in said
    assert "nobody knows who may use it: --license" in said
    assert model_zoo(tmp_path / "out" / "rdf.yaml")[1]


def test_a_model_of_other_cells_gets_no_metadata_of_these(tmp_path: Path, artifact: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(artifact, other)
    write_json(other / "card.json", read_json(other / "card.json") | {"data_digest": "0" * 64})
    seal_artifact(other)
    said = run(tmp_path / "out", "--artifact", other, *AUTHORS, *LICENCE)
    assert "no Croissant metadata" in said
    assert "holds other cells than the model's" in said
    assert not (tmp_path / "out" / "data").exists()
    assert "croissant" not in (tmp_path / "out" / "README.md").read_text().lower()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--author", "a/b"), "'a/b' is no name"),
        (("--cite", "Blasi et al. 2016"), "ends in no doi"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        run(tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_kept(tmp_path: Path, package: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UnstainedError, match="was not written by this command"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    shutil.copytree(package, tmp_path / "earlier")
    run(tmp_path / "earlier", *AUTHORS, *LICENCE, *CITED)
    assert (tmp_path / "earlier" / "rdf.yaml").read_bytes() == (package / "rdf.yaml").read_bytes()


def test_a_damaged_artifact_gives_no_package(tmp_path: Path, artifact: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(artifact, copy)
    write_json(copy / "card.json", read_json(copy / "card.json") | {"title": "Better"})
    with pytest.raises(IntegrityError, match=r"card\.json"):
        run(tmp_path / "out", "--artifact", copy)
    assert not (tmp_path / "out").exists()
