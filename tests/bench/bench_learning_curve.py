"""Whether more cells would help: a model that learns from fewer.

`python -m tests.bench.bench_learning_curve STUDY MODEL CELLS ...`, in a folder where the stage
`split` has run, trains the model in each fold on so many training cells at the most, chosen at
random, and prints what it reaches on the test cells of all folds together (where folds rotate,
`split.rotate`, that is every cell once). Intervals of 95 % resample groups.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.bench.bench_ceiling import RESAMPLES, SEED, scored
from unstained.config.project import load_params
from unstained.data.canvas import load_canvases
from unstained.data.splits.parts import cell_parts
from unstained.data.store.cell_store import CellStore
from unstained.learning.fit import fit
from unstained.statistics.intervals import resample_groups


def main(study: str, model: str, *cells: str) -> None:
    """Measure and print."""
    home, params = Path("runs") / study, load_params(Path("params.yaml"))
    data, asked = params.studies[study].data, params.studies[study].recipes[params.recipe]
    store, built = CellStore.open(home / "ingest" / "store"), asked.models[model]
    classes = store.labels(data.class_names)
    for most in map(int, cells):
        called, tested, learnt = [], [], []
        for fold in range(asked.split.folds):
            part = cell_parts(store, home / "split" / "split.parquet", fold)
            rows = {name: np.flatnonzero(part == name) for name in ("train", "val", "test")}
            result = fit(
                store,
                rows["train"],
                rows["val"],
                data=data,
                model=built,
                train=built.training(asked.train),
                seed=SEED,
                max_cells=most,
            )
            canvases = load_canvases(store, rows["test"], result.trained.spec.canvas)
            called.append(result.trained.predict(canvases)["logits"].argmax(axis=1))
            tested.append(rows["test"])
            learnt.append(min(most, len(rows["train"])))
        at = np.concatenate(tested)
        groups = store.table["group"].to_numpy()[at]
        draws = resample_groups(groups, classes[at], RESAMPLES, SEED)
        told = scored(classes[at], np.concatenate(called), draws)
        print(f"{model}, {np.mean(learnt):.0f} training cells: {told}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
