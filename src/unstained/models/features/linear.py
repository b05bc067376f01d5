"""Fitting a `FeatureLinear` with scikit-learn, whose decision functions its scores are.

Features are standardised by the training cells.

    loss         classes              shares                               values
    hinge        LinearSVC, one       LinearSVR on log ratios              LinearSVR
                 against the rest     to the last part
    likelihood   LogisticRegression   LogisticRegression on each cell      Ridge
                                      once a part, weighted by its share

Both support vector machines have the squared loss, which liblinear minimises without chance.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC, LinearSVR
from threadpoolctl import threadpool_limits

from unstained.config.feature_models import LinearParams
from unstained.models.features.examples import (
    Array,
    Cells,
    known_cells,
    number_of,
    refuse_empty,
)
from unstained.models.features.feature_linear import FeatureLinear
from unstained.tasks.classes import Classes
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import Task, Tasks
from unstained.tasks.value import Value

LEAST_SHARE: Final = 0.02
"""What a share counts at least where its logarithm is fitted: a line bends to no pole."""
LEAST_DEVIATION: Final = 2.0**-20
"""Below which a feature counts as constant: values lie on a grid of 2^-26."""
TOLERANCE: Final = 1e-6
ITERATIONS: Final = 20_000


def fit_linear(
    cells: Cells,
    tasks: Tasks,
    params: LinearParams,
    seed: int,
    validation: Cells | None = None,
    patience: int = 0,
    channels: int = 1,
) -> FeatureLinear:
    """Fit each task on the cells that have its truth.

    Args:
        cells: to learn from, features from `Features`.
        tasks: what is learnt.
        params: loss and cost.
        seed: not needed: nothing is drawn.
        validation: not needed: nothing stops early.
        patience: not needed.
        channels: planes that the features are of.

    Raises:
        TrainingError: a class has no cells, or a task no known truth.
    """
    refuse_empty(cells.truth, tasks)
    network = FeatureLinear(params, tasks.logits, tasks.targets, channels)
    mean, spread = cells.features.mean(axis=0), cells.features.std(axis=0)
    deviation = np.where(spread > LEAST_DEVIATION, spread, 1.0)
    outputs = np.eye(tasks.logits + tasks.targets)
    weight, bias = np.zeros((len(mean), len(outputs))), np.zeros(len(outputs))
    with threadpool_limits(1):  # small products: threads would wait for each other
        for task in (*tasks.scored, *tasks.values):
            own = tasks.head_columns[task.name]
            shift = tasks.logits if isinstance(task, Value) else 0
            columns = outputs[own.start + shift : own.stop + shift]
            features, truth = known_cells(cells, tasks.truth_columns[task.name])
            lines, offsets = _fit(task, (features - mean) / deviation, truth, params)
            shares = _entering(task, len(offsets), columns)
            weight += lines.T @ shares
            bias += offsets @ shares
    state = {"mean": mean, "deviation": deviation, "weight": weight, "bias": bias}
    network.load_state_dict({name: torch.as_tensor(values) for name, values in state.items()})
    return network.eval()


def _entering(task: Task, scores: int, columns: Array) -> Array:
    """How the scores of a fitted task enter its outputs, (scores, K + M).

    Two classes have one score, the log odds of the second: half for, half against. Shares that have
    one score fewer than parts are log ratios to the last.
    """
    if isinstance(task, Classes) and scores == 1:
        return np.asarray((columns[[1]] - columns[[0]]) / 2)
    return columns[:scores]


def _fit(task: Task, features: Array, truth: Array, params: LinearParams) -> tuple[Array, Array]:
    """Weights (R, F) and offsets (R,) of the R scores of a task."""
    hinge, cost = params.loss == "hinge", params.cost
    if isinstance(task, Classes):
        kind = LinearSVC if hinge else LogisticRegression
        options = {"dual": False} if hinge else {}
        model = kind(C=cost, tol=TOLERANCE, max_iter=ITERATIONS, **options).fit(features, truth)
        return model.coef_, model.intercept_
    if isinstance(task, Proportion) and not hinge:
        return _logistic_shares(features, truth, cost)
    count = 1 if isinstance(task, Value) else len(task.names) - 1
    models = [
        _regression(hinge, cost).fit(*number_of(task, (features, truth), number, LEAST_SHARE))
        for number in range(count)
    ]
    return (
        np.stack([model.coef_.ravel() for model in models]),
        np.array([np.ravel(model.intercept_)[0] for model in models]),
    )


def _logistic_shares(features: Array, truth: Array, cost: float) -> tuple[Array, Array]:
    """Cross entropy against shares (n, P): each cell once a part, weighted by its share."""
    count, parts = truth.shape
    labels = np.arange(parts)[::-1] if parts == 2 else np.arange(parts)  # two: odds of the first
    model = LogisticRegression(C=cost, tol=TOLERANCE, max_iter=ITERATIONS)
    model.fit(np.repeat(features, parts, axis=0), np.tile(labels, count), truth.ravel())
    return model.coef_, model.intercept_


def _regression(hinge: bool, cost: float) -> Any:
    if not hinge:
        return Ridge(alpha=0.5 / cost)
    return LinearSVR(
        C=cost,
        epsilon=0.1,
        loss="squared_epsilon_insensitive",
        dual=False,
        tol=TOLERANCE,
        max_iter=ITERATIONS,
    )
