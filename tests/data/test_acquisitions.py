"""Acquisitions in another unit than the study's are found and told; ordinary ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from tests.synthetic import make_store
from unstained.data.audit.acquisition_findings import acquisition_findings, comparison_content
from unstained.data.audit.acquisition_measures import LEAST_CELLS, MOST_CELLS, drawn
from unstained.data.audit.acquisitions import Comparison, compare_acquisitions
from unstained.data.audit.findings import single_cell_findings
from unstained.data.audit.values import value_findings
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.imaging.axes import Axes

Change = Callable[[np.ndarray], np.ndarray]
CANVAS = 64


def compare(store: CellStore) -> Comparison:
    cells = store.columns("acquisition", "label", "external", "background")
    for name in ("acquisition", "label"):
        cells[name] = cells[name].astype("category")
    return compare_acquisitions(store, cells, CANVAS)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    """Four acquisitions of either class with lamps between 0.85 and 1.15, and an external one."""
    path = tmp_path_factory.mktemp("ordinary") / "store"
    size = {"cells_per_group": 5, "groups_per_class": 4, "external_groups": 1}
    return make_store(path, classes=("a", "b"), seed=3, **size)  # type: ignore[arg-type]


def rewritten(
    store: CellStore,
    path: Path,
    changes: dict[str, Change],
    labels: dict[str, str | None] | None = None,
    channels: tuple[str, ...] = ("Ch1",),
) -> CellStore:
    """The same cells, but for the pixels of some acquisitions, their classes, and channels."""
    images = store.images(range(len(store)))
    writer = StoreWriter(path, study="s", axes=Axes(channels), markers=store.markers)
    with writer:
        for name, part in store.table.groupby("acquisition"):
            label = (labels or {}).get(str(name), part["label"].iloc[0])
            cells = []
            for row in part.index:
                planes = np.repeat(images[row], len(channels), axis=0)
                pixels = changes.get(str(name), np.asarray)(planes)
                marker = (part["marker_DNA"][row],)
                cells.append(
                    Cell(part["object_index"][row], "f.tif", str(name), pixels[None], marker)
                )
            writer.write(Origin(str(name), label, bool(part["external"].iloc[0])), cells)
    return CellStore.open(path)


def out(found: Comparison) -> dict[str, set[str]]:
    named: dict[str, set[str]] = {}
    for one in found.standings:
        if one.out:
            named.setdefault(one.acquisition, set()).add(one.measure)
    return named


def binned(planes: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in planes.shape[1:])
    quads = planes[:, :height, :width].reshape(len(planes), height // 2, 2, width // 2, 2)
    return quads.mean(axis=(2, 4)).astype(planes.dtype)


def enlarged(planes: np.ndarray) -> np.ndarray:
    return planes.repeat(2, axis=1).repeat(2, axis=2)


def blurred(planes: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(planes, (0, 2, 2)))


def turned(planes: np.ndarray) -> np.ndarray:
    """Light and dark exchanged about the background."""
    return (2 * int(np.median(planes)) - planes.astype(np.int64)).clip(0).astype(planes.dtype)


@pytest.mark.parametrize(
    ("change", "measures", "words", "name"),
    [
        (lambda x: x * 4, {"background"}, "counts that were scaled", "a_01"),
        (lambda x: x // 4, {"background"}, "counts that were scaled", "a_01"),
        (lambda x: 65_535 - x, {"background", "contrast"}, "light and dark exchanged", "a_01"),
        (lambda x: x + 2000, {"background", "contrast"}, "an offset added", "a_01"),
        (lambda x: x % 256, {"background", "contrast"}, "", "a_01"),
        (binned, {"size"}, "binned or enlarged pixels", "a_01"),
        (lambda x: np.tile(x, (1, 2, 2)), {"side"}, "tiles or montages in place of cells", "a_01"),
        (enlarged, {"size"}, "binned or enlarged pixels", "a_01"),
        (blurred, {"focus"}, "another focus", "a_01"),
        (turned, {"polarity"}, "light and dark exchanged", "a_01"),
        (lambda x: x * 4, {"background"}, "counts that were scaled", "b_04"),  # external
    ],
)
def test_another_unit_stands_out_and_its_cause_is_told(
    ordinary: CellStore, tmp_path: Path, change: Change, measures: set[str], words: str, name: str
) -> None:
    found = compare(rewritten(ordinary, tmp_path / "s", {name: change}))
    assert set(out(found)) == {name}
    assert measures <= out(found)[name]
    (finding,) = acquisition_findings(found)
    assert (finding.severity, finding.check) == ("warning", f"acquisition {name}")
    assert finding.sentence.startswith(f"{name} stands out from other acquisitions of {name[0]}")
    assert words in finding.sentence
    (outlier,) = found.outliers
    assert {cell.partition("/")[0] for cell in outlier.cells} == {name}
    assert {cell.partition("/")[0] for cell in outlier.typical} == {outlier.beside}
    assert outlier.beside[0] == name[0]
    assert outlier.beside != name


def test_half_of_the_acquisitions_in_another_unit_stand_out(
    ordinary: CellStore, tmp_path: Path
) -> None:
    half = {f"{name}_0{number}": lambda x: x // 2 for name in "ab" for number in range(2)}
    assert set(out(compare(rewritten(ordinary, tmp_path / "s", half)))) == set(half)


def test_ordinary_acquisitions_do_not(ordinary: CellStore) -> None:
    found = compare(ordinary)
    assert out(found) == {}
    assert found.outliers == ()
    (finding,) = acquisition_findings(found)
    assert finding.severity == "ok"
    assert "None of 10 acquisitions stands out in background" in finding.sentence
    assert "compared within each class." in finding.sentence
    level = comparison_content(found)["measures"]["background"]
    medians = ordinary.table.groupby("acquisition")["background"].median()
    assert {one["acquisition"]: one["value"] for one in level} == pytest.approx(medians.to_dict())
    usual = np.exp(np.log(medians.iloc[:4]).median())  # a_04 is external and does not count
    assert level[0]["factor"] == pytest.approx(medians["a_00"] / usual, rel=1e-5)


def test_a_class_of_few_acquisitions_is_compared_with_the_study(
    ordinary: CellStore, tmp_path: Path
) -> None:
    store = rewritten(ordinary, tmp_path / "s", {"b_03": binned}, labels={"b_03": "c"})
    found = compare(store)
    assert out(found) == {"b_03": {"size", "side"}}
    assert {one.among for one in found.standings if one.acquisition == "b_03"} == {()}
    (finding,) = acquisition_findings(found)
    assert "stands out from the study's other acquisitions" in finding.sentence
    assert "this may be the class itself" in finding.sentence


def test_acquisitions_without_classes_are_compared_with_the_study(
    ordinary: CellStore, tmp_path: Path
) -> None:
    nobody = dict.fromkeys(map(str, ordinary.table["acquisition"].unique()))
    found = compare(rewritten(ordinary, tmp_path / "s", {"b_03": binned}, labels=nobody))
    assert {one.among for one in found.standings} == {()}
    sentences = [one.sentence for one in acquisition_findings(found) if "b_03" in one.sentence]
    assert sentences
    assert all("stands out from the study's other acquisitions:" in text for text in sentences)


def test_a_channel_of_another_unit_is_seen_among_others(
    ordinary: CellStore, tmp_path: Path
) -> None:
    def second(planes: np.ndarray) -> np.ndarray:
        return np.stack([planes[0], planes[1] // 4, planes[2]])

    names = ("Ch1", "Ch2", "Ch3")
    found = compare(rewritten(ordinary, tmp_path / "s", {"a_00": second}, channels=names))
    assert out(found) == {"a_00": {"background_Ch2"}}
    assert "background of Ch2" in acquisition_findings(found)[0].sentence


def test_single_cells_are_compared_by_background_and_side_alone(
    ordinary: CellStore, tmp_path: Path
) -> None:
    with StoreWriter(tmp_path / "s", study="s", axes=Axes(("Ch1",))) as writer:
        for number, image in enumerate(ordinary.images(range(20))):
            pixels = (image // 8 if number == 7 else image)[None]
            writer.write(Origin(f"a{number:02}", "a"), [Cell(0, "f.tif", f"a{number:02}", pixels)])
    found = compare(CellStore.open(tmp_path / "s"))
    assert out(found) == {"a07": {"background"}}
    assert {one.measure for one in found.standings} == {"background", "side"}
    assert found.compared == 0


def with_numbers(store: CellStore, path: Path, numbers: np.ndarray) -> CellStore:
    """The same cells, with a number that a table tells of each."""
    writer = StoreWriter(
        path, study="s", axes=Axes(("Ch1",)), markers=store.markers, told={"area": "float64"}
    )
    images = store.images(range(len(store)))
    with writer:
        for name, part in store.table.groupby("acquisition"):
            cells = [
                Cell(
                    part["object_index"][row], "f.tif", str(name), images[row][None],
                    (part["marker_DNA"][row],), told={"area": numbers[row]},
                )
                for row in part.index
            ]  # fmt: skip
            label, external = part["label"].iloc[0], bool(part["external"].iloc[0])
            writer.write(Origin(str(name), label, external), cells)
    return CellStore.open(path)


def test_numbers_of_a_table_in_another_unit_stand_out(ordinary: CellStore, tmp_path: Path) -> None:
    areas = np.random.default_rng(0).uniform(40, 90, len(ordinary))
    other = ordinary.table["acquisition"].isin(["a_01", "b_02"]).to_numpy()
    store = with_numbers(ordinary, tmp_path / "s", np.where(other, areas * 1000, areas))
    found = compare(store)
    assert out(found) == {"a_01": {"value_area"}, "b_02": {"value_area"}}
    assert "another unit of what the table tells" in acquisition_findings(found)[0].sentence
    assert value_findings(store) == []


@pytest.mark.parametrize("code", [-9999.0, -1.0, 99999.0])
def test_a_code_for_not_measured_is_told(ordinary: CellStore, tmp_path: Path, code: float) -> None:
    areas = np.random.default_rng(0).uniform(40, 90, len(ordinary))
    areas[::9] = code
    (finding,) = value_findings(with_numbers(ordinary, tmp_path / "s", areas))
    assert f"area is {code:g} in {len(areas[::9])} cells and 4" in finding.sentence
    areas[::9] = 0.0  # nothing far away: a cell may have none of it
    assert value_findings(with_numbers(ordinary, tmp_path / "zero", areas)) == []


def test_the_stain_of_a_single_cell_is_no_staining(tmp_path: Path) -> None:
    """One cell without a marker says nothing of its acquisition; four may."""
    expected: dict[int, set[str]] = {1: set(), 4: {"a07"}}
    for count, names in expected.items():
        path = tmp_path / f"s{count}"
        with StoreWriter(path, study="s", axes=Axes(("Ch1",)), markers=("GFAP",)) as writer:
            rng = np.random.default_rng(0)
            for number in range(20):
                name, stain = f"a{number:02}", 1.0 if number == 7 else 9000.0
                pixels = rng.integers(600, 640, (count, 1, 1, 16, 16), np.uint16)
                cells = [
                    Cell(i, "f.tif", name, image, (stain * rng.uniform(0.9, 1.1),))
                    for i, image in enumerate(pixels)
                ]
                writer.write(Origin(name, "a"), cells)
        assert set(out(compare(CellStore.open(path)))) == names


def test_two_acquisitions_are_not_compared(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=4, groups_per_class=1, classes=("a", "b"))
    (finding,) = acquisition_findings(compare(store))
    assert finding.severity == "ok"
    assert "fewer than 3 cannot be compared" in finding.sentence


def test_cells_are_drawn_evenly_and_bounded() -> None:
    rows = drawn(np.repeat([0, 1, 2], [100, LEAST_CELLS - 1, 6]))
    assert pd.Series(rows < 100).value_counts().to_dict() == {True: 8, False: 6}
    assert np.diff(rows[:8]).tolist() == [12, 13, 12, 13, 12, 13, 12]
    many = drawn(np.repeat(np.arange(3000), 5))
    assert len(many) == MOST_CELLS
    assert len(np.unique(many // 5)) == MOST_CELLS // LEAST_CELLS
    assert len(drawn(np.arange(9))) == 0


def test_groups_that_are_single_cells() -> None:
    assert single_cell_findings({"a": 9, "b": 4}, {"a": 3, "b": 3}) == []
    assert single_cell_findings({"a": 1}, {"a": 1}) == []
    (some,) = single_cell_findings({"a": 9, "b": 4}, {"a": 3, "b": 4})
    assert some.severity == "warning"
    assert some.sentence.startswith("Every group of b is a single cell (4 groups)")
    (every,) = single_cell_findings({"": 1500}, {"": 1500})
    assert every.sentence.startswith("Every group is a single cell (1,500 groups)")
