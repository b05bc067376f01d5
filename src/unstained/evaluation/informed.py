"""What the movie or the time alone would tell at best, from the truths of other snippets.

No model has this knowledge: each snippet is predicted by the mean truth of the other snippets of
its movie, or of its frames. A model that is no better may only have found out which movie or which
time it looks at, say by how crowded everything is by then. Where all snippets of a movie have one
truth, as mixtures have, nothing is said.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.predictions import Cells
from unstained.evaluation.scores import TaskScores
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats
from unstained.tasks.classes import Classes
from unstained.tasks.study import Tasks

FRAME: Final = "frame"
"""Column of the cell table with the number of a snippet's first frame (data/readers/movies)."""
KINDS: Final = {
    "movie mean": "the mean truth of the other snippets of the movie",
    "frame mean": "the mean truth of the other snippets of the same frames",
}


def informed_means(
    store: CellStore, cells: Cells, data: StudyData, params: EvaluateParams, seed: int
) -> dict[str, dict[str, TaskScores]]:
    """Scores of both means on the test snippets: name in KINDS -> task -> scores.

    Empty where the cells are no snippets of movies. Tasks of classes, and those whose truth does
    not vary within movies (or frames), are left out; so is the mean over frames where the cell
    table does not tell them.
    """
    if data.reader != "movies":
        return {}
    test = cells.of("test")
    table = store.columns("acquisition").iloc[cells.rows[test]]
    of = {"movie mean": table["acquisition"].to_numpy(str)}
    if FRAME in store.schema.names:
        frames = store.columns(FRAME)[FRAME].to_numpy(float)[cells.rows[test]]
        of["frame mean"] = np.char.add(of["movie mean"], [f"/{frame:g}" for frame in frames])
    sampling = resample_groups(cells.group[test], cells.labels[test], params.bootstrap, seed)
    found: dict[str, dict[str, TaskScores]] = {}
    for name, keys in of.items():
        for task in Tasks.of(data.tasks).all:
            truth = cells.truth[task.name][test]
            if isinstance(task, Classes):
                continue
            said = others_mean(truth.reshape(len(truth), -1), keys).reshape(truth.shape)
            if np.allclose(said, truth, equal_nan=True):
                continue
            metrics = {
                metric: task.metric(metric).estimate(truth, said, sampling, params.confidence)
                for metric in task.metrics
            }
            known = int((~np.isnan(truth.reshape(len(truth), -1)).any(axis=1)).sum())
            found.setdefault(name, {})[task.name] = TaskScores(known, metrics)
    return found


def others_mean(truth: Floats, keys: np.ndarray) -> Floats:
    """(N, P) mean of the others with the same key; of all others where there are none.

    Args:
        truth: (N, P), NaN where not known, which counts for none and is predicted all the same.
        keys: (N,) names.
    """
    known = ~np.isnan(truth)
    filled = np.where(known, truth, 0.0)
    by = pd.DataFrame(filled).groupby(keys)
    total = by.transform("sum").to_numpy() - filled
    count = pd.DataFrame(known.astype(float)).groupby(keys).transform("sum").to_numpy() - known
    all_total, all_count = filled.sum(axis=0) - filled, known.sum(axis=0) - known
    alone = count == 0
    total, count = np.where(alone, all_total, total), np.where(alone, all_count, count)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
