"""`unstained init`: what it decides, what it asks, and that what it writes is read."""

from __future__ import annotations

import csv
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from tests.data.bsccm_tree import write_bsccm
from tests.data.cif_study import write_study
from tests.data.test_reader_conformance import write_boxes
from tests.onboarding.sources import CLASSES, write_jpegs, write_plates, write_rows
from tests.synthetic import write_colour, write_films, write_ifc, write_image, write_montage
from unstained.cli import app, guarded
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.splits.partition import make_split
from unstained.data.store.cell_store import CellStore
from unstained.errors import UnstainedError
from unstained.pipeline.runner import run_stage

PROJECT = ("dvc.yaml", "params.yaml")


@pytest.fixture
def init(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, in an empty project: what it prints, or the error that it ends with."""
    project = tmp_path / "project"
    project.mkdir()
    for name in PROJECT:
        shutil.copy(repository / name, project / name)
    monkeypatch.chdir(project)

    def run(*words: object) -> str:
        done = CliRunner().invoke(app, ["init", *map(str, words)])
        if isinstance(done.exception, UnstainedError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


def asked(init: Any, *words: object) -> str:
    """The message of a command that stops with questions."""
    before = Path("params.yaml").read_bytes()
    with pytest.raises(UnstainedError) as error:
        init(*words)
    assert Path("params.yaml").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == list(PROJECT)
    return str(error.value)


def proposed(message: str) -> list[str]:
    """Words after `unstained init` of the command that a message ends with."""
    return shlex.split(message.rpartition("unstained init ")[2])


def written(study: str) -> StudyData:
    return load_params(Path("params.yaml")).studies[study].data


def ingested(study: str) -> CellStore:
    """The cells of the study, as the stage ingest packs them by the section that was written."""
    run_stage("ingest", study, root=Path.cwd())
    return CellStore.open(Path("runs") / study / "ingest" / "store")


def test_a_folder_a_class_of_colour_jpegs(init: Any, tmp_path: Path) -> None:
    source = write_jpegs(tmp_path / "source")
    said = init("smear", source, "--pixel-size", 0.1)
    data = written("smear")
    assert (data.reader, data.normalise, data.axes.colour) == ("table", "rgb", True)
    assert data.class_names == CLASSES
    assert data.canvas == 48  # images are 30 to 44 pixels wide or high
    assert "uint8, values up to" in said
    assert "Whether colour images show stained cells cannot be told" in said
    assert "nothing tells which cells were recorded together" in said
    project = load_params(Path("params.yaml"))
    assert project.active == ("nsc", "smear")
    assert project.studies["smear"].recipes["demo"].split.strategy == "stratified"
    cells = ingested("smear").table
    assert cells["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, 12)
    sheet = Image.open("state/init/smear.png")
    assert np.asarray(sheet).std() > 5


def test_every_other_byte_of_params_yaml_stays(init: Any, tmp_path: Path) -> None:
    source = write_jpegs(tmp_path / "source")
    before = Path("params.yaml").read_text()
    init("smear", source, "--pixel-size", 0.1)
    after = Path("params.yaml").read_text()
    start = after.index("\n  smear:")
    assert (
        after[:start]
        == before.replace("active: [nsc] ", "active: [nsc, smear] ").rstrip("\n") + "\n"
    )
    init("smear", source, "--pixel-size", 0.2, "--force")
    again = Path("params.yaml").read_text()
    with pytest.raises(UnstainedError, match="is no multiple of 16\n  -> take 48 or 64"):
        init("smear", source, "--pixel-size", 0.2, "--force", "--canvas", 50)
    assert Path("params.yaml").read_text() == again
    assert again == after.replace("pixel_size_um: 0.1\n", "pixel_size_um: 0.2\n")


def test_a_study_that_is_there_is_replaced_only_by_force(init: Any, tmp_path: Path) -> None:
    source = write_jpegs(tmp_path / "source")
    message = asked(init, "cellcycle", source, "--pixel-size", 0.1)
    assert "has a study 'cellcycle' already" in message
    init(*proposed(message))
    after = Path("params.yaml").read_text()
    assert written("cellcycle").reader == "table"
    assert load_params(Path("params.yaml")).studies["nsc"].data.reader == "zhu_ifc"
    assert after.count("\n  cellcycle:") == 1


@pytest.mark.parametrize("name", ["Blood", "a", "9x", "on", "configure", "x" * 44, "a_b", "ä"])
def test_a_name_that_a_later_stage_refuses_is_refused_here(init: Any, name: str) -> None:
    assert "is no name of a study" in asked(init, name, ".")


def test_a_table_with_two_groups_is_asked_about(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    message = asked(init, "plates", source)
    assert "uint16, values up to 4012: 12 bits used" in message
    assert "plate  6 groups; train 40 (blast 24, mature 16), val 10" in message
    assert "well   12 groups; train" in message
    assert "CD16  column of 59 numbers" in message
    assert "--pixel-size: How many micrometres is a pixel?" in message
    said = init(*proposed(message))
    assert "plate: " not in said
    assert "group: plate" in said
    data = written("plates")
    assert data.table is not None
    assert (data.table.file, data.table.image, data.table.acquisition) == (
        "cells.csv",
        "path",
        "plate",
    )
    assert [task.name for task in data.tasks] == ["label", "CD16"]
    cells = ingested("plates").table
    assert set(cells["group"]) == {f"P{k}" for k in range(6)}
    assert cells["CD16"].isna().sum() == 1
    assert len(cells) == 60


def test_the_split_that_was_told_is_the_one_that_is_made(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    said = init(
        "plates", source, "--pixel-size", 0.3, "--group", "well", "--value", "none",
        "--min-cells", 1,
    )  # fmt: skip
    cells = ingested("plates").table
    study = load_params(Path("params.yaml")).studies["plates"]
    clusters = pa.table({"cell_id": pa.array([], pa.string()), "cluster": pa.array([], pa.int64())})
    table = pa.Table.from_pandas(cells[["cell_id", "group", "label", "external"]])
    part_of = make_split(table, clusters, study.recipes["demo"].split, 42).table["part"].to_pylist()
    for part in ("train", "val", "test"):
        classes = cells["label"][np.array(part_of) == part].value_counts()
        words = ", ".join(f"{name} {classes[name]}" for name in CLASSES)
        assert f"{part} {classes.sum()} ({words})" in said


def test_a_group_that_cannot_be_split_is_refused_with_those_that_can(
    init: Any, tmp_path: Path
) -> None:
    source = write_plates(tmp_path / "source", plates=2, wells=4)
    message = asked(init, "plates", source, "--pixel-size", 0.3, "--group", "plate")
    assert "class blast has 2 independent groups (P0, P1), and 3 parts need one each" in message
    assert "choose --group well, --group none" in message


def test_two_columns_that_could_be_the_class_are_asked_about(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    rows = list(csv.DictReader((source / "cells.csv").open()))
    for number, row in enumerate(rows):
        row["cell_type"] = "ABC"[number % 3]
    write_rows(source / "cells.csv", rows)
    given = ("--pixel-size", 0.3, "--group", "plate", "--value", "none")
    message = asked(init, "plates", source, *given)
    assert "--label: Which column is the class of a cell?" in message
    assert "label      column of 2 classes: blast 36, mature 24" in message
    assert "cell_type  column of 3 classes: A 20, B 20, C 20" in message
    assert "did you mean cell_type?" in asked(init, "plates", source, *given, "--label", "celltype")
    init("plates", source, *given, "--label", "cell_type")
    assert written("plates").class_names == ("A", "B", "C")


def test_a_table_elsewhere_that_names_stems_gets_paths(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    rows = list(csv.DictReader((source / "cells.csv").open()))
    (source / "cells.csv").unlink()
    listed = [{"name": Path(row["path"]).stem, "label": row["label"]} for row in rows]
    listed += [{"name": "lost", "label": "blast"}, {"name": "000", "label": "rare"}]
    table = write_rows(tmp_path / "elsewhere" / "list.csv", listed[1:])
    given = ("--table", table, "--pixel-size", 0.3, "--image", "name")
    message = asked(init, "plates", source, *given)
    assert "1 of 61 rows name no image" not in message
    assert "rare  1 cell left out" in message
    said = init(*proposed(message))
    assert "1 of 61 rows name no image that is there" in said
    assert sorted(ingested("plates").table["label"].value_counts()) == [24, 35]


def test_a_table_in_each_folder(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    rows = list(csv.DictReader((source / "cells.csv").open()))
    (source / "cells.csv").unlink()
    for plate in sorted({row["plate"] for row in rows}):
        of_plate = [row for row in rows if row["plate"] == plate]
        for row in of_plate:
            name = Path(row["path"]).name
            (source / plate).mkdir(exist_ok=True)
            (source / row["path"]).rename(source / plate / name)
            row["path"] = name
        write_rows(source / plate / "cells.csv", of_plate)
    said = init("plates", source, "--pixel-size", 0.3, "--group", "plate", "--value", "CD16")
    assert "table: */cells.csv (a table that names 60 of 60 images" in said
    data = written("plates")
    assert data.table is not None
    assert data.table.file == "*/cells.csv"
    assert len(ingested("plates")) == 60


def test_numbers_with_commas_that_may_be_of_thousands_are_told(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    rows = list(csv.DictReader((source / "cells.csv").open()))
    write_rows(source / "cells.csv", [{**row, "CD16": f"{n},125"} for n, row in enumerate(rows, 1)])
    given = ("plates", source, "--pixel-size", 0.3, "--group", "plate")
    assert "decimal or stand between thousands" in asked(init, *given, "--value", "CD16")
    assert "CD16: its numbers have a comma, which may be decimal or stand" in init(*given)


def test_why_a_table_below_the_folder_is_not_used_is_told(init: Any, tmp_path: Path) -> None:
    source = write_plates(tmp_path / "source")
    table = source / "cells.csv"
    text = table.read_text()
    for content, why in {
        "sep=,\n" + text: "is no whole table (CSV parse error: Expected 2 columns, got 5",
        text.replace("well", "plate", 1): "has the column 'plate' 2 times",
        text.replace("images/", "Bilder/no"): "no column names an image",
    }.items():
        table.write_text(content)
        assert f"not read: cells.csv: {why}" in asked(init, "plates", source)
        told = f"--value means nothing for this layout (table)\n  table: none (cells.csv: {why}"
        assert told in asked(init, "plates", source, "--value", "CD16")


@pytest.mark.parametrize(
    ("before", "after", "given", "said"),
    [
        ("mature", "Blast", (), "label is 'Blast' and 'blast', which differ in case"),
        (
            "P2B,",
            "P2B,high",
            ("--value", "CD16"),
            "'high0.",
        ),
    ],
)
def test_fields_that_no_run_could_use_are_named(
    init: Any, tmp_path: Path, before: str, after: str, given: tuple[str, ...], said: str
) -> None:
    source = write_plates(tmp_path / "source")
    table = source / "cells.csv"
    table.write_text(table.read_text().replace(before, after, 1))
    message = asked(init, "plates", source, "--pixel-size", 0.3, "--label", "label", *given)
    assert said in message


def test_a_column_of_numbers_that_are_images_names_too_can_be_the_group(
    init: Any, tmp_path: Path
) -> None:
    rows = []
    for number in range(36):
        image = np.full((30, 30), 90 + number, np.uint8)
        write_image(tmp_path / "source" / f"{number}.png", image)
        rows.append({"file": f"{number}.png", "label": "ab"[number % 2], "plate": number // 2 % 6})
    write_rows(tmp_path / "source" / "cells.csv", rows)
    said = init("numbers", tmp_path / "source", "--pixel-size", 1, "--value", "none")
    assert "group: plate (6 groups; train" in said


def test_an_export_of_an_imaging_flow_cytometer(init: Any, tmp_path: Path) -> None:
    samples = {f"{kind}_{number}": 4 for number in range(4) for kind in "ab"}
    source = write_ifc(tmp_path / "source", samples)
    message = asked(init, "flow", source, "--marker", "DNA=Ch2", "--min-cells", 4)
    assert "Ch1 (32 images" in message
    assert "an ImageStream at 60x" in message
    assert "start   2 classes: a, b" in message
    assert "folder  8 classes" in message
    words = proposed(message)
    words[words.index("--label") + 1] = "start"
    said = init(*words)
    assert "8 groups; train" in said
    assert written("flow").target_names == ("DNA",)
    cells = ingested("flow").table
    assert cells["label"].value_counts().to_dict() == {"a": 16, "b": 16}
    assert cells["marker_DNA"].notna().all()


def test_a_small_class_that_no_table_can_leave_out(init: Any, tmp_path: Path) -> None:
    samples = {f"a_{number}": 4 for number in range(4)} | {f"b_{number}": 2 for number in range(4)}
    source = write_ifc(tmp_path / "source", samples)
    answers = ("--channel", "Ch1", "--pixel-size", 0.33, "--label", "start", "--group", "folder")
    message = asked(init, "flow", source, *answers)
    assert "b: 8" in message
    assert "--without" not in message
    init(*proposed(message))
    assert written("flow").class_names == ("a", "b")


def test_amnis_files_with_populations(init: Any, tmp_path: Path) -> None:
    write_study(tmp_path / "source", acquisitions=6, cells=20)
    source = tmp_path / "source"
    message = asked(init, "tubes", source, "--marker", "DNA=Ch2")
    assert "populations  2 classes: coarse, fine" in message
    assert "channels: brightfield (the only brightfield channel" in message
    assert "pixel size: 0.5 (the files name an objective of 40x)" in message
    said = init(*proposed(message))
    assert "6 groups; train" in said
    assert "of other kinds are not read" not in said
    assert "Of 6 groups 1 would be tested on: too few to tell models apart" in said
    assert "cells: 120 (in 6 acquisitions; coarse 54, fine 54; 12 without a class)" in said
    data = written("tubes")
    assert (data.reader, data.class_names) == ("cif", ("coarse", "fine"))
    assert data.target_names == ("DNA",)
    store = ingested("tubes")
    assert store.table["label"].value_counts().to_dict() == {"coarse": 54, "fine": 54}
    again = ("tubes", source, "--force", "--pixel-size", 0.5, "--min-cells", 5)
    said = init(*again, "--class", "smooth=^coarse$", "--class", "grained=^fine$")
    cif = written("tubes").cif
    assert cif is not None
    assert cif.populations == {"smooth": "^coarse$", "grained": "^fine$"}
    assert "grained 54, smooth 54" in said


def write_smears(folder: Path) -> None:
    """Photographs with a box each, as the download has them: 10 of two classes, a rare one."""
    home = folder / "dataset-master"
    write_colour(home, {"JPEGImages": 21}, suffix=".png")
    (home / "Annotations").mkdir()
    for number in range(21):
        write_boxes(home / "Annotations" / f"cell_{number}.xml", [(5, 5, 20, 25)])
    rows = [f"{n},cell_{n},{'rare' if n == 20 else 'ab'[n % 2]}" for n in range(21)]
    (home / "labels.csv").write_text("\n".join([",Image,Category", *rows, ""]))


def test_photographs_of_blood_smears(init: Any, tmp_path: Path) -> None:
    write_smears(tmp_path / "source")
    message = asked(init, "blood2", tmp_path / "source")
    assert "layout: bccd (blood smears, photographs with boxes" in message
    assert "0.07  photographs of 640 x 480" in message
    message = asked(init, *proposed(message))
    assert "rare  1 cell left out" in message
    message = asked(init, *proposed(message))  # leaving it out refuses its photograph
    assert "--on-error: 1 file cannot be used" in message
    said = init(*proposed(message))
    assert "group: file (20 groups; train" in said
    assert "holds 100% of the boxes whole; boxes are 20 high, 15 wide" in said
    assert "These cells are stained: a benchmark" in said
    assert "of other kinds are not read" not in said
    data = written("blood2")
    assert data.question.endswith("A stained benchmark, not label-free.")
    assert (data.reader, data.class_names, data.canvas) == ("bccd", ("a", "b"), 32)
    demo = load_params(Path("params.yaml")).studies["blood2"].recipes["demo"]
    assert demo.train.batch_size == 8  # 14 training cells: small steps, for there to be several
    store = ingested("blood2")
    assert store.table["label"].value_counts().to_dict() == {"a": 10, "b": 10}
    assert max(store.images([0])[0].shape) <= 32  # squares around boxes, not photographs


def test_copies_of_photographs_in_folders(init: Any, tmp_path: Path) -> None:
    home = tmp_path / "source" / "dataset2-master"
    counts = {f"{part}/{name}": 6 for part in ("TRAIN", "TEST") for name in "AB"}
    write_colour(home / "images", counts, suffix=".png")
    write_smears(home.parent)
    message = asked(init, "copies", home.parent, "--pixel-size", 0.14)
    assert f"name one of the two: {home.parent / 'dataset-master'} or {home}" in message
    said = init("copies", home, "--pixel-size", 0.14)
    assert "layout: bccd (blood smears, their copies" in said
    assert "`validate` finds the copies, and the split keeps them together" in said
    assert written("copies").class_names == ("A", "B")
    assert ingested("copies").table["label"].value_counts().to_dict() == {"A": 12, "B": 12}


def test_no_option_is_accepted_and_ignored(init: Any, tmp_path: Path) -> None:
    source = write_jpegs(tmp_path / "source")
    message = asked(init, "smear", source, "--pixel-size", 0.1, "--marker", "DNA=Ch2")
    assert "--marker means nothing for this layout (table)" in message


def test_montages(init: Any, tmp_path: Path) -> None:
    for phase in ("G1", "S_phase"):
        write_montage(tmp_path / "source" / phase, "CP1", 70)
    given = ("--pixel-size", 0.5, "--label", "folder")
    message = asked(init, "phases", tmp_path / "source", *given)
    assert "Ch3  2 images, background" in message
    said = init(*proposed(message))
    assert "split: grouped (6 groups; train" in said
    assert "G1 70, S_phase 70" in said
    assert (written("phases").group, written("phases").canvas) == ("block", 48)


def test_several_images_in_a_file_are_asked_about(init: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_films(source, dict.fromkeys(CLASSES, 10), frames=4)
    given = ("films", source, "--pixel-size", 1)
    message = asked(init, *given)
    assert "Each file holds 4 images. What are they?" in message
    init(*given, "--pages", "frames")
    assert (written("films").frames, written("films").channels) == (4, ("grey",))
    assert ingested("films").images([0])[0].shape[0] == 4


def test_channels_that_files_name_are_taken_or_chosen_from(init: Any, tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / "source" / name).mkdir(parents=True)
        for number in range(10):
            stack = np.full((2, 30, 32), 500 + number, np.uint16)
            stack[:, 15, 16] += 1  # an image of one value shows no cell
            names = {"axes": "CYX", "PhysicalSizeX": 0.25, "Channel": {"Name": ["BF", "DAPI"]}}
            path = tmp_path / "source" / name / f"{number}.ome.tif"
            tifffile.imwrite(path, stack, metadata=names | {"PhysicalSizeY": 0.25})
    said = init("named", tmp_path / "source")
    assert "channels: BF, DAPI (2 images in each file; the files name them)" in said
    assert "pixel size: 0.25 (by the tags of 20 files looked at)" in said
    init("named", tmp_path / "source", "--force", "--channel", "BF")
    assert written("named").channels == ("BF",)
    assert ingested("named").images([0])[0].shape[0] == 1


def test_files_of_different_kinds_are_told(init: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(10):
        image = np.full((30, 30), 200 + number)
        write_image(source / "a" / f"{number}.png", image.astype(np.uint8))
        write_image(source / "b" / f"{number}.png", (16 * image).astype(np.uint16))
    message = asked(init, "depths", source, "--pixel-size", 1)
    assert "10 of uint8, 1 pages, 1 channels such as a/0.png" in message
    assert "10 of uint16, 1 pages, 1 channels such as b/0.png" in message
    for number in range(10):
        image = np.full((30, 30), 200 + number)
        write_image(source / "a" / f"{number}.png", image.astype(np.uint16))
    said = init("depths", source, "--pixel-size", 1)
    assert "Folder a uses 8 bits, b 12" in said


def test_a_file_that_cannot_be_used_is_asked_about(init: Any, tmp_path: Path) -> None:
    source = write_jpegs(tmp_path / "source")
    broken = source / CLASSES[0] / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    message = asked(init, "smear", source, "--pixel-size", 0.1)
    assert "--on-error: 1 file cannot be used (blast/3.jpg" in message
    init(*proposed(message))
    assert len(ingested("smear")) == 23


def test_nothing_to_read_is_said(init: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.docx").touch()
    assert "holds no images (1 .docx)" in asked(init, "nothing", tmp_path / "empty")
    assert "does not exist" in asked(init, "nothing", tmp_path / "nowhere")
    one = write_ifc(tmp_path / "one", {"a": 3}, channels=("Ch1",))
    assert "folders tell no class" in asked(init, "one", one, "--pixel-size", 1)


def test_an_error_is_one_message_with_a_status(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    status = guarded(lambda: app(["init", "x y", "."], standalone_mode=False))
    assert status == 2
    assert "e.g. x-y" in capsys.readouterr().err


def test_a_set_that_has_a_study_is_named_with_it(init: Any, tmp_path: Path) -> None:
    home = tmp_path / "BSCCM tiny"
    write_bsccm(home, [{"gates": ["CD3_hi_CD_16_lo"]}, {"gates": ["CD16_hi_CD45_mid"]}])
    message = asked(init, "mine", home)
    assert "holds BSCCM (BSCCM_index.csv), whose study params.yaml has: wbc" in message
    assert f"`unstained source wbc '{home}'`" in message
    assert CliRunner().invoke(app, ["source", "wbc", str(home)]).exit_code == 0
    assert load_params(Path("params.yaml")).studies["wbc"].data.source == str(home)
