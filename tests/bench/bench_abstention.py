"""Benchmark: what the rules of an artifact refuse, of ordinary cells and of kinds never seen.

    python -m tests.bench.bench_abstention runs/nsc/export/cg_recnet/artifact --study nsc --cells 96

Test cells of the study's store tell false alarms; the kinds are simulated where the study has a
simulator of its own (imaging flow cytometry), and made from test cells in any case. Shares of cells
refused, in all and for each reason, and how often a window of a server would ring
(`unstained_drift`) whose cells are refused as often, independently of each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.bench.table import Row, show
from unstained.artifact.abstention import REASONS
from unstained.config.project import load_params
from unstained.data.splits.parts import part_rows
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.uncertainty.unknown_cells import unknown_cells_from
from unstained.serving.predictor import ABSTENTION_NAME, Predictor
from unstained.serving.watching import WINDOW, binomial_tail, most_by_chance
from unstained.simulate.unknown_cells import simulate_unknown_cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--study", default="nsc")
    parser.add_argument("--cells", type=int, default=96)
    asked = parser.parse_args()
    project = load_params(Path("params.yaml"))
    study = project.studies[asked.study]
    sections = study.recipes[project.recipe].sections()
    runs = Path("runs") / asked.study
    store = CellStore.open(runs / "ingest" / "store")
    rows = part_rows(store, runs / "split" / "split.parquet", "test")
    images = store.images(rows)
    groups = store.columns("group")["group"].to_numpy(str)[rows]
    predictor = Predictor(asked.artifact)
    table = [_row("test cells", predictor, images)]
    made = unknown_cells_from(
        images,
        groups,
        asked.cells,
        sections.uncertainty.blur_px,
        sections.common.seed,
        predictor.input.notes.get("white"),
    )
    for kind in sorted(set(made.kinds)):
        cells = [cell for cell, own in zip(made.images, made.kinds, strict=True) if own == kind]
        table.append(_row(f"made: {kind}", predictor, cells))
    if sections.simulate is not None and study.data.reader == "zhu_ifc":
        own = simulate_unknown_cells(
            sections.simulate,
            study.data,
            sections.common.seed,
            asked.cells,
            sections.uncertainty.defocus_um,
        )
        for kind in sorted(set(own.kinds)):
            cells = [cell for cell, name in zip(own.images, own.kinds, strict=True) if name == kind]
            table.append(_row(f"simulated: {kind}", predictor, cells))
    show(f"{asked.artifact}: share of cells refused", table)


def _row(name: str, predictor: Predictor, images: Sequence[np.ndarray]) -> Row:
    found = predictor.predict(images, [ABSTENTION_NAME])[ABSTENTION_NAME]
    shares = zip(REASONS, found.mean(axis=0), strict=True)
    why = ", ".join(f"{reason} {share:.2f}" for reason, share in shares if share)
    refused = float(found.any(axis=1).mean())
    promised = predictor.card["abstention"]["false_alarms"]
    rings = binomial_tail(WINDOW, most_by_chance(WINDOW, promised) + 1, refused)
    return Row(name, refused, None, f"rings {rings:.2g}; {len(images)} cells: {why}")


if __name__ == "__main__":
    main()
