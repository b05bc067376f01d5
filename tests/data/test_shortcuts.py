"""The shortcut audit: planted confounds are found, absent ones are not, over many seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import make_store
from unstained.config.validate import ValidateParams
from unstained.data.audit.probes import probe_names, read_probes
from unstained.data.audit.shortcuts import ProbeResult, audit_shortcuts, deal, sample_rows


def params(**changes: object) -> ValidateParams:
    fields = {
        "min_cells_per_class": 10,
        "near_duplicate_distance": 2,
        "augmented_cells": 40,
        "folds": 5,
        "confidence": 0.95,
        "shortcut_margin": 0.05,
        "on_shortcut": "report",
        "max_cells": 20_000,
    }
    return ValidateParams(**(fields | changes))


def lamps(
    seed: int, shift: float, groups: int = 12, cells: int = 24, classes: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level, gradient and noise of cells whose acquisitions differ; `shift` plants a confound.

    `shift` is the distance between the classes' lamps in standard deviations of the lamps of
    acquisitions.
    """
    rng = np.random.default_rng(seed)
    values, labels, names = [], [], []
    for label in range(classes):
        for group in range(groups):
            lamp = rng.normal(shift * label, 1)
            slope = rng.normal(0, 1)
            level = lamp + rng.normal(0, 0.05, cells)
            noise = 0.1 * lamp + rng.normal(0, 1, cells)
            values.append(np.column_stack([level, slope + rng.normal(0, 0.3, cells), noise]))
            labels += [label] * cells
            names += [f"{label}-{group}"] * cells
    return np.concatenate(values), np.array(labels), np.array(names)


def background(seed: int, shift: float, **size: int) -> tuple[ProbeResult, ProbeResult]:
    values, labels, groups = lamps(seed, shift, **size)
    grouped, random = audit_shortcuts({"background": values}, labels, groups, params(), seed)
    return grouped, random


@pytest.mark.parametrize("seed", range(6))
def test_planted_confound_is_found(seed: int) -> None:
    grouped, _ = background(seed, shift=2.5)
    assert grouped.verdict == "shortcut"
    assert grouped.low is not None
    assert grouped.low > 1 / 3 + 0.05
    assert grouped.p_value is not None
    assert grouped.p_value <= 0.05


@pytest.mark.parametrize(
    ("groups", "classes"),
    [pytest.param(12, 3, marks=pytest.mark.minutes), (4, 3), (6, 2)],
)
def test_false_alarms_stay_below_the_stated_rate(groups: int, classes: int) -> None:
    size = {"groups": groups, "classes": classes, "cells": 10}
    results = [background(seed, 0.0, **size)[0] for seed in range(40)]
    alarms = sum(result.verdict == "shortcut" for result in results)
    assert alarms <= 3  # 5 % of 40 are 2
    covered = [r.low <= r.chance + 0.05 for r in results if r.low is not None]
    assert np.mean(covered) > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_random_cross_validation_leaks_what_grouped_does_not(seed: int) -> None:
    grouped, random = background(seed, shift=0.0)
    assert grouped.verdict in ("none found", "undecided")
    assert random.verdict == "leak"
    assert grouped.balanced_accuracy is not None
    assert random.balanced_accuracy is not None
    assert random.balanced_accuracy > grouped.balanced_accuracy + 0.1


def test_no_group_effect_means_no_leak() -> None:
    rng = np.random.default_rng(0)
    _, labels, groups = lamps(0, 0.0)
    values = rng.normal(size=(len(labels), 3)) + labels[:, None] * 0.5
    grouped, random = audit_shortcuts({"size": values}, labels, groups, params(), 0)
    assert grouped.verdict == "shortcut"
    assert random.verdict == "none found"


def test_a_class_of_larger_scatter_is_found() -> None:
    rng = np.random.default_rng(1)
    _, labels, groups = lamps(0, 0.0, classes=2)
    scatter = rng.normal(size=(len(labels), 1)) * np.where(labels == 0, 1.0, 3.0)[:, None]
    grouped, _ = audit_shortcuts({"background": scatter}, labels, groups, params(), 0)
    assert grouped.verdict == "shortcut"


def test_two_groups_a_class_are_not_identifiable() -> None:
    for result in background(0, shift=5.0, groups=2):
        assert result.verdict == "not identifiable"
        assert result.balanced_accuracy is None
        assert result.low is None


def test_constant_statistics_are_chance() -> None:
    _, labels, groups = lamps(0, 0.0)
    grouped, random = audit_shortcuts(
        {"size": np.full((len(labels), 4), 40.0)}, labels, groups, params(), 0
    )
    for result in (grouped, random):
        assert result.verdict == "none found"
        assert result.balanced_accuracy == pytest.approx(1 / 3)


def test_classes_mixed_within_groups() -> None:
    """Where groups hold several classes, the null exchanges labels within groups."""
    rng = np.random.default_rng(2)
    groups = np.repeat([f"slide {number}" for number in range(8)], 60)
    labels = rng.integers(0, 3, len(groups))
    slide = np.repeat(rng.normal(0, 3, 8), 60)
    nothing = np.column_stack([slide, rng.normal(size=len(groups))])
    something = nothing + np.column_stack([np.zeros(len(groups)), labels])
    results = audit_shortcuts(
        {"background": nothing, "brightness": something}, labels, groups, params(), 0
    )
    verdicts = {r.probe: r.verdict for r in results if r.scheme == "grouped"}
    assert verdicts == {"background": "none found", "brightness": "shortcut"}
    shares = {r.probe: r.explained for r in results if r.scheme == "grouped"}
    assert shares["background"] is None
    assert shares["brightness"] is not None
    assert shares["brightness"].is_most == "ruled out"


def test_brightness_that_is_lighting_is_explained_by_the_background() -> None:
    values, labels, groups = lamps(0, shift=2.5)
    noisy = values + np.random.default_rng(0).normal(0, 0.05, values.shape)
    results = audit_shortcuts(
        {"background": values, "brightness": noisy}, labels, groups, params(), 0
    )
    share = next(r.explained for r in results if r.probe == "brightness" and r.explained)
    assert share.is_most == "shown"
    assert share.value == pytest.approx(1.0, abs=0.05)
    assert share.low <= share.value <= share.high


def test_units_outliers_and_order_of_rows_do_not_matter() -> None:
    values, labels, groups = lamps(3, 1.5)
    scaled = np.exp(values * [0.5, 1, 2])
    first = audit_shortcuts({"background": values}, labels, groups, params(), 0)
    again = audit_shortcuts({"background": scaled}, labels, groups, params(), 0)
    assert first == again


def test_deal_is_even_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [17, 5, 40])
    fold = deal(labels, 5, np.random.default_rng(0))
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(fold)) <= 1


def test_sample_takes_the_same_share_of_every_group_whatever_the_order() -> None:
    groups = np.repeat(["x", "y", "z"], [600, 300, 90])
    ids = np.array([f"{group}/{number}" for number, group in enumerate(groups)])
    rows = sample_rows(ids, groups, 330, seed=1)
    assert len(rows) == 330
    assert (np.diff(rows) > 0).all()
    _, counts = np.unique(groups[rows], return_counts=True)
    assert np.abs(counts - [200, 100, 30]).max() <= 1
    codes = np.unique(groups, return_inverse=True)[1]
    np.testing.assert_array_equal(sample_rows(ids, codes, 330, seed=1), rows)
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = sample_rows(ids[order], groups[order], 330, seed=1)
    assert set(ids[order][shuffled]) == set(ids[rows])
    assert set(sample_rows(ids, groups, 330, seed=2)) != set(rows)
    assert len(sample_rows(ids, groups, 2000, seed=1)) == len(ids)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("confound", [0.0, 1.0])
def test_images_with_and_without_a_planted_lamp(tmp_path: Path, seed: int, confound: float) -> None:
    store = make_store(
        tmp_path / "s", seed=seed, confound=confound, groups_per_class=8, cells_per_group=12
    )
    probes = read_probes(store, np.arange(len(store)))
    assert tuple(probes) == probe_names(store.axes)
    labels, groups = store.labels(("a", "b", "c")), store.columns("group")["group"].to_numpy()
    results = audit_shortcuts(probes, labels, groups, params(), seed)
    verdicts = {r.probe: r.verdict for r in results if r.scheme == "grouped"}
    assert (verdicts["background"] == "shortcut") == bool(confound)
    assert verdicts["size"] != "shortcut"
    if confound:
        assert verdicts["brightness"] == "shortcut"
