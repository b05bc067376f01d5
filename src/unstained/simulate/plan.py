"""What a simulated study consists of before any pixel: acquisitions, names, lamp and focus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from unstained.config.study import SimulateParams, StudyData
from unstained.config.tasks import ClassRule
from unstained.errors import ParameterError
from unstained.simulate.lineages import LINEAGES, REAL_IMAGES
from unstained.simulate.streams import stream

PREFIXES: Final = {"astrocyte": "a", "oligodendrocyte": "o", "neuron": "n"}
INDUCERS: Final = ("nt3", "nt4", "ngf", "cntf", "mt", "ln")
"""Neuron inducers whose directories are external test cells in Zhu et al. 2021."""

CLASS_LAMP: Final = {"astrocyte": 1.0, "oligodendrocyte": 1.5, "neuron": 1.0}
"""Background of the classes in published samples of Zhu et al. 2021: 101, 152 and 101 counts of 8
bits. `confound` is how far an acquisition's lamp is drawn from its own level to its class's."""

LAMP_SPREAD: Final = 0.15
"""Standard deviation of the logarithm of an acquisition's own lamp level."""

GRADIENT_SPREAD: Final = 0.008
"""Standard deviation of each coefficient of the background polynomial."""

FOCUS_UM: Final = 2.8
"""Mean distance of the focal plane behind the cells: bright middles and dark rims, as in published
brightfield tiles of suspended cells."""

FOCUS_SETTING_UM: Final = 0.3
"""Standard deviation of the focus that an acquisition starts with."""

EXTERNAL_ACQUISITIONS: Final = 2


@dataclass(frozen=True)
class Plan:
    """One acquisition.

    Attributes:
        name: sample directory, e.g. 'a_1d1'.
        lineage: of all its cells.
        lamp: brightness relative to the standard lamp.
        gradient: (5,) coefficients of the uneven background.
        focus_um: (n,) distance of the focal plane behind the stream's centre, cell by cell.
        objects: (n,) object numbers, ascending with gaps: gating has removed the others.
    """

    name: str
    lineage: str
    lamp: float
    gradient: np.ndarray
    focus_um: np.ndarray
    objects: np.ndarray


def plan_study(params: SimulateParams, data: StudyData, seed: int) -> tuple[Plan, ...]:
    """The acquisitions of a study, in the order of its classes.

    Args:
        params: how many, and how far lamp follows class.
        data: classes and their directory patterns.
        seed: of the study.

    Raises:
        ParameterError: a class or pattern that the simulator cannot serve.
    """
    plans = []
    for rule in data.classes:
        if rule.name not in LINEAGES:
            raise ParameterError(
                f"the simulator has no class {rule.name!r}",
                f"use {', '.join(LINEAGES)} in studies.<study>.data.tasks, or {REAL_IMAGES}",
            )
        names = _names(rule, data.classes, params.acquisitions_per_class)
        cells = params.cells_per_acquisition
        if rule.external:
            cells = max(1, cells // 2)
        lamps = _own_lamps(rule, len(names), seed)
        for name, own in zip(names, lamps, strict=True):
            lamp = CLASS_LAMP[rule.name] ** params.confound * own ** (1 - params.confound)
            plans.append(_plan(name, rule.name, lamp, cells, params.focus_drift_um, seed))
    return tuple(plans)


def _names(rule: ClassRule, rules: tuple[ClassRule, ...], count: int) -> list[str]:
    """Directory names that the reader, first match first, gives to this rule."""
    if rule.external:
        fitting = [
            f"{inducer}_1d1" for inducer in INDUCERS if _first(f"{inducer}_1d1", rules) == rule
        ]
        names = fitting[:EXTERNAL_ACQUISITIONS]
    else:
        days = (f"{PREFIXES[rule.name]}_{i // 3 + 1}d{i % 3 + 1}" for i in range(count))
        names = [name for name in days if _first(name, rules) == rule]
    if len(names) < (1 if rule.external else count):
        tried = f"{INDUCERS[0]}_1d1" if rule.external else f"{PREFIXES[rule.name]}_1d1"
        raise ParameterError(
            f"the pattern {rule.pattern!r} of class {rule.name!r} matches no directory that the "
            f"simulator writes (such as {tried})",
            "let the pattern match it, before any other class's pattern does",
        )
    return names


def _first(name: str, rules: tuple[ClassRule, ...]) -> ClassRule | None:
    matching: Iterator[ClassRule] = (rule for rule in rules if re.search(rule.pattern, name))
    return next(matching, None)


def _own_lamps(rule: ClassRule, count: int, seed: int) -> list[float]:
    """Lamp levels of a class's acquisitions: log-normal, one from each of `count` equal slices.

    Every class thus has nearly the same levels, so that brightness tells classes apart by
    `confound` alone, not by the luck of a few draws.
    """
    generator = stream(seed, f"lamps of {rule.name} {rule.external}", "acquisition")
    slices = (generator.permutation(count) + generator.random(count)) / count
    normal = NormalDist()
    return [float(np.exp(LAMP_SPREAD * normal.inv_cdf(min(max(q, 0.01), 0.99)))) for q in slices]


def _plan(name: str, lineage: str, lamp: float, cells: int, drift_um: float, seed: int) -> Plan:
    generator = stream(seed, name, "acquisition")
    gradient = GRADIENT_SPREAD * generator.standard_normal(5)
    start = FOCUS_UM + FOCUS_SETTING_UM * generator.standard_normal()
    walk = np.cumsum(generator.standard_normal(cells)) * drift_um / np.sqrt(cells)
    objects = np.cumsum(generator.integers(1, 6, size=cells)) + int(generator.integers(0, 40))
    return Plan(name, lineage, float(lamp), gradient, start + walk, objects)
