"""How cells of a monolayer move: overdamped, on a torus, in steps of some minutes.

A cell crawls along its long axis and reverses now and then (apolar self-propulsion), is pushed by
neighbours that it overlaps, turns with them and turns by chance. Its body is a row of soft beads:
where two beads overlap both give way, and a cell moves as the rigid body that fits its beads'
displacements best, which turns slender cells along each other (steric alignment). On top of that a
cell turns along the neighbours that it touches, as sin 2(angle - angle of the neighbour), at the
rate of its kind (the alignment energy of Pai et al.). Cells grow, round up, divide and spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from unstained.simulate.monolayers.kinds import Kind

GIVE: Final = 0.3
"""Of an overlap that is undone in a minute."""
TOUCH: Final = 1.15
"""Cells whose beads are nearer than this many times their contact are neighbours."""
BODY: Final = 0.95
"""Radius of a bead in half-widths of the footprint there: footprints overlap a little."""
ENDS: Final = 0.9
"""Place of the last beads, in half-lengths."""
ROUNDING_MIN: Final = 40.0
SPREADING_MIN: Final = 60.0
"""How long a cell takes to round up before it divides, and its daughters to spread."""
ROUND: Final = 0.55
"""Diameter of a rounded cell, relative to that of a disc as large as its footprint."""
SIZES: Final = 0.16
"""Standard deviation of the logarithm of a cell's length, and of its width."""


@dataclass
class Cells:
    """Cells of a monolayer, (n,) each.

    Attributes:
        number: unique in a movie; parent: its mother's, -1 where there was none.
        kind: number of its kind.
        y, x: micrometres; angle: of the long axis, radians from x towards y.
        ahead: 1 or -1, which way it crawls along its axis.
        long, wide: its own factors of length and width.
        bend: sagitta over half-length.
        age: from 0 to 1, of its cycle.
        born: minutes since its mother divided.
        seed: (n,) of what its inside looks like.
    """

    number: np.ndarray
    parent: np.ndarray
    kind: np.ndarray
    y: np.ndarray
    x: np.ndarray
    angle: np.ndarray
    ahead: np.ndarray
    long: np.ndarray
    wide: np.ndarray
    bend: np.ndarray
    age: np.ndarray
    born: np.ndarray
    seed: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def take(self, index: np.ndarray) -> Cells:
        """Some of them."""
        return Cells(*(getattr(self, one.name)[index] for one in fields(self)))

    def joined(self, others: Cells) -> Cells:
        """These and others."""
        names = [one.name for one in fields(self)]
        return Cells(*(np.concatenate([getattr(self, n), getattr(others, n)]) for n in names))


@dataclass(frozen=True)
class Shapes:
    """What cells look like now, (n,) each: half-length and half-width in micrometres, dry mass.

    Mass is the integral of phase over the cell, radians times square micrometres.
    """

    half_length: np.ndarray
    half_width: np.ndarray
    mass: np.ndarray


def place_cells(
    counts: Sequence[int], kinds: Sequence[Kind], side_um: float, rng: np.random.Generator
) -> Cells:
    """Cells at random on a torus, before they have seen each other.

    Args:
        counts: of each kind.
        kinds: in their order.
        side_um: of the torus.
        rng: draws them.
    """
    count = int(sum(counts))
    kind = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    y, x = rng.uniform(0, side_um, (2, count))
    spread = np.array([SIZES if one.beads > 2 else SIZES / 2 for one in kinds])[kind]
    return Cells(
        number=np.arange(count),
        parent=np.full(count, -1),
        kind=kind,
        y=y,
        x=x,
        angle=rng.uniform(0, np.pi, count),
        ahead=rng.choice([-1.0, 1.0], count),
        long=np.exp(spread * rng.standard_normal(count)),
        wide=np.exp(spread * rng.standard_normal(count)),
        bend=0.12 * rng.standard_normal(count),
        age=rng.uniform(0, 1, count),
        born=np.full(count, 1e6),
        seed=rng.integers(0, 2**31, count),
    )


def shapes_of(cells: Cells, kinds: Sequence[Kind]) -> Shapes:
    """Their sizes and masses; mass grows twofold in a cycle, and so does the footprint."""
    of = {
        name: _each(kinds, cells, name)
        for name in ("length_um", "width_um", "taper", "phase", "area_um2", "cycle_h")
    }
    grown = (1 + cells.age) / 1.5
    length = of["length_um"] * cells.long * np.sqrt(grown)
    width = np.minimum(of["width_um"] * cells.wide * np.sqrt(grown), length)
    area = of["area_um2"] * cells.long * cells.wide * grown
    spread = _spread(cells, of["cycle_h"])
    ball = ROUND * np.sqrt(4 / np.pi * area)
    return Shapes(
        half_length=0.5 * ball * (length / ball) ** spread,
        half_width=0.5 * ball * (width / ball) ** spread,
        mass=of["phase"] * area,
    )


def _each(kinds: Sequence[Kind], cells: Cells, name: str) -> np.ndarray:
    """(n,) what the kind of each cell is."""
    return np.asarray(np.array([getattr(one, name) for one in kinds], float)[cells.kind])


def _spread(cells: Cells, cycle_h: np.ndarray) -> np.ndarray:
    """From 0, a ball, to 1, fully spread."""
    before = (1 - cells.age) * cycle_h * 60 / ROUNDING_MIN
    after = cells.born / SPREADING_MIN
    ramp = np.clip(np.minimum(before, after), 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp))


class Monolayer:
    """A culture on a torus that moves step by step.

    Args:
        cells: at the start.
        kinds: of cells.
        side_um: of the torus.
        rng: draws noise, reversals and daughters.
        alignment: factor on the kinds' rates of turning along neighbours.

    Attributes:
        speed: (n,) micrometres a minute by which cells moved in the last step, 0 of new ones.
    """

    def __init__(
        self,
        cells: Cells,
        kinds: Sequence[Kind],
        side_um: float,
        rng: np.random.Generator,
        alignment: float = 1.0,
    ) -> None:
        self.cells, self.kinds, self.side_um = cells, tuple(kinds), side_um
        self._rng, self._alignment = rng, alignment
        self.speed = np.zeros(len(cells))
        self._next = int(cells.number.max(initial=-1)) + 1

    @property
    def shapes(self) -> Shapes:
        """Of the cells now."""
        return shapes_of(self.cells, self.kinds)

    def step(self, minutes: float, *, grow: bool = True) -> None:
        """Move for some minutes; without growth cells keep their age."""
        cells = self.cells
        dy, dx, turn = self._pushed(minutes)
        speed, reversals, turning = (self._of(name) for name in ("speed", "reversals", "turning"))
        awake = _spread(cells, self._of("cycle_h"))
        crawl = cells.ahead * speed * awake * minutes
        noise = self._rng.standard_normal(len(cells))
        dy, dx = dy + crawl * np.sin(cells.angle), dx + crawl * np.cos(cells.angle)
        cells.y, cells.x = (cells.y + dy) % self.side_um, (cells.x + dx) % self.side_um
        self.speed = np.hypot(dy, dx) / minutes
        cells.angle = (cells.angle + turn + noise * np.sqrt(2 * turning * minutes)) % (2 * np.pi)
        turned = self._rng.random(len(cells)) < 1 - np.exp(-reversals * minutes)
        cells.ahead = np.where(turned, -cells.ahead, cells.ahead)
        if grow:
            cells.age = cells.age + minutes / 60 / self._of("cycle_h")
            cells.born = cells.born + minutes
            self._divide()

    def pass_time(self, minutes: float, longest: float) -> None:
        """Move for some minutes in steps that are not longer than `longest`."""
        steps = max(1, int(np.ceil(minutes / longest)))
        for _ in range(steps):
            self.step(minutes / steps)

    def _of(self, name: str) -> np.ndarray:
        return _each(self.kinds, self.cells, name)

    def _pushed(self, minutes: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n,) each: how far neighbours move and turn every cell."""
        from scipy.spatial import cKDTree

        cells, shapes = self.cells, self.shapes
        owner, along, radius = _beads(cells, shapes, self.kinds)
        arm_y, arm_x = along * np.sin(cells.angle[owner]), along * np.cos(cells.angle[owner])
        place = np.stack([cells.y[owner] + arm_y, cells.x[owner] + arm_x], axis=1) % self.side_um
        tree = cKDTree(place, boxsize=self.side_um)
        reach = TOUCH * 2 * float(radius.max(initial=0.0))
        pairs = tree.query_pairs(reach, output_type="ndarray")
        one, other = pairs[:, 0], pairs[:, 1]
        apart = owner[one] != owner[other]
        one, other = one[apart], other[apart]
        gap = place[one] - place[other]
        gap -= self.side_um * np.rint(gap / self.side_um)
        distance = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-6)
        contact = radius[one] + radius[other]
        near = distance < TOUCH * contact
        one, other, gap, distance, contact = (
            some[near] for some in (one, other, gap, distance, contact)
        )
        give = np.clip(GIVE * minutes, 0, 0.5) * np.clip(contact - distance, 0, None) / distance
        push = give[:, None] * gap
        moved = np.stack(
            [
                np.bincount(one, push[:, axis], len(owner))
                - np.bincount(other, push[:, axis], len(owner))
                for axis in (0, 1)
            ]
        )
        count = np.bincount(owner, minlength=len(cells))
        dy, dx = (np.bincount(owner, some, len(cells)) / count for some in moved)
        torque = np.bincount(owner, arm_x * moved[0] - arm_y * moved[1], len(cells))
        inertia = np.bincount(owner, arm_x**2 + arm_y**2, len(cells))
        turn = torque / np.maximum(inertia, 1e-9)
        return dy, dx, np.clip(turn, -0.3, 0.3) + self._aligned(owner[one], owner[other], minutes)

    def _aligned(self, one: np.ndarray, other: np.ndarray, minutes: float) -> np.ndarray:
        """(n,) turn along the neighbours that cells touch, those of each contact alike."""
        cells = self.cells
        difference = np.sin(2 * (cells.angle[other] - cells.angle[one]))
        total = np.bincount(one, difference, len(cells)) - np.bincount(
            other, difference, len(cells)
        )
        contacts = np.bincount(one, minlength=len(cells)) + np.bincount(other, minlength=len(cells))
        rate = self._alignment * self._of("alignment") * minutes
        return np.asarray(rate * total / np.maximum(contacts, 1))

    def _divide(self) -> None:
        """Cells at the end of their cycle become two, side by side along the old axis."""
        cells = self.cells
        ripe = cells.age >= 1
        if not ripe.any():
            return
        count = int(ripe.sum())
        radius = shapes_of(cells, self.kinds).half_width[ripe]
        mothers = cells.take(np.flatnonzero(ripe))
        daughters = []
        for side in (-1.0, 1.0):
            one = mothers.take(np.arange(count))
            one.number = self._next + np.arange(count)
            self._next += count
            one.parent = mothers.number
            one.y = (mothers.y + side * 0.8 * radius * np.sin(mothers.angle)) % self.side_um
            one.x = (mothers.x + side * 0.8 * radius * np.cos(mothers.angle)) % self.side_um
            one.angle = mothers.angle + 0.3 * self._rng.standard_normal(count)
            one.ahead = np.full(count, side)
            one.age, one.born = np.zeros(count), np.zeros(count)
            one.seed = self._rng.integers(0, 2**31, count)
            daughters.append(one)
        self.speed = np.concatenate([self.speed[~ripe], np.zeros(2 * count)])
        self.cells = cells.take(np.flatnonzero(~ripe)).joined(daughters[0]).joined(daughters[1])


def _beads(
    cells: Cells, shapes: Shapes, kinds: Sequence[Kind]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beads of all cells: owner, place along the axis and radius in micrometres."""
    rows = [
        np.linspace(-ENDS, ENDS, one.beads) if one.beads > 2 else np.array([-0.4, 0.4])
        for one in kinds
    ]
    owner = np.repeat(np.arange(len(cells)), np.array([len(row) for row in rows])[cells.kind])
    u = np.concatenate([rows[kind] for kind in cells.kind]) if len(cells) else np.zeros(0)
    taper = np.array([one.taper for one in kinds])[cells.kind[owner]]
    radius = BODY * shapes.half_width[owner] * (1 - u**2) ** taper
    return owner, u * shapes.half_length[owner], radius
