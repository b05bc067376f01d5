"""Versions of studies without classes, and with missing truth: ranking, tests and gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import (
    f1_score,
    mean_absolute_error,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

from tests.registered import (
    CLASSES,
    NAME,
    fresh_registry,
    make_predictions,
    register,
    standing_of,
)
from tests.stages.studies import compare_params, promote_params
from unstained.config.compare import CompareStageParams
from unstained.config.study import StudyData
from unstained.predictions import (
    Predictions,
    SharePredictions,
    ValuePredictions,
    predictions_table,
)
from unstained.registry.gate import decide
from unstained.registry.standings import (
    Leaderboard,
    find_test,
    findings,
)
from unstained.registry.standings_table import as_csv, render_leaderboard
from unstained.report.leaderboard.page import leaderboard_page

GROUPS, CELLS = 24, 20
R_ITSELF = {"difference": "value", "low": "low", "high": "high"}
VALUE = {"dna": {"kind": "value", "column": "dna"}, "size": {"kind": "value", "column": "size"}}
MIX = {"mix": {"kind": "proportion", "parts": ["a", "b", "c"], "columns": ["a", "b", "c"]}}


def params(tasks: dict[str, Any], **data: Any) -> CompareStageParams:
    """The toy study asked for other things."""
    shared = compare_params()
    content = shared.data.model_dump(mode="json") | {"tasks": tasks, "expected": None} | data
    return shared.model_copy(update={"data": StudyData(**content)})


def said(noise: float, seed: int) -> Predictions:
    """Values and shares with missing truth; all versions are asked about the same cells."""
    fixed, drawn = np.random.default_rng(0), np.random.default_rng(seed)
    number = GROUPS * CELLS
    group = np.repeat([f"g{k:02d}" for k in range(GROUPS)], CELLS)
    dna, size = fixed.normal(40.0, 5.0, number), fixed.normal(10.0, 1.0, number)
    mix = fixed.dirichlet([3.0, 2.0, 1.0], number)
    dna[::6] = mix[::5] = np.nan
    guessed = np.nan_to_num(dna) + 10 * noise * drawn.normal(size=number)
    guess = np.nan_to_num(mix, nan=1 / 3) + noise * drawn.random(mix.shape)
    return Predictions(
        cell_id=np.array([f"{g}/{k}" for k, g in enumerate(group)]),
        group=group,
        part=np.where(group < "g12", "val", "test"),
        values={
            "dna": ValuePredictions(dna, guessed),
            "size": ValuePredictions(size, size + drawn.normal(size=number)),
        },
        shares={"mix": SharePredictions(("a", "b", "c"), mix, guess / guess.sum(1, keepdims=True))},
    )


def compared(root: Path, asked: CompareStageParams, *noises: float) -> Leaderboard:
    """Versions with more or less noise, in a registry of their own."""
    registry = fresh_registry(root)
    for number, noise in enumerate(noises):
        frame = predictions_table(said(noise, number))
        register(registry, root / "in", float(number), predictions=frame)
    registry.set_alias(NAME, "champion", 1)
    return standing_of(registry, asked, tuple(range(2, len(noises) + 1)))


def on_test(noise: float, seed: int) -> Predictions:
    return said(noise, seed).of("test")


def test_values_alone_are_ranked_tested_and_promoted(tmp_path: Path) -> None:
    asked = params(VALUE)
    table = compared(tmp_path, asked, 0.5, 0.1)
    assert (table["task"], table["metric"], table["higher_is_better"]) == ("dna", "r2", True)
    assert [entry["version"] for entry in table["entries"]] == [2, 1]
    leader = table["entries"][0]
    values = on_test(0.1, 1).values
    known = values["dna"].known
    x, y = values["dna"].truth[known], values["dna"].predicted[known]
    lin = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    assert leader["value"] == pytest.approx(r2_score(x, y))
    assert leader["low"] < leader["value"] < leader["high"]
    assert leader["tasks"]["dna"] == pytest.approx(
        {
            "r2": r2_score(x, y),
            "r": stats.pearsonr(x, y)[0],
            "concordance": 2 * np.cov(x, y, ddof=0)[0, 1] / lin,
            "rmse": root_mean_squared_error(x, y),
            "mae": mean_absolute_error(x, y),
        }
    )
    size = values["size"]
    assert leader["tasks"]["size"]["r"] == pytest.approx(
        stats.pearsonr(size.truth, size.predicted)[0]
    )
    assert (leader["recalls"], leader["ece"], leader["min_class_recall"]) == ({}, None, None)
    test = find_test(table, 2, 1)
    assert test is not None
    other = on_test(0.5, 0).values["dna"].predicted[known]
    assert test["difference"] == pytest.approx(r2_score(x, y) - r2_score(x, other))
    assert test["p_mcnemar"] is None
    assert test["p"] < 0.05
    decision = decide(table, [2], 1, promote_params().promote, {})
    assert decision.passed
    names = ["better", "beats the mean", "parity", "latency", "not withdrawn"]
    assert [c.name for c in decision.criteria] == names
    assert "its R² is" in decision.sentence


def test_of_an_error_less_is_better(tmp_path: Path) -> None:
    table = compared(tmp_path, params(MIX), 0.1, 0.5, 0.05)
    assert (table["metric"], table["higher_is_better"]) == ("mae", False)
    assert [entry["version"] for entry in table["entries"]] == [3, 1, 2]
    found = on_test(0.05, 2).shares["mix"]
    p, q = found.truth[found.known], found.predicted[found.known]
    assert table["entries"][0]["tasks"]["mix"] == pytest.approx(
        {
            "mae": mean_absolute_error(p, q),
            "accuracy": 1 - mean_absolute_error(p, q),
            "entropy": stats.entropy(p, axis=1).mean(),
            "divergence": stats.entropy(p, q, axis=1).mean(),
            "cross_entropy": (stats.entropy(p, axis=1) + stats.entropy(p, q, axis=1)).mean(),
            "r": np.mean([stats.pearsonr(p[:, k], q[:, k])[0] for k in range(3)]),
        }
    )
    limits = promote_params().promote
    assert decide(table, [2, 3], 1, limits, {}).challenger == 3
    assert decide(table, [3], 1, limits, {}).passed
    worse = decide(table, [2], 1, limits, {})
    assert not worse.passed
    assert "above that of v1" in worse.sentence
    said_of = findings(table)
    assert "Significantly worse than the leader: v1, v2." in said_of


def test_who_knows_no_more_than_the_mean_is_no_champion(tmp_path: Path) -> None:
    """Not the first one either: 5 noisy units on values of a standard deviation of 5 say little."""
    table = compared(tmp_path, params(VALUE), 0.1, 1.0)
    x = said(0.1, 0).of("test").values["dna"]
    learnt = said(0.1, 0).of("val").values["dna"].truth
    mean = np.full(x.known.sum(), np.nanmean(learnt))
    good, poor = (entry["over_mean"] for entry in table["entries"])
    gained = r2_score(x.truth[x.known], x.predicted[x.known]) - r2_score(x.truth[x.known], mean)
    assert good is not None
    assert good["difference"] == pytest.approx(gained)
    assert good["low"] < gained < good["high"]  # type: ignore[operator]
    assert poor is not None
    assert poor["difference"] < 0  # type: ignore[operator]
    limits = promote_params().promote
    assert decide(table, [1], None, limits, {}).passed
    refused = decide(table, [2], None, limits, {})
    assert not refused.passed
    assert "below that of one mean for all cells" in refused.sentence
    assert "not shown to have learnt anything" in refused.sentence
    lenient = limits.model_copy(update={"beats_mean": False})
    assert decide(table, [2], None, lenient, {}).passed


def test_of_an_error_the_mean_is_the_one_to_be_below(tmp_path: Path) -> None:
    table = compared(tmp_path, params(MIX), 0.1, 3.0)
    found = said(0.1, 0).of("test").shares["mix"]
    learnt = said(0.1, 0).of("val").shares["mix"].truth
    p = found.truth[found.known]
    mean = np.broadcast_to(np.nanmean(learnt, axis=0), p.shape)
    over = table["entries"][0]["over_mean"]
    assert over is not None
    gained = mean_absolute_error(p, found.predicted[found.known]) - mean_absolute_error(p, mean)
    assert over["difference"] == pytest.approx(gained)
    limits = promote_params().promote
    assert decide(table, [1], None, limits, {}).passed
    assert not decide(table, [2], None, limits, {}).passed


def test_a_correlation_is_held_against_none(tmp_path: Path) -> None:
    """A constant has no correlation, so that the version's own is what it gains."""
    asked = params(VALUE)
    by_r = asked.compare.model_copy(update={"value_metric": "r"})
    table = compared(tmp_path, asked.model_copy(update={"compare": by_r}), 0.1, 50.0)
    first = table["entries"][0]
    assert first["over_mean"] == {key: first[of] for key, of in R_ITSELF.items()}  # type: ignore[literal-required]
    limits = promote_params().promote
    assert decide(table, [1], None, limits, {}).passed
    assert not decide(table, [2], None, limits, {}).passed


@pytest.mark.parametrize("tasks", [VALUE, MIX, MIX | VALUE])
def test_page_csv_and_terminal_show_what_there_is(tmp_path: Path, tasks: dict[str, Any]) -> None:
    from rich.console import Console

    asked = params(tasks)
    table = compared(tmp_path, asked, 0.5, 0.1)
    page = leaderboard_page(table, asked.data)
    assert "McNemar" not in page
    assert "worst class" not in page
    assert "significantly worse" in page
    console = Console(width=80, record=True, file=(tmp_path / "out").open("w"))
    console.print(render_leaderboard(table))
    assert "ECE" not in console.export_text()
    head = as_csv(table).splitlines()[0].split(",")
    assert {
        f"{name}_{task}" for task, m in table["entries"][0]["tasks"].items() for name in m
    } <= set(head)


def test_another_task_may_be_primary(tmp_path: Path) -> None:
    table = compared(tmp_path, params(VALUE | MIX, primary="mix"), 0.5, 0.1)
    assert (table["task"], table["metric"]) == ("mix", "mae")
    with pytest.raises(ValueError, match="there is no task 'mass'"):
        params(VALUE, primary="mass")


def test_cells_of_unknown_class_are_left_out(tmp_path: Path) -> None:
    registry = fresh_registry(tmp_path)
    frames = []
    for number, skill in enumerate((0.9, 0.7)):
        frame = make_predictions(skill=skill, seed=number)
        frame.loc[frame.index % 3 == 0, "label"] = -1
        register(registry, tmp_path / "in", float(number), predictions=frame)
        frames.append(frame[(frame.part == "test") & (frame.label >= 0)])
    table = standing_of(registry, compare_params(), ())
    for entry in table["entries"]:
        known = frames[entry["version"] - 1]
        assert entry["value"] == pytest.approx(
            f1_score(known.label, known.predicted, average="macro")
        )
        recalls = recall_score(known.label, known.predicted, average=None)
        assert entry["recalls"] == pytest.approx(dict(zip(CLASSES, recalls, strict=True)))
    (test,) = table["tests"]
    right = [frame.label == frame.predicted for frame in frames]
    assert test["n_discordant"] == (right[0] != right[1]).sum()


def test_a_version_without_the_primary_task_is_left_out(tmp_path: Path) -> None:
    registry = fresh_registry(tmp_path)
    register(registry, tmp_path / "in", 0.0, predictions=make_predictions(target=None))
    register(registry, tmp_path / "in", 1.0)
    asked = params({"DNA": {"kind": "value", "column": "DNA"}})
    table = standing_of(registry, asked, ())
    assert [entry["version"] for entry in table["entries"]] == [2]
    assert table["not_comparable"][0]["reason"] == "it does not predict DNA"
