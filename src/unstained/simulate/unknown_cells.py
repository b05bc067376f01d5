"""Cells that no class covers, by the simulator of a study: for tests, never for training.

Each kind is recorded in acquisitions of its own with a seed of its own, so that it shares neither a
random number nor a lamp with the study's cells or with another kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from unstained.config.study import SimulateParams, StudyData
from unstained.simulate.ifc import CELLS_AT_ONCE
from unstained.simulate.instrument import record
from unstained.simulate.lineages import draw_cell
from unstained.simulate.plan import Plan, plan_study
from unstained.simulate.streams import stream

KINDS: Final = ("debris", "defocus", "doublet", "cell")
"""What is simulated; 'cell' is an ordinary one, the control."""

ACQUISITIONS: Final = 4
"""Of each class and kind."""

OTHER_SEED: Final = 1_000_003
"""Added to the study's seed."""


@dataclass(frozen=True)
class SimulatedUnknownCells:
    """Images (1, h, w) in brightfield, with the kind and the acquisition of each."""

    images: list[np.ndarray]
    kinds: list[str]
    groups: list[str]


def simulate_unknown_cells(
    params: SimulateParams, data: StudyData, seed: int, count: int, defocus_um: float
) -> SimulatedUnknownCells:
    """Record cells of each kind.

    Args:
        params: of the study's simulation; its shares of debris and doublets do not count here.
        data: classes and optics.
        seed: of the study.
        count: cells of each kind at least; rounded up to equal acquisitions of every class.
        defocus_um: how much further from the focal plane cells of kind 'defocus' lie, every second
            one before it.
    """
    rules = tuple(rule for rule in data.classes if not rule.external)
    data = data.with_rules(rules).model_copy(update={"markers": {}})
    each = -(-count // (ACQUISITIONS * len(data.class_names)))
    size = {"acquisitions_per_class": ACQUISITIONS, "cells_per_acquisition": each}
    found = SimulatedUnknownCells([], [], [])
    for number, kind in enumerate(KINDS):
        shares = {"debris": float(kind == "debris"), "doublets": float(kind == "doublet")}
        setting, own = params.model_copy(update=size | shares), seed + OTHER_SEED + number
        for plan in plan_study(setting, data, own):
            if kind == "defocus":
                away = np.where(np.arange(each) % 2, -defocus_um, defocus_um)
                plan = replace(plan, focus_um=plan.focus_um + away)
            found.images.extend(_record(plan, setting, data, own))
            found.kinds.extend([kind] * each)
            found.groups.extend([f"{kind}/{plan.name}"] * each)
    return found


def _record(plan: Plan, setting: SimulateParams, data: StudyData, seed: int) -> list[np.ndarray]:
    """Brightfield images (1, h, w) of one acquisition."""
    found: list[np.ndarray] = []
    for start in range(0, len(plan.objects), CELLS_AT_ONCE):
        index = np.arange(start, min(start + CELLS_AT_ONCE, len(plan.objects)))
        cells = [
            draw_cell(
                plan.lineage,
                difficulty=setting.difficulty,
                debris=setting.debris,
                doublets=setting.doublets,
                generator=stream(seed, plan.name, "shape", int(number)),
            )
            for number in index
        ]
        recordings = record(cells, index, plan, data, seed)
        found += [recording.channels[data.channels[0]][None] for recording in recordings]
    return found
