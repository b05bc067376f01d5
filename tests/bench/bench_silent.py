"""How many features of a network for movies fall silent, and what that costs.

`python -m tests.bench.bench_silent STUDY MODEL [key=value ...]`, in a folder where `dvc repro
split@STUDY` has run, trains the model by params.yaml with some of `train` changed (keys of `train`;
`cells`: training snippets at the most; `centred=no`: maps enter the features as max pooling leaves
them) and prints of the snippets of each part: how many features are 0 for all of them, how far
answers lie apart, and loss L and accuracy A of the first proportion beside the entropy of the truth
and the accuracy of its mean.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from unstained.config.project import load_params
from unstained.data.splits.parts import cell_parts
from unstained.data.store.cell_store import CellStore
from unstained.learning.fit import fit
from unstained.learning.problem import Cells, pose
from unstained.learning.source import Streamed
from unstained.models.networks.differential_cnn import DifferentialCNN
from unstained.statistics.metric import SHARE_METRICS
from unstained.tasks.study import Tasks

BATCH = 64
METRICS = ("cross_entropy", "entropy", "accuracy")


def main(study: str, model: str, *changes: str) -> None:
    """Train and print."""
    asked = dict(one.split("=", 1) for one in changes)
    if asked.pop("centred", "yes") == "no":
        _leave_as_they_are()
    most = asked.pop("cells", None)
    project, runs = load_params(Path("params.yaml")), Path("runs") / study
    section, recipe = project.studies[study], project.studies[study].recipes[project.recipe]
    params = recipe.models[model]
    train = params.training(recipe.train)
    train = type(train).model_validate(train.model_dump() | asked)
    store = CellStore.open(runs / "ingest" / "store")
    part = cell_parts(store, runs / "split" / "split.parquet", None, params.partition)
    rows = {name: np.flatnonzero(part == name) for name in ("train", "val", "test")}
    settings: dict[str, Any] = {"data": section.data, "seed": 42}
    settings["max_cells"] = int(most) if most else None
    found = fit(store, rows["train"], rows["val"], model=params, train=train, **settings)
    tested = pose(store, rows["train"], rows["test"], **settings)
    print(f"{model} {' '.join(changes)}: epoch {found.best_epoch} of {len(found.history)}")
    for name, cells in (("train", tested.train), ("test", tested.val)):
        logits, features = _answers(found.trained.network, Streamed(tested, cells, _CPU), cells)
        task = Tasks.of(section.data.tasks).proportions[0]
        columns = Tasks.of(section.data.tasks).truth_columns[task.name]
        truth, said = cells.truth[:, columns].astype(float), task.link(logits)
        known = ~np.isnan(truth).any(axis=1)
        loss, floor, accuracy = (SHARE_METRICS[m].of(truth[known], said[known]) for m in METRICS)
        mean = np.broadcast_to(truth[known].mean(axis=0), truth[known].shape)
        constant = SHARE_METRICS["accuracy"].of(truth[known], mean)
        print(
            f"  {name}: {len(cells)} snippets, {(features.max(axis=0) <= 0).mean():.0%} of "
            f"{features.shape[1]} features silent, sd of answers {said[:, 0].std():.3f}, "
            f"L {loss:.3f} over {floor:.3f}, A {accuracy:.3f} ({constant:.3f})"
        )


_CPU = torch.device("cpu")


@torch.inference_mode()
def _answers(network: nn.Module, source: Streamed, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) logits and (N, D) features."""
    order = np.arange(len(cells))
    batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    outputs = [network.eval()(contrast) for contrast in source.contrasts(batches, 1)]
    tables = [torch.cat([getattr(one, k) for one in outputs]) for k in ("logits", "embedding")]
    return tables[0].double().numpy(), tables[1].numpy()


def _leave_as_they_are() -> None:
    built = DifferentialCNN.__init__

    def bare(self: DifferentialCNN, *args: Any, **named: Any) -> None:
        built(self, *args, **named)
        for name in self.centred:
            self.centred[name] = nn.Identity()

    cast(Any, DifferentialCNN).__init__ = bare


if __name__ == "__main__":
    main(*sys.argv[1:])
