"""What a model loses on the last third of each acquisition, when it learns from the first two.

`python -m tests.bench.bench_transfer STUDY MODEL`, in a folder where replicates of the model lie
whose folds rotate (`split.rotate`), trains the model once more on the first two thirds of each
acquisition by object number, a fifth of their groups held out to choose the epoch, and prints what
it reaches on the last third beside what the replicates of the same seed said of the same cells:
they learnt from groups before and after each of them. Intervals of 95 % resample groups.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench.bench_ceiling import CONFIDENCE, RESAMPLES, SEED, correlations, scored, values_of
from unstained.config.project import load_params
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.baselines.grid import over_folds, read_replicate
from unstained.learning.fit import fit
from unstained.statistics.intervals import resample_groups
from unstained.statistics.paired import compare_predictions

HELD_OUT = 5
"""Every so manyth group of the first two thirds chooses the epoch."""


def parts_of(table: pd.DataFrame) -> np.ndarray:
    """(N,) 'train', 'val' or 'test' of each cell."""
    place = table.groupby("acquisition")["object_index"].rank(method="first")
    late = place > 2 / 3 * table.groupby("acquisition")["object_index"].transform("size")
    number = pd.Series(pd.factorize(table["group"])[0], index=table.index)
    held = number % HELD_OUT == HELD_OUT - 1
    return np.select([late, held], ["test", "val"], "train")


def main(study: str, model: str) -> None:
    """Measure and print."""
    home, params = Path("runs") / study, load_params(Path("params.yaml"))
    asked = params.studies[study].recipes[params.recipe]
    store = CellStore.open(home / "ingest" / "store")
    part, built = parts_of(store.table), asked.models[model]
    rows = {name: np.flatnonzero(part == name) for name in ("train", "val", "test")}
    result = fit(
        store,
        rows["train"],
        rows["val"],
        data=params.studies[study].data,
        model=built,
        train=built.training(asked.train),
        seed=SEED,
        title=f"{model}, first two thirds",
    )
    found = result.trained.predict(load_canvases(store, rows["test"], result.trained.spec.canvas))
    places = sorted((home / "replicates" / "evaluate" / model).glob(f"*-seed{SEED}/metrics.json"))
    pooled = over_folds([read_replicate(place.parent) for place in places]).test
    at = {cell: number for number, cell in enumerate(pooled.cell_id)}
    known = np.array([cell in at for cell in store.table["cell_id"].to_numpy()[rows["test"]]])
    cells = store.table["cell_id"].to_numpy()[rows["test"]][known]
    there = pooled.take(np.array([at[cell] for cell in cells]))
    labels, groups = there.classes.labels, there.group
    calls = {
        "replicates, neighbours before and after": there.classes.predicted,
        "first two thirds alone": found["logits"][known].argmax(axis=1),
    }
    values = {
        "replicates, neighbours before and after": values_of(there, "predicted"),
        "first two thirds alone": found["targets"][known],
    }
    draws = resample_groups(groups, labels, RESAMPLES, SEED)
    counts = ", ".join(f"{len(cells)} {name}" for name, cells in rows.items())
    print(f"{study}, {model}: {counts}; replicates {len(places)}")
    for name, called in calls.items():
        told = [
            f"{value} {correlations(truth.truth, values[name][:, column], labels)}"
            for column, (value, truth) in enumerate(there.values.items())
        ]
        print(f"{name}: {', '.join([scored(labels, called, draws), *told])}")
    pair = compare_predictions(
        labels, *calls.values(), groups, "macro_f1", RESAMPLES, 1 - CONFIDENCE, SEED
    )
    print(
        f"difference of macro-F1 {pair.difference:+.3f} ({pair.low:+.3f} to {pair.high:+.3f}), "
        f"p {pair.p_permutation:.3f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
