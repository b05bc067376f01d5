"""The learning problem: statistics of training cells alone, and what cannot be learnt."""

from __future__ import annotations

import numpy as np
import pytest

from tests.learning.cases import STUDY, small_store, split_rows
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.problem import pose


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("problem") / "store")


def test_targets_are_standardised_with_training_cells_alone(store: CellStore):
    train, val = split_rows(store)
    problem = pose(store, train, val, STUDY, seed=0)
    values = np.log(np.maximum(store.table["marker_DNA"].to_numpy(float), 1.0))
    assert problem.target_mean == pytest.approx([np.nanmean(values[train])], rel=1e-6)
    assert problem.target_std == pytest.approx([np.nanstd(values[train])], rel=1e-6)
    expected = (values[val] - np.nanmean(values[train])) / np.nanstd(values[train])
    np.testing.assert_allclose(problem.val.truth[:, 1], expected, rtol=1e-4, atol=1e-5)
    assert np.isnan(problem.train.truth[:, 1]).sum() == np.isnan(values[train]).sum() > 0


def test_statistics_do_not_change_with_the_validation_cells(store: CellStore):
    train, val = split_rows(store)
    one, other = (pose(store, train, rows, STUDY, seed=0) for rows in (val, val[:10]))
    assert one.scale == other.scale
    assert np.array_equal(one.target_mean, other.target_mean)
    assert one.digest() != other.digest()


def test_row_order_does_not_matter(store: CellStore):
    train, val = split_rows(store)
    shuffled = np.random.default_rng(0).permutation(train)
    assert (
        pose(store, train, val, STUDY, 0).digest() == pose(store, shuffled, val, STUDY, 0).digest()
    )


def test_a_subset_is_drawn_by_seed_and_from_the_training_cells(store: CellStore):
    train, val = split_rows(store)
    one, again, other = (pose(store, train, val, STUDY, seed, 60) for seed in (1, 1, 2))
    assert len(one.train) == 60
    assert set(one.train.rows) <= set(train)
    assert np.array_equal(one.train.rows, again.train.rows)
    assert not np.array_equal(one.train.rows, other.train.rows)
    assert np.array_equal(one.val.rows, val)
    assert np.array_equal(one.train.truth[:, 0], store.labels("abc")[one.train.rows])


def test_empty_parts_and_absent_classes_are_named(store: CellStore):
    train, val = split_rows(store)
    labels = store.labels("abc")
    with pytest.raises(TrainingError, match="no training cells"):
        pose(store, train[:0], val, STUDY, 0)
    with pytest.raises(TrainingError, match="no validation cells"):
        pose(store, train, val[:0], STUDY, 0)
    with pytest.raises(TrainingError, match="belongs to: b"):
        pose(store, train[labels[train] != 1], val, STUDY, 0)


def test_a_target_without_any_training_value_is_named(store: CellStore):
    train, val = split_rows(store)
    missing = train[np.isnan(store.table["marker_DNA"].to_numpy(float)[train])]
    assert set(store.labels("abc")[missing]) == {0, 1, 2}
    with pytest.raises(TrainingError, match="truth of DNA"):
        pose(store, missing, val, STUDY, 0)
