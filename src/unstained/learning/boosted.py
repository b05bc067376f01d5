"""Training of gradient boosting on hand-crafted features, in the terms of networks' training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from unstained.config.learning import TrainParams
from unstained.config.models import BoostingParams
from unstained.learning.objective import Objective
from unstained.learning.problem import Cells, Problem
from unstained.learning.scores import BATCH, STEPS_PER_WINDOW, Scores, score
from unstained.learning.source import Streamed
from unstained.learning.state import DivergedError, EpochRecord
from unstained.models.features.boosting import Cells as Examples
from unstained.models.features.boosting import fit_boosting
from unstained.models.features.extract import Features
from unstained.models.features.feature_boosting import FeatureBoosting


def train_boosting(
    problem: Problem,
    model: BoostingParams,
    train: TrainParams,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[FeatureBoosting, EpochRecord, float]:
    """Grow trees on the training cells, stopped early by the validation cells.

    Args:
        problem: cells and statistics.
        model: sizes of the ensemble.
        train: its `patience`, in boosting iterations, and `target_weight` are used.
        seed: of the features drawn at each split.
        advance: called with the number of cells whose features are done since the last call.

    Returns:
        The model, one record for the whole training, and the seconds it took.

    Raises:
        DivergedError: the loss is not finite.
    """
    start = time.monotonic()
    train_set, val_set = (
        _examples(problem, cells, advance) for cells in (problem.train, problem.val)
    )
    network = fit_boosting(
        train_set,
        problem.tasks,
        model,
        seed,
        validation=val_set,
        patience=train.patience,
    )
    seconds = time.monotonic() - start
    objective = Objective(problem.tasks, train.target_weight)
    scores = _scores(network, val_set, problem.val, objective)
    if not math.isfinite(scores.loss):
        raise DivergedError(
            f"the validation loss became {scores.loss}", "lower the model's learning_rate"
        )
    record = EpochRecord(
        epoch=1,
        step=1,
        train_loss=_scores(network, train_set, problem.train, objective).loss,
        val_loss=scores.loss,
        val_macro_f1=scores.macro_f1,
        val_r=scores.r,
        val_share_error=scores.share_error,
        learning_rate=model.learning_rate,
    )
    return network, record, seconds


@torch.inference_mode()
def _examples(problem: Problem, cells: Cells, advance: Callable[[int], None]) -> Examples:
    """Features of all cells; only features, never all canvases, are in memory."""
    source, features = Streamed(problem, cells, torch.device("cpu")), Features(problem.channels)
    order = np.arange(len(cells))
    batches = [order[start : start + BATCH] for start in range(0, len(cells), BATCH)]
    parts = []
    for contrast in source.contrasts(batches, STEPS_PER_WINDOW):
        parts.append(features(contrast).numpy())
        advance(len(contrast))
    return Examples(np.concatenate(parts), cells.truth)


@torch.inference_mode()
def _scores(
    network: FeatureBoosting, examples: Examples, cells: Cells, objective: Objective
) -> Scores:
    return score(network.scores(torch.from_numpy(examples.features)).float(), cells, objective)
