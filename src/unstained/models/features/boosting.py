"""Growing the trees of a `FeatureBoosting` with scikit-learn, and turning them into tensors.

The tensors give scikit-learn's scores to 1e-12, so its decisions are the model's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from unstained.config.feature_models import BoostingParams
from unstained.models.features.examples import (
    Array,
    Cells,
    known_cells,
    number_of,
    refuse_empty,
)
from unstained.models.features.feature_boosting import FeatureBoosting
from unstained.tasks.classes import Classes
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value

THREADED_ROWS: Final = 100_000
"""Training rows from which on trees are grown with all threads."""


class Forest(NamedTuple):
    """The trees of one scikit-learn model.

    Attributes:
        nodes: the node table of each tree.
        weights: (T, K + M) share of each tree's value in each output.
        baseline: (K + M,) score before any tree.
    """

    nodes: list[Array]
    weights: Array
    baseline: Array


def forest(
    model: HistGradientBoostingClassifier | HistGradientBoostingRegressor, shares: Array
) -> Forest:
    """Trees of a fitted model.

    Args:
        model: fitted.
        shares: (R, K + M), how each of the model's R raw scores enters the outputs.
    """
    rounds = model._predictors
    nodes = [tree.nodes for trees in rounds for tree in trees]
    return Forest(nodes, np.tile(shares, (len(rounds), 1)), model._baseline_prediction[0] @ shares)


def ensemble(forests: Iterable[Forest]) -> dict[str, torch.Tensor]:
    """Buffers of a `FeatureBoosting` that adds up the trees of several forests."""
    forests = list(forests)
    trees = [nodes for one in forests for nodes in one.nodes]
    sizes = np.array([len(nodes) for nodes in trees])
    root = np.concatenate([[0], sizes.cumsum()[:-1]]).astype(np.int64)
    table = np.concatenate(trees)
    start, own, leaf = np.repeat(root, sizes), np.arange(len(table)), table["is_leaf"] == 1
    arrays = {
        "feature": np.where(leaf, 0, table["feature_idx"]).astype(np.int64),
        "threshold": np.where(leaf, 0.0, table["num_threshold"]),
        "left": np.where(leaf, own, start + table["left"]),
        "right": np.where(leaf, own, start + table["right"]),
        "value": np.where(leaf, table["value"], 0.0),
        "root": root,
        "weight": np.concatenate([one.weights for one in forests]),
        "baseline": np.sum([one.baseline for one in forests], axis=0),
        "depth": np.int64(table["depth"].max()),
    }
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


def fit_boosting(
    cells: Cells,
    tasks: Tasks,
    params: BoostingParams,
    seed: int,
    validation: Cells | None = None,
    patience: int = 20,
    channels: int = 1,
) -> FeatureBoosting:
    """Grow the trees of each task on the cells that have its truth.

    Classes of a task are grown jointly; each value by itself. Shares are grown as log ratios to the
    last part, the scores whose softmax they are.

    Args:
        cells: to learn from, features from `Features`.
        tasks: what is learnt.
        params: sizes of the ensemble.
        seed: of the features drawn at each split.
        validation: cells whose loss stops the growth; without them all `params.iterations` run.
        patience: iterations without a better validation loss before stopping.
        channels: planes that the features are of.

    Raises:
        TrainingError: a class has no cells, or a task no known truth.
    """
    refuse_empty(cells.truth, tasks)
    options = _options(params, seed, patience)
    outputs = np.eye(tasks.logits + tasks.targets)
    forests: list[Forest] = []
    for task in (*tasks.scored, *tasks.values):
        own = tasks.head_columns[task.name]
        shift = tasks.logits if isinstance(task, Value) else 0
        columns = outputs[own.start + shift : own.stop + shift]
        place = tasks.truth_columns[task.name]
        known = known_cells(cells, place)
        held = None if validation is None else known_cells(validation, place)
        if isinstance(task, Classes):
            # Two classes have one raw score, the log odds of the second: half for, half against.
            shares = columns if task.width > 2 else (columns[[1]] - columns[[0]]) / 2
            model = _grow(HistGradientBoostingClassifier, options, known, held)
            forests.append(forest(model, shares))
            continue
        for number in range(1 if isinstance(task, Value) else len(task.names) - 1):
            wanted, stop = number_of(task, known, number), number_of(task, held, number)
            model = _grow(HistGradientBoostingRegressor, options, wanted, stop)
            forests.append(forest(model, columns[[number]]))
    network = FeatureBoosting(params, tasks.logits, tasks.targets, channels)
    network.load_state_dict(ensemble(forests))
    return network.eval()


def _options(params: BoostingParams, seed: int, patience: int) -> dict[str, Any]:
    """Arguments of scikit-learn's estimators."""
    return {
        "max_iter": params.iterations,
        "learning_rate": params.learning_rate,
        "max_leaf_nodes": params.max_leaf_nodes,
        "min_samples_leaf": params.min_samples_leaf,
        "l2_regularization": params.l2_regularization,
        "max_features": params.max_features,
        "n_iter_no_change": patience,
        "random_state": seed,
    }


def _grow(
    kind: Any,
    options: dict[str, Any],
    cells: tuple[Array, Array],
    held: tuple[Array, Array] | None,
) -> Any:
    """A fitted scikit-learn model, stopped early by the cells in `held` where there are any."""
    # A few thousand rows a tree are done before OpenMP's threads have met: on two busy cores, two
    # threads took 5 to 25 times as long as one. The trees are the same either way.
    features, values = cells
    threads = None if len(values) >= THREADED_ROWS else 1
    with threadpool_limits(threads, user_api="openmp"):
        if held is None or not len(held[1]):
            return kind(**options, early_stopping=False).fit(features, values)
        model = kind(**options, early_stopping=True)
        return model.fit(features, values, X_val=held[0], y_val=held[1])
