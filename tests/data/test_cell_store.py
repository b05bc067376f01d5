"""The packed store: round trip, determinism, refusal of what is not whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.synthetic import make_store
from unstained.config.tasks import TargetRule
from unstained.data.store.blocks import CHUNK, Cell, Origin, block_name, by_size
from unstained.data.store.cell_store import CellStore
from unstained.data.store.schema import COLUMNS
from unstained.data.store.statistics import pixel_sha256, pixel_statistics
from unstained.data.store.writer import StoreWriter
from unstained.errors import StoreError
from unstained.files import read_json, tree_sha256, write_json
from unstained.imaging.axes import Axes


def random_cells(count: int, seed: int, dtype: type = np.uint16) -> list[Cell]:
    rng = np.random.default_rng(seed)
    cells = []
    for index in range(count):
        shape = (1, 1, int(rng.integers(5, 30)), int(rng.integers(5, 30)))
        pixels = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        cells.append(Cell(index * 3, f"x_{index}.tif", "g", pixels, (float(index),)))
    return cells


def write(path: Path, blocks: dict[tuple[str, int], list[Cell]]) -> Path:
    with StoreWriter(path, study="s", axes=Axes(("Ch1",)), markers=("DNA",)) as writer:
        for (acquisition, number), cells in blocks.items():
            writer.write(Origin(acquisition, "a"), cells, number)
    return path


def masked(cells: list[Cell]) -> list[Cell]:
    """The same cells with masks as an instrument tells them."""
    rng = np.random.default_rng(1)
    return [
        replace(cell, masks=rng.integers(0, 4, cell.pixels.shape).astype(np.uint8))
        for cell in cells
    ]


def test_masks_come_back_and_change_nothing_else(tmp_path: Path) -> None:
    plain = random_cells(CHUNK + 5, 0)
    cells = masked(plain)
    store = CellStore.open(write(tmp_path / "with", {("a", 0): cells[:50], ("a", 1): cells[50:]}))
    assert store.has_masks
    rows = [70, 3, 131, 3]
    for row, mask in zip(rows, store.masks(rows), strict=True):
        there = cells[row].masks
        assert there is not None
        np.testing.assert_array_equal(mask, there[0, 0] > 0)
    for cell, image in zip(plain, store.images(range(len(cells))), strict=True):
        np.testing.assert_array_equal(image, cell.planes)
    without = CellStore.open(write(tmp_path / "without", {("a", 0): plain}))
    assert store.digest == without.digest
    assert not without.has_masks
    assert "masks" not in without.manifest
    with pytest.raises(StoreError, match="holds no masks"):
        without.masks([0])


def test_masks_are_of_every_cell_or_of_none(tmp_path: Path) -> None:
    plain = random_cells(4, 0)
    with pytest.raises(StoreError, match="block a-0001 has no masks, unlike"):
        write(tmp_path / "a", {("a", 0): masked(plain[:2]), ("a", 1): plain[2:]})
    with pytest.raises(StoreError, match="has masks for 2 of 4 cells"):
        write(tmp_path / "b", {("a", 0): [*masked(plain[:2]), *plain[2:]]})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_and_table_come_back(tmp_path: Path, dtype: type) -> None:
    cells = random_cells(2 * CHUNK + 7, 0, dtype)
    path = write(tmp_path / "s", {("a", 0): cells[:200], ("a", 1): cells[200:]})
    store = CellStore.open(path)
    assert len(store) == len(cells)
    assert store.dtype == dtype
    for cell, image in zip(cells, store.images(range(len(cells))), strict=True):
        assert image.dtype == dtype
        np.testing.assert_array_equal(image, cell.planes)
    table = store.table
    assert list(table.columns) == [*COLUMNS, "marker_DNA"]
    assert table["cell_id"].tolist() == [f"a/{cell.object_index}" for cell in cells]
    assert table["sha256"].tolist() == [pixel_sha256(cell.planes) for cell in cells]
    assert table["marker_DNA"].tolist() == [cell.markers[0] for cell in cells]
    assert table["block"].tolist() == ["a-0000"] * 200 + ["a-0001"] * (len(cells) - 200)


def test_blocks_are_standard_zarr(tmp_path: Path) -> None:
    cells = random_cells(CHUNK + 1, 0)
    path = write(tmp_path / "s", {("a", 0): cells})
    array = zarr.open_array(str(path / "blocks" / "a-0000"), mode="r")
    assert array.metadata.zarr_format == 3
    assert array.shape[0] == len(cells)
    assert len([p for p in (path / "blocks").rglob("c/**/*") if p.is_file()]) == 1
    row, (_, h, w) = 17, cells[17].planes.shape
    np.testing.assert_array_equal(array[row, :, :h, :w], cells[row].planes)
    assert not array[row, :, h:].any()
    assert not array[row, :, :, w:].any()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.integers(0, 2 * CHUNK), max_size=40), batch=st.integers(1, 17))
def test_any_order_and_repeats(tmp_path_factory, rows: list[int], batch: int) -> None:
    path = tmp_path_factory.getbasetemp() / "ordered"
    cells = random_cells(2 * CHUNK + 1, 1)
    if not path.exists():
        write(path, {("a", 0): cells[:150], ("b", 0): cells[150:]})
    store = CellStore.open(path)
    parts = list(store.iter_images(rows, batch))
    assert [int(row) for part, _ in parts for row in part] == rows
    images = list(itertools.chain.from_iterable(part for _, part in parts))
    assert len(images) == len(rows)
    for row, image in zip(rows, images, strict=True):
        np.testing.assert_array_equal(image, cells[row].planes)


def test_same_cells_same_bytes_and_new_acquisition_touches_nothing(tmp_path: Path) -> None:
    make_store(tmp_path / "one", seed=3)
    make_store(tmp_path / "two", seed=3)
    assert tree_sha256(tmp_path / "one") == tree_sha256(tmp_path / "two")
    more = make_store(tmp_path / "more", seed=3, groups_per_class=5)
    old = CellStore.open(tmp_path / "one")
    for block in old.manifest["blocks"]:
        name = block["name"]
        assert tree_sha256(old.path / "blocks" / name) == tree_sha256(more.path / "blocks" / name)
    assert more.digest != old.digest


def test_digest_follows_pixels_labels_and_targets(tmp_path: Path) -> None:
    cells = random_cells(5, 0)
    digests = [CellStore.open(write(tmp_path / "0", {("a", 0): cells})).digest]
    for name, change in (
        ("1", {"pixels": cells[0].pixels ^ 1}),
        ("2", {"markers": (0.5,)}),
        ("3", {"object_index": 1}),
    ):
        changed = Cell(**{**vars(cells[0]), **change})
        path = write(tmp_path / name, {("a", 0): [changed, *cells[1:]]})
        digests.append(CellStore.open(path).digest)
    assert len(set(digests)) == len(digests)


def test_incomplete_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no complete store"):
        CellStore.open(tmp_path / "absent")
    writer = StoreWriter(tmp_path / "s", study="s", axes=Axes(("Ch1",)))
    with pytest.raises(RuntimeError), writer:
        writer.write(Origin("a", "a"), [Cell(0, "f", "g", np.ones((1, 1, 5, 5), np.uint16))])
        raise RuntimeError
    with pytest.raises(StoreError, match="json is missing"):
        CellStore.open(tmp_path / "s")


def test_store_of_an_older_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "s", {("a", 0): random_cells(3, 0)})
    manifest = read_json(path / "manifest.json")
    # A store as it was before a study could name frames and normalisation.
    old = {key: value for key, value in manifest.items() if key not in ("frames", "normalise")}
    write_json(path / "manifest.json", old | {"format": 1})
    with pytest.raises(StoreError, match=r"has format 1, this version reads 2") as raised:
        CellStore.open(path)
    assert "`dvc repro`" in raised.value.remedy
    write_json(path / "manifest.json", manifest)
    assert len(CellStore.open(path)) == 3


def test_changed_or_missing_parts_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", groups_per_class=1)
    shard = next(p for p in (store.path / "blocks" / "a_00-0000").rglob("c/**/*") if p.is_file())
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="a_00-0000"):
        CellStore.open(store.path).images([0])
    shard.write_bytes(b"")  # zarr reads it as zeros
    with pytest.raises(StoreError, match="lacks its file"):
        CellStore.open(store.path)
    shard.unlink()
    with pytest.raises(StoreError, match="lacks its file"):
        CellStore.open(store.path)
    shard.write_bytes(content)
    table = store.path / "cells.parquet"
    table.write_bytes(table.read_bytes() + b"x")
    with pytest.raises(StoreError, match="changed after ingest"):
        CellStore.open(store.path)


def test_writer_refuses_wrong_order_dtype_and_emptiness(tmp_path: Path) -> None:
    cells = random_cells(4, 0)
    with pytest.raises(StoreError, match="out of order"):
        write(tmp_path / "1", {("b", 0): cells, ("a", 0): cells})
    with pytest.raises(StoreError, match="out of order or twice"):
        write(tmp_path / "2", {("a", 0): [cells[0], cells[0]]})
    with pytest.raises(StoreError, match="holds uint8"):
        write(tmp_path / "3", {("a", 0): cells, ("b", 0): random_cells(4, 0, np.uint8)})
    with pytest.raises(StoreError, match="no cells"):
        write(tmp_path / "4", {})
    with pytest.raises(StoreError, match="not empty"):
        write(tmp_path / "1", {("a", 0): cells})


def test_labels_and_targets(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", missing_markers=0.3)
    labels = store.labels(("c", "b", "a"))
    assert labels.dtype == np.int64
    assert [("c", "b", "a")[i] for i in labels] == store.table["label"].tolist()
    with pytest.raises(StoreError, match="labelled c"):
        store.labels(("a", "b"))
    rules = (
        TargetRule(name="DNA", column="marker_DNA"),
        TargetRule(name="log", column="marker_DNA", transform="log"),
    )
    targets = store.targets(rules)
    truth = store.table["marker_DNA"].to_numpy()
    assert np.isnan(truth).any()
    np.testing.assert_array_equal(targets[:, 0], truth.astype(np.float32))
    np.testing.assert_allclose(np.exp(targets[:, 1]), truth, rtol=1e-5)
    assert store.targets(()).shape == (len(store), 0)
    with pytest.raises(StoreError, match="no column marker_X"):
        store.targets((TargetRule(name="x", column="marker_X"),))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_statistics_against_plain_formulas(dtype: type) -> None:
    rng = np.random.default_rng(0)
    top = 255 if dtype == np.uint8 else 4095
    stack = rng.integers(0, top + 1, (6, 9, 13)).astype(dtype)
    stack[0, 2, 3:7] = top
    columns = pd.DataFrame(pixel_statistics(stack[:, None]))
    for image, row in zip(stack.astype(np.float64), columns.itertuples(), strict=True):
        assert row.mean == pytest.approx(image.mean())
        assert row.std == pytest.approx(image.std())
        assert (row.minimum, row.maximum) == (image.min(), image.max())
        assert row.saturated == pytest.approx((image == top).mean())
        ys = (np.arange(32) * 8) // 31
        xs = (np.arange(32) * 12) // 31
        border = sorted([*image[0, xs], *image[-1, xs], *image[ys, 0], *image[ys, -1]])
        assert row.background == border[63]
        assert row.background_mad == sorted(abs(v - border[63]) for v in border)[63]
        laplacian = [
            image[y - 1, x] + image[y + 1, x] + image[y, x - 1] + image[y, x + 1] - 4 * image[y, x]
            for y in range(1, 8)
            for x in range(1, 12)
        ]
        assert row.sharpness == pytest.approx(np.var(laplacian) / border[63] ** 2, rel=1e-5)


def test_saturation_is_judged_by_the_detector_not_the_file() -> None:
    image = np.full((1, 1, 4, 5), 700, np.uint16)
    assert pixel_statistics(image)["saturated"] == 0
    image[0, 0, 0] = 4095
    assert pixel_statistics(image)["saturated"] == np.float32(0.25)
    image[0, 0, 1, 0] = 5000
    assert pixel_statistics(image)["saturated"] == 0


def test_pixel_sha256_tells_dtype_and_shape_apart() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    variants = [image, image.reshape(1, 6, 4), image.astype(np.uint16), image + np.uint8(1)]
    assert len({pixel_sha256(v) for v in variants}) == 4
    assert pixel_sha256(image[:, :, ::-1]) == pixel_sha256(image[:, :, ::-1].copy())
    assert pixel_sha256(image.astype(">u2")) == pixel_sha256(image.astype("<u2"))


def test_block_names_are_safe_and_distinct() -> None:
    names = ["a_1d1", "a b", "a(b", "a/b", "..", "x" * 300, "x" * 301, "a-0000"]
    blocks = [block_name(name, 3) for name in names]
    assert blocks[0] == "a_1d1-0003"
    assert len(set(blocks)) == len(names)
    assert all(Path(b).name == b and len(b) < 200 and not b.startswith(".") for b in blocks)


def test_by_size_covers_every_image_once() -> None:
    images = [cell.planes for cell in random_cells(50, 2)]
    seen = np.concatenate([index for index, _ in by_size(images)])
    assert sorted(seen) == list(range(50))
    for index, stack in by_size(images):
        for position, image in zip(index, stack, strict=True):
            np.testing.assert_array_equal(images[position], image)


def test_by_size_stacks_few_pixels_at_a_time() -> None:
    images = [np.full((2, 512, 512), k, np.uint16) for k in range(5)]
    stacks = list(by_size(images))
    assert [stack[:, 0, 0, 0].tolist() for _, stack in stacks] == [[0, 1], [2, 3], [4]]


def test_manifest_counts(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=5, groups_per_class=2, external_groups=1)
    manifest = read_json(store.path / "manifest.json")
    assert manifest["labels"] == {"a": 15, "b": 15, "c": 15}
    assert manifest["acquisitions"]["b_02"] == 5
    assert store.table.groupby("acquisition")["external"].first().sum() == 3
