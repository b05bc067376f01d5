"""Fitting a head on measured features, in the terms of networks' training."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np
import torch

from unstained.config.feature_models import BoostingParams
from unstained.config.learning import TrainParams
from unstained.config.models import AnyFeatureParams
from unstained.learning.objective import Objective
from unstained.learning.problem import Cells, Problem
from unstained.learning.scores import BATCH, STEPS_PER_WINDOW, Scores, score
from unstained.learning.source import Streamed
from unstained.learning.state import DivergedError, EpochRecord
from unstained.models.features.examples import Array
from unstained.models.features.examples import Cells as Examples
from unstained.models.features.extract import Features
from unstained.models.features.feature_model import FeatureModel
from unstained.models.features.fitting import FITTERS

KEPT: Final = 2
"""Tables of features that stay in memory: the parts of the last problem, for a search's trials."""

_measured: OrderedDict[str, Array] = OrderedDict()


def train_head(
    problem: Problem,
    model: AnyFeatureParams,
    train: TrainParams,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[FeatureModel, EpochRecord, float]:
    """Fit a head to the training cells; one that grows is stopped by the validation cells.

    Args:
        problem: cells and statistics.
        model: what is measured, and the head's parameters.
        train: its `patience`, in boosting iterations, and `target_weight` are used.
        seed: of what the head draws at random.
        advance: called with the number of cells whose features are done since the last call.

    Returns:
        The model, one record for the whole training, and the seconds it took.

    Raises:
        DivergedError: the loss is not finite.
    """
    start = time.monotonic()
    extractor = Features(problem.channels, model.frames, model.measures)
    train_set, val_set = (
        Examples(_features(problem, cells, extractor, advance), cells.truth)
        for cells in (problem.train, problem.val)
    )
    network: FeatureModel = FITTERS[model.architecture](
        train_set,
        problem.tasks,
        model,
        seed,
        validation=val_set,
        patience=train.patience,
        channels=problem.channels,
    )
    seconds = time.monotonic() - start
    objective = Objective(problem.tasks, train.target_weight)
    scores = _scores(network, val_set, problem.val, objective)
    if not math.isfinite(scores.loss):
        raise DivergedError(
            f"the validation loss became {scores.loss}",
            "lower the model's learning_rate, or its cost where it has one",
        )
    record = EpochRecord(
        epoch=1,
        step=1,
        train_loss=_scores(network, train_set, problem.train, objective).loss,
        val_loss=scores.loss,
        val_macro_f1=scores.macro_f1,
        val_r=scores.r,
        val_share_error=scores.share_error,
        learning_rate=model.learning_rate if isinstance(model, BoostingParams) else 0.0,
    )
    return network, record, seconds


@torch.inference_mode()
def _features(
    problem: Problem, cells: Cells, extractor: Features, advance: Callable[[int], None]
) -> Array:
    """(N, F) float64 of all cells; only features, never all canvases, are in memory.

    The trials of a search learn from the same cells, so the last tables are kept.
    """
    name = f"{extractor.measures} {extractor.frames} {problem.cells_digest(cells)}"
    if name in _measured:
        advance(len(cells))
        return _measured[name]
    source, parts = Streamed(problem, cells, torch.device("cpu")), []
    order = np.arange(len(cells))
    batches = [order[start : start + BATCH] for start in range(0, len(cells), BATCH)]
    for contrast in source.contrasts(batches, STEPS_PER_WINDOW):
        parts.append(extractor(contrast).numpy())
        advance(len(contrast))
    _measured[name] = np.concatenate(parts)
    while len(_measured) > KEPT:
        _measured.popitem(last=False)
    return _measured[name]


@torch.inference_mode()
def _scores(
    network: FeatureModel, examples: Examples, cells: Cells, objective: Objective
) -> Scores:
    return score(network.scores(torch.from_numpy(examples.features)).float(), cells, objective)
