"""What simulated slides are before any pixel: names, fields of view, lamps, focus and staining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.config.simulate import SlidesParams
from unstained.simulate.blood.cells import KINDS, BloodCell, draw_cell
from unstained.simulate.blood.markers import FULL
from unstained.simulate.streams import stream

SHARES: Final = {"lymphocyte": 0.33, "granulocyte": 0.45, "monocyte": 0.22}
"""Of the white cells; monocytes are rarer in blood, and were enriched."""
LAMP_SPREAD: Final = 0.08
BATCH_LAMP: Final = 0.12
"""Standard deviation of the logarithm of a slide's lamp, and what the second batch adds."""
STAINING_SPREAD: Final = 0.06
BATCH_STAINING: Final = 0.15
"""The same of a slide's staining, marker by marker."""
SHADING_SPREAD: Final = 0.04
"""Of each coefficient of the light's fall over a field of view, a half-annulus each."""
FOCUS_SPREAD_UM: Final = 0.5
STEP_UM: Final = 320.0
"""From one field of view to the next."""
FIELD_PX: Final = 2000
ACROSS: Final = 5
"""Fields of view in a row."""


@dataclass(frozen=True)
class Slide:
    """One slide.

    Attributes:
        name: path of its cells, e.g. 'antibodies_all/batch_0/slide_replicate_0'.
        antibodies, batch, replicate: that its name is made of.
        first: global_index of its first cell.
        kinds: (n,) of its cells.
        field: (n,) number of the field of view that each cell lies in, ascending.
        position: (n, 2) y, x in pixels of the field.
        centre_um: (fields, 2) x, y of the fields' middles on the slide.
        focus_um: (fields,) distance of the focal plane behind the cells.
        lamp: relative to the standard.
        shading: (4, 5) coefficients of the light's fall over a field of view, a side each.
        staining: marker -> what the slide adds to the logarithm of its intensity.
    """

    name: str
    antibodies: str
    batch: int
    replicate: int
    first: int
    kinds: tuple[str, ...]
    field: np.ndarray
    position: np.ndarray
    centre_um: np.ndarray
    focus_um: np.ndarray
    lamp: float
    shading: np.ndarray
    staining: dict[str, float]

    @property
    def cells(self) -> int:
        """How many."""
        return len(self.kinds)

    def draw(self, at: Sequence[int], difficulty: float, seed: int) -> list[BloodCell]:
        """Some of its cells."""
        return [
            draw_cell(self.kinds[i], difficulty, stream(seed, self.name, "shape", int(i)))
            for i in at
        ]


def plan_slides(params: SlidesParams, seed: int) -> tuple[Slide, ...]:
    """All slides, in order of name."""
    wanted = [
        ("all", batch, replicate, params.fields)
        for batch, count in enumerate(params.slides)
        for replicate in range(count)
    ]
    wanted += [
        (name, batch, 0, params.single_fields)
        for name in params.single_antibodies
        for batch in range(len(params.slides))
    ]
    found: list[Slide] = []
    for antibodies, batch, replicate, fields in sorted(wanted):
        first = found[-1].first + found[-1].cells if found else 0
        found.append(_slide(antibodies, batch, replicate, fields, first, params, seed))
    return tuple(found)


def _slide(
    antibodies: str,
    batch: int,
    replicate: int,
    fields: int,
    first: int,
    params: SlidesParams,
    seed: int,
) -> Slide:
    name = f"antibodies_{antibodies}/batch_{batch}/slide_replicate_{replicate}"
    generator = stream(seed, name, "acquisition")
    count = fields * params.cells_per_field
    red = params.erythrocytes
    shares = [(1 - red) * SHARES.get(kind, 0.0) or red for kind in KINDS]
    kinds = generator.choice(len(KINDS), size=count, p=shares)
    y, x = np.divmod(np.arange(fields), ACROSS)
    corner = generator.uniform(-8000, 8000, 2).round(1)
    lamp = LAMP_SPREAD * generator.standard_normal() + BATCH_LAMP * batch
    staining = STAINING_SPREAD * generator.standard_normal(len(FULL)) + BATCH_STAINING * batch
    return Slide(
        name=name,
        antibodies=antibodies,
        batch=batch,
        replicate=replicate,
        first=first,
        kinds=tuple(KINDS[k] for k in kinds),
        field=np.repeat(np.arange(fields), params.cells_per_field),
        position=generator.integers(70, FIELD_PX - 70, (count, 2)),
        centre_um=corner + STEP_UM * np.stack([x, y], axis=1),
        focus_um=FOCUS_SPREAD_UM * generator.standard_normal(fields),
        lamp=float(np.exp(lamp)),
        shading=SHADING_SPREAD * generator.standard_normal((4, 5)),
        staining=dict(zip(FULL, staining.tolist(), strict=True)),
    )
