"""What networks make of training, held-out, test and strange cells: logits and embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from unstained.data.canvas import Canvases, iter_canvases, place
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.out_of_distribution import build_index, neighbour_distance
from unstained.evaluation.predictions import BATCH, STREAM_CELLS
from unstained.evaluation.uncertainty.value_intervals import Distances
from unstained.models.trained import TrainedModel
from unstained.statistics.metrics import Floats, Labels


@dataclass(frozen=True)
class Reach:
    """Logits (n, K) and embeddings (n, D) of some cells."""

    logits: Floats
    embedding: Floats


@dataclass(frozen=True)
class Reached:
    """What a network makes of cells by part, in the order of their rows, and of strange ones."""

    train: Reach
    val: Reach
    test: Reach
    strange: Reach


def rows_by_part(part: np.ndarray, most: int, neighbour: int, seed: int) -> dict[str, Labels]:
    """Rows of the store by part; of the training cells a sample where there are very many.

    Args:
        part: (all cells,) their part.
        most: training cells at the most.
        neighbour: that distances are taken to.
        seed: of the sample.

    Raises:
        StageInputError: fewer training cells than the neighbour that distances are taken to.
    """
    rows = {name: np.flatnonzero(part == name) for name in ("train", "val", "test")}
    if len(rows["train"]) > most:
        drawn = np.random.default_rng(seed).permutation(rows["train"])
        rows["train"] = np.sort(drawn[:most])
    if len(rows["train"]) < neighbour:
        raise StageInputError(
            f"{len(rows['train'])} training cells have no neighbour number {neighbour}",
            "lower uncertainty.neighbour",
        )
    return rows


def run_network(
    trained: TrainedModel, store: CellStore, rows: dict[str, Labels], strange: list[np.ndarray]
) -> Reached:
    """Run a network on cells of each part and on raw images (C, h, w), streamed."""
    parts = {name: _reach(trained, _stored(trained, store, index)) for name, index in rows.items()}
    return Reached(**parts, strange=_reach(trained, _placed(trained, strange)))


def distances(
    reached: Reached, replicate: ReplicateResult, cells: dict[str, np.ndarray], neighbour: int
) -> Distances:
    """Distance to training cells in the last layer, of a replicate's cells in its own order.

    Args:
        reached: by its network.
        replicate: whose cells are asked for.
        cells: part -> names of the cells in the order of `reached`.
        neighbour: which nearest training cell counts.
    """
    index = build_index(reached.train.embedding, neighbour, 0, "spread")
    found = []
    for part, reach, wanted in (
        ("val", reached.val, replicate.validation.cell_id),
        ("test", reached.test, replicate.test.cell_id),
    ):
        far = dict(zip(cells[part], neighbour_distance(index, reach.embedding), strict=True))
        found.append(np.array([far[name] for name in wanted], np.float64))
    return Distances(*found)


def _stored(trained: TrainedModel, store: CellStore, rows: Labels) -> Iterator[Canvases]:
    streamed = iter_canvases(store, rows, trained.spec.canvas, STREAM_CELLS)
    return (canvases for _, canvases in streamed)


def _placed(trained: TrainedModel, images: list[np.ndarray]) -> Iterator[Canvases]:
    for start in range(0, len(images), STREAM_CELLS):
        some = images[start : start + STREAM_CELLS]
        yield place(some, trained.spec.canvas, trained.spec.white)


def _reach(trained: TrainedModel, blocks: Iterable[Canvases]) -> Reach:
    batch = BATCH[next(iter(trained.network.state_dict().values())).device.type]
    parts = [trained.predict(canvases, batch) for canvases in blocks]
    logits, embedding = (
        np.concatenate([np.asarray(part[name], np.float64) for part in parts])
        for name in ("logits", "embedding")
    )
    return Reach(logits, embedding)
