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

from unstained.config import BoostingParams
from unstained.errors import TrainingError
from unstained.models.features.extract import Features
from unstained.models.features.feature_boosting import FeatureBoosting

Array = np.ndarray[Any, Any]
THREADED_ROWS: Final = 100_000
"""Training rows from which on trees are grown with all threads."""


class Cells(NamedTuple):
    """What boosting learns from, or is stopped by.

    Attributes:
        features: (N, F) float64.
        labels: (N,) class indices.
        targets: (N, M) continuous targets in standardised units; NaN where unknown.
    """

    features: Array
    labels: Array
    targets: Array


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
    features: Array,
    labels: Array,
    targets: Array,
    params: BoostingParams,
    seed: int,
    validation: Cells | None = None,
    patience: int = 20,
    classes: int | None = None,
) -> FeatureBoosting:
    """Grow the trees for all classes jointly, and for each target on the cells that have it.

    Args:
        features: (N, C * F) float64, from `Features`.
        labels: (N,) class indices.
        targets: (N, M) in standardised units, NaN where unknown.
        params: sizes of the ensemble.
        seed: of the features drawn at each split.
        validation: cells whose loss stops the growth; without them all `params.iterations` run.
        patience: iterations without a better validation loss before stopping.
        classes: K; by default one more than the largest label.

    Raises:
        TrainingError: a class has no cells, or a target no known value.
    """
    classes = int(labels.max()) + 1 if classes is None else classes
    _refuse_empty(labels, targets, classes)
    count = targets.shape[1]
    options = _options(params, seed, patience)
    outputs = np.eye(classes + count)
    # Two classes have one raw score, the log odds of the second: half of it for, half against.
    shares = outputs[:classes] if classes > 2 else (outputs[[1]] - outputs[[0]]) / 2
    held = None if validation is None else (validation.features, validation.labels)
    model = _grow(HistGradientBoostingClassifier, options, features, labels, held)
    forests = [forest(model, shares)]
    for index in range(count):
        known = ~np.isnan(targets[:, index])
        held = None if validation is None else _known(validation, index)
        model = _grow(
            HistGradientBoostingRegressor, options, features[known], targets[known, index], held
        )
        forests.append(forest(model, outputs[[classes + index]]))
    network = FeatureBoosting(classes, count, channels_of(features))
    network.load_state_dict(ensemble(forests))
    return network.eval()


def channels_of(features: Array) -> int:
    """How many channels a feature matrix was computed from."""
    return int(features.shape[1] // len(Features().names))


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
    features: Array,
    values: Array,
    held: tuple[Array, Array] | None,
) -> Any:
    """A fitted scikit-learn model, stopped early by the cells in `held` where there are any."""
    # A few thousand rows a tree are done before OpenMP's threads have met: on two busy cores, two
    # threads took 5 to 25 times as long as one. The trees are the same either way.
    threads = None if len(values) >= THREADED_ROWS else 1
    with threadpool_limits(threads, user_api="openmp"):
        if held is None or not len(held[1]):
            return kind(**options, early_stopping=False).fit(features, values)
        model = kind(**options, early_stopping=True)
        return model.fit(features, values, X_val=held[0], y_val=held[1])


def _known(cells: Cells, index: int) -> tuple[Array, Array]:
    known = ~np.isnan(cells.targets[:, index])
    return cells.features[known], cells.targets[known, index]


def _refuse_empty(labels: Array, targets: Array, classes: int) -> None:
    absent = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(absent):
        raise TrainingError(
            f"class {absent[0]} of {classes} has no training cell",
            "check the split's summary; a class needs cells in the training part",
        )
    unknown = np.flatnonzero(np.isnan(targets).all(axis=0))
    if len(unknown):
        raise TrainingError(
            f"target {unknown[0]} is unknown for every training cell",
            "remove it from the study's targets, or correct its column",
        )
