"""What the report says of predicted values follows from their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.evaluations import (
    evaluate_params,
    make_cells,
    make_evaluation,
    make_model,
    study,
)
from unstained.evaluation.class_means import ClassMean
from unstained.evaluation.results import PartResult
from unstained.evaluation.scores import TaskScores
from unstained.evaluation.tables import model_numbers
from unstained.report.page import Table, Text
from unstained.report.study.bands import band_findings, held_table
from unstained.report.study.elsewhere import carried, external_section
from unstained.report.study.other_split import other_split
from unstained.report.study.values import beyond_class, class_mean_table, classes_table
from unstained.statistics.intervals import Estimate


@pytest.fixture(scope="module")
def part() -> PartResult:
    """A model that predicts one value well within classes."""
    return make_model(make_cells(), study(), evaluate_params()).test


def _with(part: PartResult, gain: Estimate) -> PartResult:
    nothing = Estimate(0.5, 0.4, 0.6)
    keys = ("r2", "r", "rmse")
    one = ClassMean(
        "DNA", "predicted", 240, dict.fromkeys(keys, nothing), dict.fromkeys(keys, gain)
    )
    return replace(part, class_means=(one, replace(one, whose="true", cells=0)))


@pytest.mark.parametrize(
    ("gain", "wanted", "more"),
    [
        (Estimate(0.2, 0.1, 0.3), "the model tells more than the mean of the class", False),
        (Estimate(-0.2, -0.3, -0.1), "the model does worse than the mean of the class", False),
        (Estimate(-0.01, -0.02, 0.003), "the model tells no more than the mean", False),
        (Estimate(0.1, -0.1, 0.3), "cannot be told", True),
    ],
)
def test_words_follow_from_the_interval(
    part: PartResult, gain: Estimate, wanted: str, *, more: bool
) -> None:
    (said,) = beyond_class(_with(part, gain), 12, "groups")
    assert said.startswith("DNA: ")
    assert wanted in said
    assert "against the 0.50 of that mean" in said
    assert ("With 12 groups" in said) is more


def test_a_correlation_within_classes_is_told_beside_it(part: PartResult) -> None:
    (said,) = beyond_class(part, 12, "groups")
    assert "Within classes a correlation is shown, 1.00" in said


def test_a_class_that_nobody_knows_is_no_row(part: PartResult) -> None:
    table = class_mean_table(_with(part, Estimate(0.001, -0.002, 0.002)), "caption")
    ((name, _, gain, *_),) = table.rows
    assert (name.detail, gain.text, gain.strong) == ("predicted class, 240 cells", "0.00", False)


def test_classes_stand_in_the_study_s_order_whatever_the_record_s(part: PartResult) -> None:
    (target,) = part.scores.targets
    turned = replace(target, by_class=dict(reversed(target.by_class.items())))
    table = classes_table((turned,), ("alpha", "beta", "gamma"), "caption")
    assert table.columns[2:] == ("alpha", "beta", "gamma")
    wanted = [target.by_class[name].value for name in ("alpha", "beta", "gamma")]
    assert np.isclose([float(cell.text) for cell in table.rows[0][2:]], wanted, atol=0.005).all()


@pytest.mark.parametrize(
    ("outside", "wanted"),
    [
        (Estimate(0.5, 0.45, 0.55), "does not carry over as it is"),
        (Estimate(0.9, 0.88, 0.92), "orders external cells as well as test cells, or nearly"),
        (Estimate(0.85, 0.83, 0.87), "less well than test cells; whether by much cannot be told"),
        (Estimate(0.85, 0.6, 0.95), "as well as test cells cannot be told"),
    ],
)
def test_what_is_said_of_another_batch_follows_from_both_intervals(
    part: PartResult, outside: Estimate, wanted: str
) -> None:
    def having(r: Estimate) -> PartResult:
        target = replace(part.scores.targets[0], r=r)
        return replace(part, scores=replace(part.scores, targets=(target,)))

    ((_, said),) = carried(having(Estimate(0.9, 0.89, 0.91)), having(outside))
    assert wanted in said


def test_kinds_never_learnt_stand_apart_from_another_batch() -> None:
    cells = make_cells(external=True)
    foreign = (cells.part == "external") & (np.arange(len(cells)) % 5 == 0)
    known = {name: found.copy() for name, found in cells.truth.items()}
    known["blob"][cells.part == "external"] = -1
    cells = replace(cells, part=np.where(foreign, "unlearnt", cells.part), truth=known)
    data, params = study(), evaluate_params()
    made = make_model(cells, data, params)
    assert made.parts["external"].scores.cells == (~foreign & (cells.part == "external")).sum()
    evaluation = make_evaluation(models=(made,), cells=cells)
    section = external_section(evaluation)
    assert section is not None
    said = str(section.blocks)
    assert "192 external cells have no known class" in said
    assert "48 more cells are of a kind that no class names" in said
    assert model_numbers(made)["unlearnt"]["target"]["DNA"]["rmse"] is not None


def test_intervals_are_judged_on_test_and_external_cells() -> None:
    cells = make_cells(external=True)
    model = make_model(cells, study(), evaluate_params())
    outside = model.parts["external"]
    (own,) = outside.held
    missed = replace(outside, held=(replace(own, coverage=Estimate(0.6, 0.5, 0.7)),))
    model = replace(model, parts={**model.parts, "external": missed})
    evaluation = make_evaluation(models=(model,), cells=cells)
    (row,) = held_table(evaluation).rows
    test, said = cells.of("test"), model.predictions.values["DNA"]
    assert said.bounds is not None
    inside = (said.bounds[0] <= cells.targets[:, 0]) & (cells.targets[:, 0] <= said.bounds[1])
    assert [row[1].text, row[2].text] == [f"{100 * inside[test].mean():.0f}\u00a0%", "60\u00a0%"]
    found = {item.tone: item.text for item in band_findings(evaluation)}
    assert "60\u00a0% (50 to 70\u00a0%) of external cells" in found["caution"]
    assert "90\u00a0% was promised: the promise was missed" in found["caution"]
    assert sum("of test cells" in text for text in found.values()) == 1


def test_a_random_split_stands_beside_held_out_groups_for_classes_and_values() -> None:
    evaluation = make_evaluation(random_features=0.99)
    table, text = other_split(evaluation)
    assert isinstance(table, Table)
    assert isinstance(text, Text)
    by_split = {c.split: c.scores for c in evaluation.controls if c.name == "features"}
    accuracy, r = (row[1:] for row in table.rows)
    for cells, scores in zip(accuracy, (by_split["grouped"], by_split["random"]), strict=False):
        assert cells.text == f"{scores.overall['balanced_accuracy'].value:.2f}"
    assert accuracy[2].strong
    assert [cell.text for cell in r] == ["1.00", "1.00", "0.00"]
    assert f"would have claimed balanced accuracy {accuracy[1].text}" in text.paragraphs[0]
    assert "It promises more than new" in text.paragraphs[0]
    assert "It promises no more" in text.paragraphs[1]
    alone = replace(evaluation, controls=evaluation.main_controls)
    assert not list(other_split(alone))


def test_a_proportion_stands_there_by_its_correlation() -> None:
    evaluation = make_evaluation(random_features=0.99)
    shares = {
        "grouped": TaskScores(9, {"mae": Estimate(0.2, 0.1, 0.3), "r": Estimate(0.5, 0.4, 0.6)})
    }
    shares["random"] = TaskScores(9, {"mae": Estimate(0.1, 0.1, 0.1), "r": Estimate(0.9, 0.8, 1.0)})
    controls = tuple(
        replace(c, scores=replace(c.scores, tasks={**c.scores.tasks, "muscle": shares[c.split]}))
        for c in evaluation.controls
    )
    table, text = other_split(replace(evaluation, controls=controls))
    assert isinstance(table, Table)
    assert isinstance(text, Text)
    (row,) = [row for row in table.rows if row[0].text == "r of muscle"]
    assert [cell.text for cell in row[1:3]] == ["0.50", "0.90"]
    assert "would have claimed r of muscle 0.90" in text.paragraphs[-1]
