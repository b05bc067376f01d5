"""Drift: distances as scipy's, false alarms at the stated rate, groups as units, causes apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unstained.evaluation.drift import BINS, Drift, Sample, compare_samples, groups_that_would_do


def sample(
    generator: np.random.Generator, groups: int, cells: int, shift: float, spread: float, name: str
) -> Sample:
    """Values of acquisitions that differ among themselves by `spread`."""
    centres = generator.normal(shift, spread, groups) if spread else np.full(groups, shift)
    values = (centres[:, None] + generator.normal(0, 1, (groups, cells))).ravel()
    names = np.repeat([f"{name}{k}" for k in range(groups)], cells)
    return Sample({"x": values}, names, np.zeros(len(names), np.int64))


def mixed(
    generator: np.random.Generator,
    per_class: tuple[int, ...],
    name: str,
    cells: int = 60,
    moved: float = 0.0,
) -> Sample:
    """Groups of one class each, whose values differ by class far more than by group."""
    values, names, classes = [], [], []
    for label, groups in enumerate(per_class):
        for number in range(groups):
            centre = 4.0 * label + generator.normal(0, 0.2) + moved
            values.append(generator.normal(centre, 1, cells))
            names += [f"{name}{label}-{number}"] * cells
            classes += [label] * cells
    return Sample({"x": np.concatenate(values)}, np.array(names), np.array(classes))


def drift(first: Sample, second: Sample, permutations: int = 199, least: float = 0.0) -> Drift:
    return compare_samples(
        first, second, permutations=permutations, alpha=0.05, least=least, seed=1
    )


def images(found: Drift) -> float:
    return next(shift.distance for shift in found.shifts if shift.cause == "images")


def test_the_distance_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first = sample(generator, 5, 400, 0.0, 0.0, "a")
    second = sample(generator, 4, 300, 0.5, 0.0, "b")
    expected = stats.ks_2samp(first.quantities["x"], second.quantities["x"]).statistic
    assert images(drift(first, second)) == pytest.approx(expected, abs=2 / BINS)


def test_yes_or_no_quantities_have_exact_distances() -> None:
    none = np.zeros(40, np.int64)
    first = Sample({"x": np.repeat([0.0, 1.0], [30, 10])}, np.repeat(["a", "b"], 20), none)
    second = Sample({"x": np.repeat([0.0, 1.0], [10, 30])}, np.repeat(["c", "d"], 20), none)
    assert images(drift(first, second)) == pytest.approx(0.5)


def test_a_shift_is_found_and_small_ones_do_not_matter() -> None:
    generator = np.random.default_rng(2)
    first = sample(generator, 10, 100, 0.0, 0.1, "a")
    second = sample(generator, 10, 100, 1.0, 0.1, "b")
    assert drift(first, second).drifted("images") == ("x",)
    assert drift(first, second, least=0.9).drifted("images") == ()


def test_acquisitions_that_differ_among_themselves_are_no_drift() -> None:
    """A test on cells would call nearly all of these a drift."""
    alarms, naive = 0, 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        first = sample(generator, 8, 60, 0.0, 0.7, "a")
        second = sample(generator, 8, 60, 0.0, 0.7, "b")
        alarms += bool(drift(first, second).drifted("images"))
        naive += stats.ks_2samp(first.quantities["x"], second.quantities["x"]).pvalue < 0.05
    assert alarms <= 12  # 5 are expected; 13 or more happen once in 700 times
    assert naive > 40


def test_another_mix_of_classes_is_composition_and_no_change_of_images() -> None:
    """A naive comparison of all cells would be off by the classes' whole distance."""
    alarms = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        first, second = mixed(generator, (8, 8, 8), "a"), mixed(generator, (15, 3, 0), "b")
        found = drift(first, second)
        alarms += bool(found.drifted("images"))
        naive = stats.ks_2samp(first.quantities["x"], second.quantities["x"]).statistic
        assert naive > 0.3
        assert images(found) < 0.25
        assert found.drifted("composition") == ("fractions of classes",)
    assert alarms <= 6  # 2 are expected


def test_thousands_of_cells_of_one_known_class_ring_for_composition_alone() -> None:
    generator = np.random.default_rng(5)
    first = mixed(generator, (20, 20, 20), "a", cells=75)
    second = mixed(generator, (0, 60, 0), "b", cells=75)
    found = drift(first, second, least=0.1)
    assert len(second.groups) == 4500
    assert found.drifted("images") == ()
    assert found.drifted("composition") == ("fractions of classes",)
    assert found.shifts[1].reference == pytest.approx(found.shifts[1].new, abs=0.2)


def test_a_change_within_classes_is_found_whatever_the_mix() -> None:
    generator = np.random.default_rng(6)
    first, second = mixed(generator, (8, 8, 8), "a"), mixed(generator, (12, 6, 6), "b", moved=1.0)
    found = drift(first, second, least=0.1)
    assert found.drifted("images") == ("x",)
    within = [
        stats.ks_2samp(*(s.quantities["x"][s.classes == k] for s in (first, second))).statistic
        for k in range(3)
    ]
    assert images(found) == pytest.approx(np.average(within, weights=[12, 6, 6]), abs=0.03)


def test_a_class_that_the_reference_lacks_is_told_and_not_compared() -> None:
    generator = np.random.default_rng(7)
    found = drift(mixed(generator, (6, 6, 0), "a"), mixed(generator, (3, 3, 3), "b"))
    assert found.unknown == (2,)
    assert images(found) < 0.3


def test_one_new_acquisition_cannot_be_significant() -> None:
    generator = np.random.default_rng(3)
    found = drift(sample(generator, 5, 50, 0, 0, "a"), sample(generator, 1, 50, 9, 0, "b"))
    assert found.smallest_p == pytest.approx(1 / 6)
    assert found.drifted("images") == ()


@pytest.mark.parametrize(("groups", "quantities"), [(5, 1), (3, 4), (30, 4)])
def test_groups_that_would_do_are_the_fewest(groups: int, quantities: int) -> None:
    enough = groups_that_would_do(groups, 0.05, quantities)

    def smallest(new: int) -> float:
        generator = np.random.default_rng(0)
        pair = sample(generator, groups, 1, 0, 0, "a"), sample(generator, new, 1, 0, 0, "b")
        return drift(*pair, permutations=10_000).smallest_p * quantities

    assert smallest(enough) <= 0.05
    assert enough == 1 or smallest(enough - 1) > 0.05


def test_samples_must_not_overlap() -> None:
    same = Sample({"x": np.zeros(4)}, np.repeat(["a", "b"], 2), np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="in both samples"):
        drift(same, same)
