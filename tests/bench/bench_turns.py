"""What a trained network gains from seeing each cell in several symmetries (`input.symmetries`).

`python -m tests.bench.bench_turns STUDY MODEL`, in a folder where replicates of the model lie,
prints accuracy, macro-F1 and Pearson's r of each value on the test cells of all its replicates: of
one view, two, four and eight, at as many times the cost. Weights are those that were learnt with
the epoch chosen by one view. Planes lit from the sides turn right in a model that sees phase only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tests.bench.bench_ceiling import correlations, scored
from unstained.config.networks import NetworkBase
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.baselines.grid import read_replicate
from unstained.imaging.symmetry import GROUPS
from unstained.models.build import bare_model
from unstained.models.trained import TrainedModel, load_trained
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats

RESAMPLES, SEED, BATCH = 2000, 42, 64


@torch.inference_mode()
def answers(trained: TrainedModel, images: torch.Tensor) -> dict[int, tuple[Floats, Floats]]:
    """Number of views -> scores (N, K) and values (N, M) of contrast (N, P, S, S)."""
    spec, found = trained.spec, {}
    if not isinstance(spec.model, NetworkBase):
        raise SystemExit("a model on measured features sees no views")
    for size in GROUPS:
        shown = spec.model.input.model_copy(update={"symmetries": size})
        params = spec.model.model_copy(update={"input": shown})
        network = bare_model(params, spec.asked.logits, spec.asked.targets, spec.axes.planes)
        network.load_state_dict(trained.network.state_dict())
        parts = [network.eval()(part) for part in torch.split(images, BATCH)]
        scores, values = (
            torch.cat([getattr(part, head) for part in parts]).double().numpy()
            for head in ("logits", "targets")
        )
        found[size] = (scores, values)
    return found


def main(study: str, model: str) -> None:
    """Measure and print."""
    home, store = Path("runs") / study, CellStore.open(Path("runs") / study / "ingest" / "store")
    rows = {cell: row for row, cell in enumerate(store.table["cell_id"])}
    found: dict[int, list[tuple[Floats, Floats]]] = {size: [] for size in GROUPS}
    tests = []
    for place in sorted((home / "replicates" / "evaluate" / model).glob("*/metrics.json")):
        test = read_replicate(place.parent).test
        trained = load_trained(home / "replicates" / "train" / model / place.parent.name / "model")
        canvases = load_canvases(
            store, np.array([rows[cell] for cell in test.cell_id]), trained.spec.canvas
        )
        images = canvases.contrast(slice(None), trained.spec.scale)
        for size, told in answers(trained, images).items():
            found[size].append(told)
        tests.append(test)
    labels = np.concatenate([test.classes.labels for test in tests])
    groups = np.concatenate([test.group for test in tests])
    draws = resample_groups(groups, labels, RESAMPLES, SEED)
    print(f"{study}, {model}: {len(tests)} replicates, {len(labels)} test cells")
    for size, parts in found.items():
        called = np.concatenate([scores for scores, _ in parts]).argmax(axis=1)
        said = np.concatenate([values for _, values in parts])
        told = [
            f"{value} "
            + correlations(
                np.concatenate([t.values[value].truth for t in tests]), said[:, at], labels
            )
            for at, value in enumerate(tests[0].values)
        ]
        print(f"views {size}: {', '.join([scored(labels, called, draws), *told])}")


if __name__ == "__main__":
    main(*sys.argv[1:])
