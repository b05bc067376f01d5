"""What quantiles that a network learns would be worth beside lines of its prediction.

`python -m tests.bench.bench_quantiles STUDY MODEL`, in a folder where `dvc repro` has run, prints
of each value and of test and external cells how many the intervals hold and how wide they are:
those of the artifact, whose quantiles are lines of the prediction, and those of two outputs that
read the network's embedding, fitted to training cells by pinball loss and conformalised on
validation cells.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch

from unstained.config.project import load_params
from unstained.data.splits.parts import read_split
from unstained.data.store.cell_store import CellStore
from unstained.serving.predictor import ENDS, Predictor
from unstained.statistics.metrics import Floats
from unstained.tasks.study import Tasks

ALPHA = 0.1
STEPS = 400


def main(study: str, model: str) -> None:
    """Measure and print."""
    runs = Path("runs") / study
    store = CellStore.open(runs / "ingest" / "store")
    part = read_split(store, runs / "split" / "split.parquet")["part"].to_numpy()
    tasks = Tasks.of(load_params(Path("params.yaml")).studies[study].data.tasks)
    truths = tasks.truths(store.columns(*tasks.columns))
    predictor = Predictor(runs / "export" / model / "artifact")
    asked = ["targets", "embedding", *ENDS]
    chunks = (range(at, min(at + 64, len(store))) for at in range(0, len(store), 64))
    parts = [predictor.predict(store.images(list(rows)), asked) for rows in chunks]
    found = {name: np.concatenate([part[name] for part in parts]).astype(float) for name in asked}
    shown = found["embedding"] - found["embedding"][part == "train"].mean(axis=0)
    shown /= np.maximum(found["embedding"][part == "train"].std(axis=0), 1e-6)
    print("value, part: cells; held and width by lines; held and width by an embedding's quantiles")
    for at, task in enumerate(tasks.values):
        y = truths[task.name]
        rows = {name: np.flatnonzero((part == name) & np.isfinite(y)) for name in set(part)}
        low, high = conformal(*learnt(shown, y, rows["train"]).T, y, rows["val"])
        for name in ("test", "external"):
            here = rows.get(name, np.empty(0, int))
            if not len(here):
                continue
            lines = (found[end][here, at] for end in ENDS)
            told = "; ".join(held(y[here], *ends) for ends in (lines, (low[here], high[here])))
            print(f"{task.name}, {name}: {len(here)}; {told}")


def learnt(shown: Floats, y: Floats, rows: np.ndarray) -> Floats:
    """Two quantiles (N, 2) as linear functions of the embedding, by pinball loss."""
    torch.manual_seed(0)
    levels = torch.tensor([ALPHA / 2, 1 - ALPHA / 2])
    head = torch.nn.Linear(shown.shape[1], 2)
    torch.nn.init.zeros_(head.weight)
    head.bias.data = torch.quantile(torch.tensor(y[rows], dtype=torch.float32), levels)
    seen, wanted = (torch.tensor(one[rows], dtype=torch.float32) for one in (shown, y))
    optimiser = torch.optim.AdamW(head.parameters(), lr=5e-3, weight_decay=0.05)
    for _ in range(STEPS):
        off = wanted[:, None] - head(seen)
        loss = torch.maximum(levels * off, (levels - 1) * off).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        ends: Floats = head(torch.tensor(shown, dtype=torch.float32)).double().numpy()
    return np.sort(ends, axis=1)


def conformal(low: Floats, high: Floats, y: Floats, rows: np.ndarray) -> tuple[Floats, Floats]:
    """Ends moved by the margin that validation cells ask for (Romano et al. 2019)."""
    scores = np.sort(np.maximum(low[rows] - y[rows], y[rows] - high[rows]))
    margin = scores[math.ceil(round((len(scores) + 1) * (1 - ALPHA), 9)) - 1]
    return low - margin, high + margin


def held(y: Floats, low: Floats, high: Floats) -> str:
    """How many values lie within, and how wide the intervals are."""
    return f"{np.mean((low <= y) & (y <= high)):.2f} {np.mean(high - low):.2f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
