"""Acquisitions: names that the reader takes, lamps that follow `confound`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from unstained.config.project import load_params
from unstained.config.study import SimulateParams, StudyData
from unstained.config.tasks import ClassRule
from unstained.errors import ParameterError
from unstained.simulate.plan import plan_study

CLASSES = ("astrocyte", "oligodendrocyte", "neuron")


def study(repository: Path) -> tuple[SimulateParams, StudyData]:
    nsc = load_params(repository / "params.yaml").studies["nsc"]
    demo = nsc.recipes["demo"].sections().simulate
    assert demo is not None
    size = {"acquisitions_per_class": 12, "cells_per_acquisition": 48, "confound": 0.0}
    return demo.model_copy(update=size), nsc.data


def test_names_are_read_back_as_their_class(repository: Path) -> None:
    params, data = study(repository)
    plans = plan_study(params, data, 0)
    assert len({plan.name for plan in plans}) == len(plans)
    external = 0
    for plan in plans:
        rule = next(rule for rule in data.classes if re.search(rule.pattern, plan.name))
        assert rule.name == plan.lineage
        external += rule.external
        few = params.cells_per_acquisition // (2 if rule.external else 1)
        assert len(plan.objects) == len(plan.focus_um) == few
    assert external == 2
    assert len(plans) == 3 * params.acquisitions_per_class + external


def test_object_numbers_rise_with_gaps(repository: Path) -> None:
    for plan in plan_study(*study(repository), 3):
        steps = np.diff(plan.objects)
        assert (steps > 0).all()
        assert (steps > 1).any()
        assert plan.objects[0] > 0


def lamps(repository: Path, confound: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    params, data = study(repository)
    plans = plan_study(params.model_copy(update={"confound": confound}), data, seed)
    plans = tuple(plan for plan in plans if re.match("[aon]_", plan.name))
    lamp = np.array([plan.lamp for plan in plans])
    return lamp, np.array([CLASSES.index(plan.lineage) for plan in plans])


def nearest_neighbour_recall(lamp: np.ndarray, label: np.ndarray) -> float:
    """Balanced accuracy of the three nearest lamps, each acquisition left out in turn."""
    distance = np.abs(lamp[:, None] - lamp[None, :])
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1)[:, :3]
    votes = (label[nearest][:, :, None] == np.arange(3)).sum(axis=1)
    guess = votes.argmax(axis=1)
    return float(np.mean([(guess[label == k] == k).mean() for k in range(3)]))


@pytest.mark.parametrize("seed", range(8))
def test_full_confound_makes_the_lamp_the_class(repository: Path, seed: int) -> None:
    lamp, label = lamps(repository, 1.0, seed)
    assert lamp == pytest.approx(np.array([1.0, 1.5, 1.0])[label])


def test_no_confound_leaves_the_lamp_independent_of_the_class(repository: Path) -> None:
    recall = []
    for seed in range(20):
        lamp, label = lamps(repository, 0.0, seed)
        recall.append(nearest_neighbour_recall(lamp, label))
        means = [np.log(lamp[label == k]).mean() for k in range(3)]
        assert np.ptp(means) < 0.04
        assert 0.1 < np.log(lamp).std() < 0.2
    assert np.mean(recall) < 1 / 3 + 0.08


def test_half_a_confound_lies_between(repository: Path) -> None:
    gaps = []
    for confound in (0.0, 0.5, 1.0):
        lamp, label = lamps(repository, confound, 1)
        gaps.append(lamp[label == 1].mean() - lamp[label != 1].mean())
    assert gaps[0] < 0.1 < gaps[1] < 0.4 < gaps[2]


def test_focus_drifts_within_an_acquisition(repository: Path) -> None:
    params, data = study(repository)
    for drift in (0.0, 1.0, 3.0):
        plans = plan_study(params.model_copy(update={"focus_drift_um": drift}), data, 5)
        ends = [plan.focus_um[-1] - plan.focus_um[0] for plan in plans if len(plan.focus_um) > 40]
        assert np.std(ends) == pytest.approx(drift, rel=0.4, abs=1e-9)


def test_other_acquisitions_do_not_change_one(repository: Path) -> None:
    params, data = study(repository)
    more = params.model_copy(update={"acquisitions_per_class": 13})
    few, many = ({plan.name: plan for plan in plan_study(p, data, 7)} for p in (params, more))
    for name, plan in few.items():
        assert np.array_equal(plan.focus_um, many[name].focus_um)
        assert np.array_equal(plan.objects, many[name].objects)


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (ClassRule(name="microglia", pattern="^m_"), "microglia"),
        (ClassRule(name="neuron", pattern="^x_"), r"\^x_"),
        (ClassRule(name="neuron", pattern="^bdnf", external=True), r"\^bdnf"),
    ],
)
def test_classes_that_cannot_be_simulated_are_named(
    repository: Path, rule: ClassRule, word: str
) -> None:
    params, data = study(repository)
    with pytest.raises(ParameterError, match=word):
        plan_study(params, data.with_rules((*data.classes[:2], rule)), 0)
