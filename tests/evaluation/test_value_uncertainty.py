"""Intervals, errors and doubted records of numbers, beside naive counts, scipy and scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from tests.learning.cases import STUDY
from tests.synthetic import tasks
from unstained.config.study import StudyData
from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.uncertainty import value_suspects, value_tables
from unstained.evaluation.uncertainty.quantities import Quantity, best_first, quantities
from unstained.evaluation.uncertainty.value_intervals import (
    ABSOLUTE,
    BY_DISTANCE,
    WITHOUT,
    Distances,
    bounds,
    coverage_table,
    marginal,
)
from unstained.predictions import Predictions, SharePredictions, ValuePredictions
from unstained.statistics.intervals import resample_groups

ALPHA, LEVEL = 0.1, 0.95
SIZE = Quantity("size", "size", "µm")
PARTS = {"kind": "proportion", "parts": ["p", "q", "r"], "columns": ["p", "q", "r"]}
ASKING: dict[str, Any] = {"size": {"kind": "value", "column": "s", "unit": "µm"}, "mix": PARTS}


def table(
    seed: int, part: str, cells: int = 120, *, truth_seed: int = 0, noise: float = 1.0
) -> tuple[Predictions, np.ndarray]:
    """Cells whose error grows with a distance, a tenth of them without a recorded number."""
    told = np.random.default_rng([truth_seed, *part.encode()])
    truth, far = told.normal(10, 3, cells), told.uniform(0.2, 3, cells)
    shares = told.dirichlet([2, 2, 2], cells)
    unknown = told.random(cells) < 0.1
    rng = np.random.default_rng([seed, *part.encode()])
    predicted = 10 + 0.8 * (truth - 10) + noise * far * rng.normal(size=cells)
    guessed = rng.dirichlet([2, 2, 2], cells)
    names = np.array([f"{part}{number:04d}" for number in range(cells)])
    group = np.array([f"{part}-g{number % 6}" for number in range(cells)])
    values = {"size": ValuePredictions(np.where(unknown, np.nan, truth), predicted)}
    said = {"mix": SharePredictions(("p", "q", "r"), shares, guessed)}
    return Predictions(names, group, np.full(cells, part), {}, values, said), far


def replica(seed: int, **how: Any) -> tuple[ReplicateResult, Distances]:
    (test, far), (val, near) = table(seed, "test", **how), table(seed, "val", **how)
    return ReplicateResult(f"fold0-seed{seed}", {}, test, val), Distances(near, far)


@pytest.fixture(scope="module")
def made() -> tuple[dict[str, list[ReplicateResult]], dict[str, Distances]]:
    pairs = [replica(seed) for seed in (1, 2)]
    return {"net": [run for run, _ in pairs]}, {"net": pairs[0][1]}


def draws(run: ReplicateResult, resamples: int = 50) -> Any:
    return resample_groups(run.test.group, run.test.strata, resamples, 3)


def rows(found: pd.DataFrame, **where: Any) -> pd.DataFrame:
    for column, value in where.items():
        found = found[found[column] == value]
    return found


def test_quantities_are_values_and_parts() -> None:
    two = {"a": {"kind": "proportion", "parts": ["x", "y"], "columns": ["x"]}}
    assert [one.name for one in quantities(tasks(ASKING))] == ["size", "p", "q", "r"]
    assert [one.name for one in quantities(tasks(two))] == ["x"]


def naive_half(run: ReplicateResult, distances: Distances | None) -> np.ndarray:
    said = run.validation.values["size"]
    errors, width = np.abs(said.predicted - said.truth), np.ones(len(run.test))
    if distances is not None:
        middle = np.median(distances.validation)
        errors = errors / (0.5 + distances.validation / middle)
        width = 0.5 + distances.test / middle
    known = np.sort(errors[~np.isnan(errors)])
    return np.asarray(known[int(np.ceil((len(known) + 1) * 0.9)) - 1] * width)


def test_intervals_and_their_coverage_are_those_of_a_count(
    made: tuple[dict[str, list[ReplicateResult]], dict[str, Distances]],
) -> None:
    replicas, distances = made
    runs = replicas["net"]
    found = coverage_table(replicas, (SIZE,), ALPHA, distances, draws(runs[0]), LEVEL)
    for method, some, far in ((ABSOLUTE, runs, None), (BY_DISTANCE, runs[:1], distances["net"])):
        held, width = [], []
        for run in some:
            said, half = run.test.values["size"], naive_half(run, far)
            known = ~np.isnan(said.truth)
            held.append(np.abs(said.predicted - said.truth)[known] <= half[known])
            width.append(2 * half[known].mean())
        own = rows(found, method=method)
        (row,) = rows(own, part="all").to_dict("records")
        assert row["coverage"] == pytest.approx(np.mean(held))
        assert row["width"] == pytest.approx(np.mean(width))
        assert row["coverage_low"] < row["coverage"] < row["coverage_high"]
        group = runs[0].test.group[known]
        for part in rows(own, part="group").to_dict("records"):
            inside = group == part["name"]
            assert part["coverage"] == pytest.approx(np.mean([h[inside] for h in held]))
            assert part["cells"] == inside.sum()
    truth = runs[0].validation.values["size"].truth
    ordered = np.sort(truth[~np.isnan(truth)])
    rank = int((len(ordered) + 1) * 0.05)
    (row,) = rows(found, method=WITHOUT, part="all").to_dict("records")
    assert row["width"] == pytest.approx(ordered[-rank] - ordered[rank - 1])
    (own,) = rows(found, method=ABSOLUTE, part="all").to_dict("records")
    assert own["relative"] == pytest.approx(own["width"] / row["width"])


@pytest.mark.parametrize("method", [ABSOLUTE, BY_DISTANCE, WITHOUT])
def test_exchangeable_cells_are_held_as_promised(method: str) -> None:
    held, narrow = [], []
    for seed in range(150):
        run, distances = replica(seed, truth_seed=seed)
        found = bounds(run, SIZE, method, ALPHA, distances)
        truth = run.test.values["size"].truth
        known = ~np.isnan(truth)
        held.append(found.hold(truth)[known].mean())
        near = known & (distances.test < 0.7)
        narrow.append((found.high - found.low)[near].mean() / (found.high - found.low).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.015)
    assert (np.mean(narrow) < 0.8) == (method == BY_DISTANCE)


def test_a_shift_of_the_cells_breaks_the_promise_and_is_named() -> None:
    run, distances = replica(1, noise=0.2)
    shifted = run.test.values["size"]
    worse = ValuePredictions(shifted.truth, shifted.predicted + 20 * (run.test.group == "test-g2"))
    test = Predictions(
        run.test.cell_id, run.test.group, run.test.part, {}, {"size": worse}, run.test.shares
    )
    broken = {"net": [ReplicateResult("a", {}, test, run.validation)]}
    found = coverage_table(broken, (SIZE,), ALPHA, {"net": distances}, draws(run), LEVEL)
    short = rows(found, verdict="short", method=ABSOLUTE, part="group")
    assert short["name"].tolist() == ["test-g2"]


def test_too_few_validation_cells_promise_nothing() -> None:
    run, distances = replica(1, cells=6)
    found = coverage_table(
        {"net": [run]}, (SIZE,), ALPHA, {"net": distances}, draws(run), LEVEL
    )  # fmt: skip
    assert np.isinf(found["width"]).all()
    assert found["relative"].isna().all()
    assert (rows(found, part="all")["coverage"] == 1).all()
    assert marginal(np.arange(19.0), ALPHA) == (0.0, 18.0)
    assert marginal(np.arange(18.0), ALPHA) == (-np.inf, np.inf)


def test_shares_keep_their_limits() -> None:
    run, _ = replica(1)
    part = Quantity("mix", "q", "share", 1)
    found = bounds(run, part, ABSOLUTE, ALPHA)
    assert found.low.min() == 0
    assert found.high.max() == 1


def test_bias_and_slope_are_those_of_a_regression(
    made: tuple[dict[str, list[ReplicateResult]], dict[str, Distances]],
) -> None:
    replicas, _ = made
    runs = replicas["net"]
    found = value_tables.calibration_table(replicas, (SIZE,), draws(runs[0]), LEVEL)
    told = {"bias": [], "slope": [], "mae": [], "rmse": []}  # type: dict[str, list[float]]
    for run in runs:
        said = run.test.values["size"]
        known = ~np.isnan(said.truth)
        truth, predicted = said.truth[known], said.predicted[known]
        told["bias"].append((predicted - truth).mean())
        told["slope"].append(stats.linregress(predicted, truth).slope)
        told["mae"].append(mean_absolute_error(truth, predicted))
        told["rmse"].append(root_mean_squared_error(truth, predicted))
    value = found.set_index("measure")
    for measure, naive in told.items():
        assert value.loc[measure, "value"] == pytest.approx(np.mean(naive))
        assert value.loc[measure, "sd"] == pytest.approx(np.std(naive, ddof=1))
        assert value.loc[measure, "low"] <= value.loc[measure, "value"]


def test_errors_fall_where_distant_cells_are_left_out(
    made: tuple[dict[str, list[ReplicateResult]], dict[str, Distances]],
) -> None:
    replicas, distances = made
    run, far = replicas["net"][0], distances["net"].test
    found = value_tables.selective_table(replicas, (SIZE,), distances, draws(run), LEVEL)
    value = found.set_index("measure")["value"]
    said = run.test.values["size"]
    known = ~np.isnan(said.truth)
    error = np.abs(said.predicted - said.truth)[known]
    ordered = np.repeat(error[np.argsort(far[known])], 500)
    curve = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    assert value["error_all"] == pytest.approx(error.mean())
    near = far[known] <= np.median(far[known])
    assert value["error_half"] == pytest.approx(error[near].mean())
    assert value["aurc"] == pytest.approx(curve.mean(), rel=1e-3)
    assert value["gain"] == pytest.approx(error.mean() - curve.mean(), rel=1e-2)
    assert found.set_index("measure").loc["gain", "low"] > 0
    curves = value_tables.curves_table(replicas, (SIZE,), distances)
    (last,) = rows(curves, coverage=1.0)["risk"]
    assert last == pytest.approx(error.mean())
    blind = {"net": Distances(far, np.random.default_rng(0).random(len(far)))}
    gain = value_tables.selective_table(replicas, (SIZE,), blind, draws(run), LEVEL)
    low, high = gain.set_index("measure").loc["gain", ["low", "high"]]
    assert low < 0 < high


def test_ends_and_groups_are_means_of_their_cells(
    made: tuple[dict[str, list[ReplicateResult]], dict[str, Distances]],
) -> None:
    replicas, _ = made
    runs = replicas["net"]
    ends = value_tables.ends_table(replicas, (SIZE,), ALPHA, draws(runs[0]), LEVEL)
    groups = value_tables.groups_table(replicas, (SIZE,)).set_index("group")
    said = [run.test.values["size"] for run in runs]
    truth = said[0].truth
    known = ~np.isnan(truth)
    for end, sign in (("lowest", 1), ("highest", -1)):
        limit = np.quantile(truth[known], 0.1 if sign > 0 else 0.9)
        chosen = known & (sign * truth <= sign * limit)
        (row,) = rows(ends, end=end).to_dict("records")
        naive = np.mean([(one.predicted - one.truth)[chosen] for one in said])
        half = [naive_half(run, None) for run in runs]
        held = [
            np.abs(o.predicted - o.truth)[chosen] <= h[chosen]
            for o, h in zip(said, half, strict=True)
        ]
        assert row["cells"] == chosen.sum()
        assert row["bias"] == pytest.approx(naive)
        assert row["coverage"] == pytest.approx(np.mean(held))
        assert sign * row["bias"] > 0, "shrunk predictions miss the ends inwards"
    for name in np.unique(runs[0].test.group):
        inside = known & (runs[0].test.group == name)
        assert groups.loc[name, "true"] == pytest.approx(truth[inside].mean())
        naive = np.mean([one.predicted[inside].mean() for one in said])
        assert groups.loc[name, "predicted"] == pytest.approx(naive)


def test_planted_records_are_doubted_and_normal_errors_seldom_are() -> None:
    runs, wrong = {}, ["val0003", "val0050"]
    for model in ("one", "two"):
        run, _ = replica(len(model), noise=0.1)
        said = run.validation.values["size"]
        truth = np.where(np.isin(run.validation.cell_id, wrong), 60.0, said.truth)
        names = (run.validation.cell_id, run.validation.group, run.validation.part)
        doubted = Predictions(*names, {}, {"size": ValuePredictions(truth, said.predicted)})
        runs[model] = [ReplicateResult("a", {}, run.test, doubted)]
    found = {SIZE: value_suspects.out_of_fold(runs, SIZE)}
    listed = value_suspects.suspects_table(found, 50)
    assert sorted(listed["cell_id"]) == wrong
    assert (listed["models"] == 2).all()
    audits = value_suspects.audits_table(found)
    assert rows(audits, model="all models")["suspects"].tolist() == [2]
    assert value_suspects.suspects_table(found, 1)["cell_id"].tolist()[0] in wrong
    residual = np.random.default_rng(0).normal(2, 5, (400, 80))
    scores = [value_suspects.standardised(one) for one in residual]
    scale = stats.median_abs_deviation(residual[0], scale="normal")
    np.testing.assert_allclose(scores[0], (residual[0] - np.median(residual[0])) / scale)
    limit = value_suspects.limit(80)
    assert (1 - 2 * stats.norm.sf(limit)) ** 80 == pytest.approx(0.95)
    alarms = np.mean([(np.abs(one) > limit).any() for one in scores])
    assert alarms < 0.2  # MAD of 80 cells is rough, so somewhat more than 0.05
    assert (value_suspects.standardised(np.zeros(5)) == 0).all()


def test_models_are_ordered_by_validation_cells_alone() -> None:
    (good, _), (bad, _) = replica(1, noise=0.1), replica(1, noise=3.0)
    mixed = ReplicateResult("a", {}, bad.test, good.validation)
    other = ReplicateResult("a", {}, good.test, bad.validation)
    content: Mapping[str, Any] = {**STUDY.model_dump(), "tasks": ASKING}
    data = StudyData.model_validate(content)
    assert list(best_first({"b": [other], "a": [mixed]}, data)) == ["a", "b"]


def test_a_quantity_that_no_test_cell_tells_has_no_rows() -> None:
    run, distances = replica(1)
    nothing = ValuePredictions(np.full(120, np.nan), run.test.values["size"].predicted)
    names = (run.test.cell_id, run.test.group, run.test.part)
    silent = Predictions(*names, {}, {"size": nothing})
    runs = {"net": [ReplicateResult("a", {}, silent, run.validation)]}
    far = {"net": distances}
    assert not len(coverage_table(runs, (SIZE,), ALPHA, far, draws(run), LEVEL))
    assert not len(value_tables.ends_table(runs, (SIZE,), ALPHA, draws(run), LEVEL))
    assert not len(value_tables.curves_table(runs, (SIZE,), far))
