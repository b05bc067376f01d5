"""`unstained predict`: a real champion on files of many kinds, against the artifact itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.prediction.fcs import read_fcs
from tests.registered import STUDY
from tests.synthetic import write_ifc, write_image
from unstained.artifact.abstention import REASONS
from unstained.artifact.artifact import artifact_digest
from unstained.cli import app
from unstained.config.project import load_params
from unstained.config.study import TableParams
from unstained.data.store.cell_store import CellStore
from unstained.errors import ParameterError, RegistryError, SourceError, UnstainedError
from unstained.prediction import judging, predicting, source
from unstained.prediction.formats import write_table
from unstained.prediction.source import FromFiles
from unstained.serving.predictor import Predictor

pytestmark = pytest.mark.xdist_group("champion")

SAMPLES = {"from_the_clinic": 5, "another day (é)": 4}
"""Directories whose names match no class of the study."""


@pytest.fixture(autouse=True)
def here(champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(champion)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_ifc(tmp_path / "images", SAMPLES, channels=("Ch1",))


def run(*words: object) -> str:
    """Output and errors of the command; what it raises is raised."""
    done = CliRunner().invoke(app, ["predict", STUDY, *map(str, words)], catch_exceptions=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout + done.stderr


def predicted(images: Path, out: Path, *words: object) -> pd.DataFrame:
    run(images, "--out", out, *words)
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


def expected(artifact: Path, images: Path, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the artifact says of the frame's files, read here."""
    pixels = [tifffile.imread(images / name)[None] for name in frame["source_file"]]
    return Predictor(artifact).predict(pixels)


def test_a_row_says_of_each_cell_what_the_artifact_says(
    images: Path, artifact: Path, tmp_path: Path
) -> None:
    frame = predicted(images, tmp_path / "found.csv")
    assert len(frame) == sum(SAMPLES.values())
    assert set(frame["acquisition"]) == set(SAMPLES)
    found = expected(artifact, images, frame)
    columns = [f"probability_{name}" for name in "abc"]
    np.testing.assert_allclose(frame[columns], found["probabilities"], rtol=1e-4, atol=1e-6)
    best = found["probabilities"].argmax(axis=1)
    assert list(frame["predicted"]) == ["abc"[number] for number in best]
    np.testing.assert_allclose(frame["predicted_DNA"], found["targets"][:, 0], rtol=1e-4)
    told = (found["conformal_set"], found["abstention"], frame["set"], frame["reason"])
    for held, against, said, why, abstains in zip(*told, frame["abstains"], strict=True):
        members = " or ".join(name for name, inside in zip("abc", held, strict=True) if inside)
        assert said == members or (pd.isna(said) and not members)
        expected_reasons = [
            words for words, holds in zip(REASONS.values(), against, strict=True) if holds
        ]
        if held.sum() > 1:
            expected_reasons.insert(0, f"may be {members}")
        elif not held.any():
            expected_reasons.insert(0, "like no class that the model knows")
        assert abstains == bool(expected_reasons)
        assert ("" if pd.isna(why) else why) == "; ".join(expected_reasons)
    assert set(frame["model_digest"]) == {artifact_digest(artifact)}
    assert set(frame["model_version"]) == {1}


def test_a_flat_folder_one_image_and_a_store_are_read_too(
    images: Path, artifact: Path, champion: Path, tmp_path: Path
) -> None:
    known = predicted(images, tmp_path / "known.csv").set_index("source_file")
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in images.rglob("*.tif"):
        shutil.copy(path, flat / f"cell {path.name.split('_')[-2]} of {path.parent.name}.tif")
    frame = predicted(flat, tmp_path / "flat.csv")
    assert sorted(frame["predicted_DNA"]) == pytest.approx(sorted(known["predicted_DNA"]))
    name = known.index[3]
    alone = predicted(images / name, tmp_path / "one.csv")
    assert alone["predicted_DNA"].item() == pytest.approx(known.loc[name, "predicted_DNA"])
    assert alone["source_file"].item() == Path(name).name
    store = CellStore.open(champion / "runs" / STUDY / "ingest" / "store")
    frame = predicted(store.path, tmp_path / "store.csv")
    assert list(frame["source_file"]) == list(store.table["source_file"])
    found = Predictor(artifact).predict(store.images(np.arange(len(store))))
    np.testing.assert_allclose(frame["predicted_DNA"], found["targets"][:, 0], rtol=1e-4)


def test_cells_of_several_samples_in_one_folder_have_a_row_each(
    images: Path, tmp_path: Path
) -> None:
    """Their numbers count within a sample, so that the same ones come again."""
    known = predicted(images, tmp_path / "known.csv")
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in images.rglob("*.tif"):
        shutil.copy(path, flat)
    frame = predicted(flat, tmp_path / "flat.csv")
    assert set(frame["acquisition"]) == set(SAMPLES)
    by_file = frame.set_index("source_file")["predicted_DNA"]
    assert by_file[known["source_file"].map(lambda name: Path(name).name)].to_numpy() == (
        pytest.approx(known["predicted_DNA"].to_numpy())
    )


def test_what_cannot_be_judged_has_a_row_that_says_why(images: Path, tmp_path: Path) -> None:
    cell = next((images / "from_the_clinic").glob("*_1_*"))
    cell.write_bytes(b"no image")
    blank = next((images / "from_the_clinic").glob("*_2_*"))
    tifffile.imwrite(blank, np.full((40, 40), 700, np.uint16))
    (images / "from_the_clinic" / "notes.czi").write_bytes(b"?")
    said = run(images, "--out", tmp_path / "found.csv")
    assert "notes.czi" in said
    frame = pd.read_csv(tmp_path / "found.csv").set_index("source_file")
    assert len(frame) == sum(SAMPLES.values())
    refused = frame.loc[[path.relative_to(images).as_posix() for path in (cell, blank)]]
    assert refused["abstains"].all()
    assert refused["predicted"].isna().all()
    assert refused["probability_a"].isna().all()
    assert refused["reason"].iloc[0].startswith("truncated or corrupt")
    assert refused["reason"].iloc[1] == "is 700 in every pixel: no light, or no cell"
    said = run(images, "--out", tmp_path / "found.fcs")
    assert "without 2 cells that could not be judged" in said
    assert len(read_fcs(tmp_path / "found.fcs").events["Object"]) == sum(SAMPLES.values()) - 2


def test_every_format_holds_the_same(images: Path, artifact: Path, tmp_path: Path) -> None:
    frame = predicted(images, tmp_path / "a.csv")
    run(images, "--out", tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(
        pq.read_table(tmp_path / "a.parquet").to_pandas()[["predicted", "predicted_DNA"]],
        frame[["predicted", "predicted_DNA"]].astype({"predicted_DNA": np.float32}),
        check_exact=False,
    )
    run(images, "--out", tmp_path / "a.fcs")
    fcs = read_fcs(tmp_path / "a.fcs")
    for name in ("predicted_DNA", "probability_b"):
        np.testing.assert_allclose(fcs.events[name], frame[name], rtol=1e-5)
        assert fcs.ranges[name] > frame[name].max()
    np.testing.assert_array_equal(fcs.events["Object"], frame["object"])
    files = [fcs.text[f"UNSTAINED_FILE_{int(n)}"] for n in fcs.events["File"]]
    assert files == list(frame["source_file"])
    classes = [fcs.text[f"UNSTAINED_CLASS_{int(n)}"] for n in fcs.events["class"]]
    assert classes == list(frame["predicted"])
    assert fcs.text["UNSTAINED_MODEL_DIGEST"] == artifact_digest(artifact)
    run(images, "--out", tmp_path / "a.h5ad")
    data = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_allclose(data[:, "predicted_DNA"].X[:, 0], frame["predicted_DNA"], rtol=1e-5)
    assert list(data.obs["predicted"]) == list(frame["predicted"])
    np.testing.assert_allclose(
        data.obsm["X_embedding"],
        expected(artifact, images, frame)["embedding"],
        rtol=1e-4,
        atol=1e-5,
    )
    assert list(data.obsm["probabilities"]) == [f"probability_{name}" for name in "abc"]
    assert data.uns["unstained"]["model_version"] == "1"


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "AT_ONCE", 2)
    out = tmp_path / "found.csv"
    run(images, "--out", tmp_path / "whole.csv")
    judge, done = judging.judge, []

    def stops(task: judging.Task) -> judging.Judged:
        if len(done) == 3:
            raise UnstainedError("stopped", "run again")
        done.append(task)
        return judge(task)

    with monkeypatch.context() as patch:
        patch.setattr(predicting, "judge", stops)
        with pytest.raises(UnstainedError, match="stopped"):
            run(images, "--out", out)
    assert not out.exists()
    said = run(images, "--out", out)
    assert "note: 6 were judged by a run that was stopped" in said
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found.csv", "images", "whole.csv"]


def test_a_part_is_not_trusted_once_its_images_have_changed(images: Path) -> None:
    cells = source.open_cells(*opened(images))
    batch = cells.batches[0]
    assert isinstance(batch, FromFiles)
    before = batch.state()
    path = next((images / batch.part.acquisition.directory).iterdir())
    path.write_bytes(path.read_bytes() + b" ")
    assert batch.state() != before


def opened(images: Path) -> tuple[object, ...]:
    """Arguments of `open_cells` for the toy study."""
    from tests.stages.studies import study_data
    from unstained.config.ingest import IngestParams

    return (
        study_data(),
        images,
        None,
        IngestParams(on_error="fail", workers=1, cells_per_block=4096),
    )


def test_two_processes_say_what_one_says(images: Path, tmp_path: Path) -> None:
    run(images, "--out", tmp_path / "one.csv", "--workers", 1)
    run(images, "--out", tmp_path / "two.csv", "--workers", 2)
    one, two = (pd.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    pd.testing.assert_frame_equal(one, two, rtol=1e-4)


def test_any_registered_version_or_artifact_may_be_asked(
    images: Path, artifact: Path, tmp_path: Path
) -> None:
    known = predicted(images, tmp_path / "known.csv")
    for words in (("--version", 1), ("--alias", "champion"), ("--artifact", artifact)):
        pd.testing.assert_frame_equal(
            predicted(images, tmp_path / "found.csv", *words).drop(columns="model_version"),
            known.drop(columns="model_version"),
        )
    with pytest.raises(RegistryError, match="no version 7"):
        run(images, "--version", 7)
    with pytest.raises(RegistryError, match="has the alias 'chalenger'"):
        run(images, "--alias", "chalenger")
    with pytest.raises(ParameterError, match="name one model each"):
        run(images, "--version", 1, "--artifact", artifact)


def test_where_no_cell_could_be_judged_no_class_is_told(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "blank.tif", np.full((40, 40), 700, np.uint16))
    said = run(tmp_path, "--out", tmp_path / "found.csv")
    assert "predicted: none\n" in said
    assert "1  is 700 in every pixel" in said


def test_images_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    write_image(tmp_path / "small.png", np.arange(1600, dtype=np.uint8).reshape(40, 40) // 8)
    with pytest.raises(SourceError, match=r"small.png holds 1 image of uint8, the model takes 1"):
        run(tmp_path / "small.png", "--out", tmp_path / "found.csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "there is no .*nowhere"),
        ((".", "--out", "found.xlsx"), "ends in none of .csv, .parquet, .fcs, .h5ad"),
        ((".", "--reader", "tiffs"), "there is no reader 'tiffs'"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, words: tuple[str, ...], said: str, images: Path
) -> None:
    place = images if words[0] == "." else tmp_path / words[0]
    with pytest.raises((SourceError, ParameterError), match=said):
        run(place, *words[1:])


def test_answers_do_not_replace_the_table_they_are_about(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "cells.csv"
    files = [path.relative_to(tmp_path).as_posix() for path in images.rglob("*.tif")]
    text = "\n".join(["path", *files])
    table.write_text(text)
    with pytest.raises(ParameterError, match=r"cells\.csv is the source, or its table") as error:
        run(table, "--reader", "table", "--out", table)
    assert error.value.remedy == "name another file with --out to write to"
    assert table.read_text() == text


def test_fcs_names_are_valid_and_numbers_exact(tmp_path: Path) -> None:
    """Names of any kind, objects that a 32-bit float cannot tell apart, a value that is missing."""
    part = tmp_path / "part.parquet"
    numbers = {
        "probability_CD4+ T (naïve), 1": [0.25, 0.5],
        "probability_CD4+ T (naive), 1": [0.75, 0.5],
        "low_x": [np.inf, 1.0],
        "predicted_x": [-3.0, 4.0],
    }
    columns = {name: pa.array(column, pa.float32()) for name, column in numbers.items()}
    told = {
        "acquisition": ["s", "s"],
        "object": [2**24 + 1, 5],
        "source_file": ["s/a.tif", "s/b.tif"],
        "predicted": ["CD4+ T (naive), 1", "CD4+ T (naïve), 1"],
        "abstains": [False, True],
        "reason": ["", "doubt"],
    }
    pq.write_table(pa.table({**told, **columns}), part)
    said = write_table(tmp_path / "a.fcs", [part], {"model_version": "3"})
    assert said == ["low_x not in it: not a number for every cell, which FCS cannot say"]
    fcs = read_fcs(tmp_path / "a.fcs")
    assert all("," not in name for name in fcs.events)
    assert len({name.casefold() for name in fcs.events}) == len(fcs.events)
    whole = fcs.events["Object high"].astype(int) * 2**24 + fcs.events["Object"].astype(int)
    assert list(whole) == [2**24 + 1, 5]
    assert list(fcs.events["Abstains"]) == [0, 1]
    assert list(fcs.labels.values())[-4:-1] == [name for name in numbers if name != "low_x"]
    classes = [fcs.text[f"UNSTAINED_CLASS_{int(number)}"] for number in fcs.events["class"]]
    assert classes == told["predicted"]


@pytest.mark.parametrize(
    ("file", "cells"), [("cells.csv", 1), ("others.csv", 2), ("/elsewhere/cells.csv", 2)]
)
def test_a_folder_without_the_study_s_table_holds_what_its_images_show(
    tmp_path: Path, file: str, cells: int
) -> None:
    for name in ("day1/a.png", "day2/b.png"):
        write_image(tmp_path / name, np.full((20, 20), 100, np.uint8))
    (tmp_path / "cells.csv").write_text("path\nday2/b.png\n")
    params = load_params(ROOT / "params.yaml").studies["nsc"]
    table = TableParams(file=file, image="path")
    told = {"reader": "table", "markers": {}, "table": table, "source": "/elsewhere"}
    found = source.open_cells(
        params.data.model_copy(update=told),
        tmp_path,
        None,
        params.recipes["demo"].sections().ingest,
    )
    assert len(found) == cells
