"""What a network would gain if it saw each cell turned and mirrored, and answered with the mean.

`python -m tests.bench.bench_turns STUDY MODEL`, in a folder where replicates of the model lie,
prints accuracy, macro-F1 and Pearson's r of each value on the test cells of all its replicates: of
one view, of two (as it is, and mirrored), and of all eight symmetries of the square, at as many
times the cost.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tests.bench.bench_ceiling import correlations, scored
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.baselines.grid import read_replicate
from unstained.models.trained import TrainedModel, load_trained
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats

RESAMPLES, SEED, BATCH = 2000, 42, 256
VIEWS = {"one": [(0, False)], "two": [(0, False), (0, True)]}
VIEWS["eight"] = [(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]


@torch.inference_mode()
def answers(trained: TrainedModel, images: torch.Tensor) -> dict[str, tuple[Floats, Floats]]:
    """Number of views -> mean scores (N, K) and values (N, M) of contrast (N, P, S, S)."""
    seen = {}
    for quarters, mirrored in VIEWS["eight"]:
        turned = torch.rot90(images, quarters, (2, 3))
        turned = turned.flip(3) if mirrored else turned
        parts = [trained.network(part) for part in torch.split(turned, BATCH)]
        seen[quarters, mirrored] = [
            torch.cat([getattr(part, head) for part in parts]).double().numpy()
            for head in ("logits", "targets")
        ]
    return {
        name: (np.mean([seen[v][0] for v in views], 0), np.mean([seen[v][1] for v in views], 0))
        for name, views in VIEWS.items()
    }


def main(study: str, model: str) -> None:
    """Measure and print."""
    home, store = Path("runs") / study, CellStore.open(Path("runs") / study / "ingest" / "store")
    rows = {cell: row for row, cell in enumerate(store.table["cell_id"])}
    found: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in VIEWS}
    tests = []
    for place in sorted((home / "replicates" / "evaluate" / model).glob("*/metrics.json")):
        test = read_replicate(place.parent).test
        trained = load_trained(home / "replicates" / "train" / model / place.parent.name / "model")
        canvases = load_canvases(
            store, np.array([rows[cell] for cell in test.cell_id]), trained.spec.canvas
        )
        images = canvases.contrast(slice(None), trained.spec.scale)
        for name, told in answers(trained, images).items():
            found[name].append(told)
        tests.append(test)
    labels = np.concatenate([test.classes.labels for test in tests])
    groups = np.concatenate([test.group for test in tests])
    draws = resample_groups(groups, labels, RESAMPLES, SEED)
    print(f"{study}, {model}: {len(tests)} replicates, {len(labels)} test cells")
    for name, parts in found.items():
        called = np.concatenate([scores for scores, _ in parts]).argmax(axis=1)
        said = np.concatenate([values for _, values in parts])
        told = [
            f"{value} "
            + correlations(
                np.concatenate([t.values[value].truth for t in tests]), said[:, at], labels
            )
            for at, value in enumerate(tests[0].values)
        ]
        print(f"{name}: {', '.join([scored(labels, called, draws), *told])}")


if __name__ == "__main__":
    main(*sys.argv[1:])
