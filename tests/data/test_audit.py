"""The audit as a whole: numbers, findings and verdicts from images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_shortcuts import params
from tests.synthetic import make_store
from unstained.data.audit.audit import Audit, audit_store
from unstained.data.audit.findings import Finding
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.imaging.axes import Axes

CLASSES = ("a", "b", "c")


def audit(store: CellStore, **changes: object) -> Audit:
    return audit_store(store, CLASSES, 64, params(**changes), seed=0)


def finding(result: Audit, check: str) -> Finding:
    (found,) = (item for item in result.findings if item.check == check)
    return found


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    path = tmp_path_factory.mktemp("honest") / "store"
    return audit(make_store(path, groups_per_class=6, cells_per_group=10, external_groups=1))


@pytest.fixture(scope="module")
def confounded(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    path = tmp_path_factory.mktemp("confounded") / "store"
    return audit(make_store(path, groups_per_class=6, cells_per_group=10, confound=1.0))


def test_numbers_of_cells_and_groups(honest: Audit) -> None:
    content = honest.content
    assert content["cells"] == 180
    assert content["external_cells"] == 30
    assert content["probed_cells"] == 180
    for entry in content["classes"]:
        assert (entry["cells"], entry["groups"], entry["acquisitions"]) == (60, 6, 6)
        assert entry["external_cells"] == 10
    assert content["cells_per_group"] == {"smallest": 10, "median": 10.0, "largest": 10}
    table = {row["group"]: row for row in content["group_table"]}
    assert table["b_03"] == {"group": "b_03", "external": False, "cells": {"b": 10}}
    assert table["b_06"]["external"]


def test_content_is_plain_json(honest: Audit, confounded: Audit) -> None:
    for result in (honest, confounded):
        text = json.dumps(result.content, allow_nan=False)
        assert json.loads(text)["findings"][0]["sentence"]


def test_honest_data_have_no_failure(honest: Audit) -> None:
    assert {item.severity for item in honest.findings} <= {"ok", "warning"}
    assert finding(honest, "shortcut: background").severity == "ok"
    assert finding(honest, "exact duplicates").sentence == "No two cells have the same pixels."
    assert honest.clusters.num_rows == 0
    assert "background" not in {probe.probe for probe in honest.shortcuts}


def test_planted_lamp_is_a_failure_that_leads_the_findings(confounded: Audit) -> None:
    first = confounded.findings[0]
    assert first.check == "shortcut: background"
    assert first.severity == "failure"
    assert first.interval is not None
    assert first.interval[0] < (first.value or 0) < first.interval[1]
    assert f"balanced accuracy {first.value:.2f}" in first.sentence
    order = [("failure", "warning", "ok").index(item.severity) for item in confounded.findings]
    assert order == sorted(order)


def squares(path: Path, depths: tuple[float, ...], lamps: tuple[float, ...]) -> CellStore:
    """Cells that absorb a fraction `depths` of light of relative brightness `lamps`, by class."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, study="s", axes=Axes(("Ch1",))) as writer:
        for label, depth, lamp in zip(CLASSES, depths, lamps, strict=True):
            for number in range(5):
                level = 500 * lamp * rng.uniform(0.9, 1.1)
                images = rng.normal(level, 5, (12, 40, 40))
                pattern = rng.uniform(0.5, 1.5, (12, 4, 4)).repeat(4, axis=1).repeat(4, axis=2)
                images[:, 12:28, 12:28] *= 1 - depth * pattern  # no cell is a copy of another
                name = f"{label}{number}"
                cells = [
                    Cell(i, f"{i}.tif", name, image[None, None].astype(np.uint16))
                    for i, image in enumerate(images)
                ]
                writer.write(Origin(name, label), cells)
    return CellStore.open(path)


def test_dark_cells_are_told_from_lighting(tmp_path: Path) -> None:
    """Cells of one class absorb more under the same lamp: a warning about cells, no failure."""
    result = audit(squares(tmp_path / "s", depths=(0.05, 0.2, 0.35), lamps=(1, 1, 1)))
    assert finding(result, "shortcut: background").severity == "ok"
    brightness = finding(result, "shortcut: brightness")
    assert brightness.severity == "warning"
    assert "most comes from the cells themselves" in brightness.sentence
    assert "Every cell is alike in the size" in finding(result, "shortcut: size").sentence


def test_lighting_is_told_from_dark_cells(tmp_path: Path) -> None:
    result = audit(squares(tmp_path / "s", depths=(0.2, 0.2, 0.2), lamps=(1, 1.5, 2)))
    assert finding(result, "shortcut: background").severity == "failure"
    sentence = finding(result, "shortcut: brightness").sentence
    assert "Lighting explains most of it" in sentence


def test_conflicts_of_duplicates(tmp_path: Path) -> None:
    """A cell copied under another label, one into another group, one into the external set."""
    source = make_store(tmp_path / "source", groups_per_class=3, cells_per_group=6)
    images = source.images(np.arange(len(source)))
    names = [f"{label}_{number:02d}" for label in CLASSES for number in range(3)]
    blocks = {name: images[6 * k : 6 * k + 6] for k, name in enumerate(names)}
    blocks["b_00"].append(blocks["a_00"][0])
    blocks["a_02"].append(blocks["a_01"][1])
    blocks["c_99"] = [blocks["c_02"][2], np.flip(blocks["c_00"][0], axis=1).copy()]
    with StoreWriter(tmp_path / "s", study="s", axes=Axes(("Ch1",))) as writer:
        for name, pixels in sorted(blocks.items()):
            cells = [Cell(i, f"{i}.tif", name, image[None]) for i, image in enumerate(pixels)]
            writer.write(Origin(name, name[0], external=name == "c_99"), cells)
    result = audit(CellStore.open(tmp_path / "s"))
    found = result.content["duplicates"]
    assert (found["exact_pairs"], found["near_pairs"], found["clusters"]) == (3, 0, 4)
    assert found["augmented_pairs"] == 1
    assert found["pairs_across_labels"] == 1
    assert found["pairs_across_groups"] == 4
    assert found["pairs_across_external"] == 2
    assert {(pair["first"], pair["second"]) for pair in found["pairs"]} == {
        ("a_00/0", "b_00/6"),
        ("a_01/1", "a_02/6"),
        ("c_02/2", "c_99/0"),
        ("c_00/0", "c_99/1"),  # mirrored
    }
    assert finding(result, "conflicting labels").severity == "failure"
    assert finding(result, "external overlap").severity == "failure"
    assert finding(result, "group overlap").severity == "warning"
    assert result.clusters["cluster"].to_pandas().value_counts().tolist() == [2, 2, 2, 2]
    # Of three groups of a class, two that hold copies of each other's cells count as one.
    assert {probe.verdict for probe in result.probes} == {"not identifiable"}


def test_few_groups_are_not_identifiable(tmp_path: Path) -> None:
    result = audit(make_store(tmp_path / "s", groups_per_class=2, cells_per_group=10))
    groups = finding(result, "groups per class")
    assert groups.severity == "failure"
    assert "a has 2, b has 2, c has 2" in groups.sentence
    assert {probe.verdict for probe in result.probes} == {"not identifiable"}
    assert "not identifiable" in finding(result, "shortcut: background").sentence


def test_blocks_of_one_acquisition_are_told(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", groups_per_class=1, cells_per_group=40, blocks_per_group=4)
    result = audit(store)
    assert finding(result, "groups per class").severity == "ok"
    acquisitions = finding(result, "acquisitions per class")
    assert acquisitions.severity == "warning"
    assert "does not show whether a model works on another acquisition" in acquisitions.sentence


def test_a_rare_class_is_a_warning(tmp_path: Path) -> None:
    source = make_store(tmp_path / "source", groups_per_class=3, cells_per_group=12)
    images = source.images(np.arange(len(source)))
    with StoreWriter(tmp_path / "s", study="s", axes=Axes(("Ch1",))) as writer:
        for label, name in enumerate(CLASSES):
            for number in range(3):
                start = 12 * (3 * label + number)
                size = 1 if name == "b" else 12
                cells = [
                    Cell(i, f"{i}.tif", f"{name}{number}", image[None])
                    for i, image in enumerate(images[start : start + size])
                ]
                writer.write(Origin(f"{name}{number}", name), cells)
    balance = finding(audit(CellStore.open(tmp_path / "s")), "class balance")
    assert balance.severity == "warning"
    assert balance.value == 12
    assert "smallest, b, 3" in balance.sentence


def test_sample_is_capped_and_the_audit_repeats(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", groups_per_class=4, cells_per_group=20)
    first, second = (audit(store, max_cells=120) for _ in range(2))
    assert first.content == second.content
    assert first.content["probed_cells"] == 120
    assert first.content["cells"] == 240
