"""Members of an ensemble that each leave a fold of the training cells out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.learning.cases import STUDY, small_store, split_rows, train_small
from tests.learning.test_head import MODEL
from tests.synthetic import asked
from unstained.config.models import EnsembleParams
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning import learners
from unstained.learning.inner_folds import deal, inner_problem
from unstained.learning.problem import Problem, pose


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("inner") / "store")


@pytest.fixture(scope="module")
def problem(store: CellStore) -> Problem:
    return pose(store, *split_rows(store), STUDY, 7)


def folded(count: int, **changes: object) -> EnsembleParams:
    named = {"members": ("trees",) * count, "models": (MODEL,) * count, "inner_folds": count}
    return EnsembleParams.model_validate({"architecture": "ensemble", **named, **changes})


@settings(max_examples=15, deadline=None)
@given(folds=st.integers(2, 3), seed=st.integers(0, 999))
def test_every_training_cell_is_left_out_once_with_its_group(
    store: CellStore, problem: Problem, folds: int, seed: int
) -> None:
    parts = [inner_problem(problem, folds, fold, seed) for fold in range(folds)]
    left_out = np.concatenate([part.val.rows for part in parts])
    assert np.array_equal(np.sort(left_out), problem.train.rows)
    group = store.table["group"].to_numpy()
    for part in parts:
        assert not set(group[part.train.rows]) & set(group[part.val.rows])
        assert len(part.train) + len(part.val) == len(problem.train)
        for cells in (part.train, part.val):
            assert set(cells.truth[:, 0]) == {0, 1, 2}
            where = np.searchsorted(problem.train.rows, cells.rows)
            np.testing.assert_array_equal(cells.truth, problem.train.truth[where])
        assert (part.scale, part.target_mean.tolist()) == (
            problem.scale,
            problem.target_mean.tolist(),
        )
    assert np.array_equal(deal(problem, folds, seed), deal(problem, folds, seed))


def test_another_seed_deals_otherwise(problem: Problem) -> None:
    assert len({deal(problem, 3, seed).tobytes() for seed in range(6)}) > 1


def test_members_learn_from_the_other_folds_and_answer_the_mean(
    store: CellStore, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Problem, learners.Outcome]] = []
    plain = learners.learn

    def spy(own: Problem, *rest: object) -> learners.Outcome:
        seen.append((own, plain(own, *rest)))  # type: ignore[arg-type]
        return seen[-1][1]

    monkeypatch.setattr(learners, "learn", spy)
    found = train_small(store, model=folded(3))
    assert len(seen) == 3
    for fold, (own, outcome) in enumerate(seen):
        wanted = inner_problem(problem, 3, fold, 7)
        assert np.array_equal(own.train.rows, wanted.train.rows)
        assert np.array_equal(own.val.rows, wanted.val.rows)
        assert found.history[fold].val_loss == outcome.history[0].val_loss
    cells = load_canvases(store, problem.val.rows, STUDY.canvas)
    images = cells.contrast(slice(None), problem.scale)
    each = [outcome.network.eval()(images).logits.numpy() for _, outcome in seen]
    assert np.ptp(each, axis=0).max() > 0.1
    mean = np.mean(each, axis=0, dtype=np.float64)
    np.testing.assert_allclose(found.trained.predict(cells)["logits"], mean, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_dealt_is_refused(store: CellStore, problem: Problem) -> None:
    with pytest.raises(TrainingError, match="of 9 groups, too few for 10 inner folds"):
        deal(problem, 10, 7)
    rows, val = split_rows(store)
    most = rows[~store.table["acquisition"].iloc[rows].isin(["b_01", "b_02"]).to_numpy()]
    poor = pose(store, most, val, STUDY, 7)
    (fold,) = np.unique(deal(poor, 2, 7)[poor.train.truth[:, 0] == 1])
    inner_problem(poor, 2, 1 - int(fold), 7)
    lacking = rf"without inner fold {fold} of 2, no training cell is left of blob: b"
    with pytest.raises(TrainingError, match=lacking) as refused:
        inner_problem(poor, 2, int(fold), 7)
    assert "lower inner_folds" in refused.value.remedy


def test_values_alone_are_dealt_by_group(store: CellStore) -> None:
    content = STUDY.model_dump(exclude={"tasks"}) | {"tasks": asked(DNA={"column": "marker_DNA"})}
    posed = pose(store, *split_rows(store), type(STUDY).model_validate(content), 7)
    assert sorted(np.bincount(deal(posed, 3, 7))) == pytest.approx(
        [len(posed.train) / 3] * 3, abs=15
    )


@pytest.mark.parametrize(
    ("count", "changes", "message"),
    [
        (3, {"inner_folds": 2}, "names trees as often, not 3 times"),
        (2, {"inner_folds": 1}, "greater than or equal to 2"),
        (2, {"members": ("trees", "others")}, "names trees as often, not 1 times"),
    ],
)
def test_each_member_is_named_once_a_fold(count: int, changes: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        folded(count, **changes)
