"""Populations of an analysis, computed again: IDEAS stores how they are defined.

A population is of type B (all objects), T (objects by number), C (others joined by And, Or, Not) or
G (a region drawn on one or two features), and lies within its base. Regions along the axes (line,
rect) hold on any axes, polygons are computed on linear ones; whatever else there is, is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

Members = npt.NDArray[np.bool_]
LINEAR: Final = ("", "P")
"""What a region says of an axis that is linear."""


class UntoldError(Exception):
    """Which objects a population holds cannot be told; the text says why."""


class Gates:
    """Populations by name, computed when asked for.

    Args:
        root: XML of the analysis.
        objects: how many N there are.
        features: name -> (N,) value of each object.
    """

    def __init__(
        self, root: ET.Element, objects: int, features: Mapping[str, npt.NDArray[np.float64]]
    ) -> None:
        self.features = features
        self.objects = objects
        self.populations = {one.get("name", ""): dict(one.attrib) for one in root.iter("Pop")}
        self.tagged = {
            one.get("name", ""): [
                int(next(iter(ob.attrib.values()), "-1")) for ob in one.iter("ob")
            ]
            for one in root.iter("Pop")
        }
        self.regions = {
            one.get("label", ""): (dict(one.attrib), _corners(one)) for one in root.iter("Region")
        }

    def members(self, name: str, within: tuple[str, ...] = ()) -> Members:
        """Which of the N objects a population holds.

        Args:
            name: of the population.
            within: populations that ask for this one.

        Raises:
            UntoldError: it is not told.
        """
        if name in within or name not in self.populations:
            raise UntoldError(f"rests on {name!r}, which is not defined")
        known = self.populations[name]
        asking = (*within, name)
        base = known.get("base", "")
        inside = self.members(base, asking) if base else np.ones(self.objects, np.bool_)
        kind = known.get("type", "")
        if kind == "B":
            return inside
        if kind == "T":
            return inside & self._tagged(name)
        if kind == "C":
            return inside & _Joined(known.get("definition", ""), self, asking).members
        if kind == "G":
            return inside & self._drawn(known)
        raise UntoldError(f"is of the unknown type {kind!r}")

    def _tagged(self, name: str) -> Members:
        found = np.zeros(self.objects, np.bool_)
        numbers = np.array(self.tagged[name], np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= self.objects):
            raise UntoldError(f"names object {numbers.max()} of {self.objects}")
        found[numbers] = True
        return found

    def _drawn(self, known: Mapping[str, str]) -> Members:
        """Objects whose features lie in a region."""
        if known.get("region", "") not in self.regions:
            raise UntoldError(f"is drawn by the region {known.get('region')!r}, which is missing")
        region, corners = self.regions[known["region"]]
        kind = region.get("type", "")
        x = self._feature(known.get("fx", ""))
        if kind == "line":
            return _between(x, corners[:, 0])
        y = self._feature(known.get("fy", ""))
        if kind == "rect":
            return _between(x, corners[:, 0]) & _between(y, corners[:, 1])
        axes = [region.get(f"{axis}{way}", "") for axis in "xy" for way in ("logrange", "trans")]
        if kind != "poly" or any(axis not in LINEAR for axis in axes):
            raise UntoldError(f"is drawn as {kind} on axes {', '.join(filter(None, axes)) or 'P'}")
        return _in_polygon(x, y, corners)

    def _feature(self, name: str) -> npt.NDArray[np.float64]:
        if name not in self.features:
            raise UntoldError(f"is drawn on the feature {name!r}, which is missing")
        return self.features[name]


class _Joined:
    """The value of 'A|And|Not|B': Not binds before And, And before Or."""

    def __init__(self, definition: str, gates: Gates, within: tuple[str, ...]) -> None:
        self.words = definition.split("|")
        self.gates, self.within = gates, within
        self.members = self._either()
        if self.words:
            raise UntoldError(f"is defined as {definition!r}, which is no expression")

    def _either(self) -> Members:
        found = self._both()
        while self._next("Or"):
            found = found | self._both()
        return found

    def _both(self) -> Members:
        found = self._one()
        while self._next("And"):
            found = found & self._one()
        return found

    def _one(self) -> Members:
        if self._next("Not"):
            return ~self._one()
        if self._next("("):
            found = self._either()
            if not self._next(")"):
                raise UntoldError("is defined with a bracket that is not closed")
            return found
        if not self.words:
            raise UntoldError("is defined by an expression that ends early")
        return self.gates.members(self.words.pop(0), self.within)

    def _next(self, word: str) -> bool:
        if self.words[:1] != [word]:
            return False
        self.words.pop(0)
        return True


def _corners(region: ET.Element) -> npt.NDArray[np.float64]:
    """(n, 2) x and y of a region's corners."""
    found = [(float(c.get("x", "nan")), float(c.get("y", "nan"))) for c in region.iter("axy")]
    return np.array(found, np.float64).reshape(-1, 2)


def _between(values: npt.NDArray[np.float64], ends: Sequence[float] | np.ndarray) -> Members:
    if not len(ends):
        raise UntoldError("is drawn by a region without corners")
    return np.asarray((values >= np.min(ends)) & (values <= np.max(ends)))


def _in_polygon(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], corners: npt.NDArray[np.float64]
) -> Members:
    """Points that a ray to the right leaves the polygon from, by an odd number of crossings."""
    inside = np.zeros(len(x), np.bool_)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside
