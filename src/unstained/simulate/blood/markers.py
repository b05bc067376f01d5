"""How much of its surface markers a cell shows, and the gates that classes are drawn by.

Markers are log-normal: a kind's own level, what the cell's shape explains, a stain shared by all
markers of a cell, and noise. The instrument sees four spectra, so CD3, CD19 and CD56 come as one
number, and CD123, HLA-DR and CD14 as another. A slide's staining moves each marker of all its
cells; unmixing adds noise that does not shrink with the signal, and never gives less than 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from unstained.simulate.blood.cells import TRAITS, BloodCell

FULL: Final = {
    "CD14": "CD123/HLA-DR/CD14_full_model_unmixed",
    "CD3": "CD3/CD19/CD56_full_model_unmixed",
    "CD45": "CD45_full_model_unmixed",
    "CD16": "CD16_full_model_unmixed",
}
"""Marker -> column of the model that unmixes all antibodies."""
SPECTRUM: Final = {
    "CD45": "CD45", "CD123": "CD14", "CD19": "CD3", "CD56": "CD3", "CD14": "CD14", "CD16": "CD16",
    "HLA-DR": "CD14", "CD3": "CD3",
}  # fmt: skip
"""Antibody -> marker that it is simulated by."""
SINGLE: Final = {name: f"{name}_single_antibody_model_unmixed" for name in SPECTRUM}
"""Antibody -> column of the model that unmixes it alone."""

LEVELS: Final[Mapping[str, Mapping[str, float]]] = {
    "lymphocyte": {"CD14": 4.5, "CD3": 7.1, "CD45": 7.2, "CD16": 4.7},
    "granulocyte": {"CD14": 4.9, "CD3": 4.6, "CD45": 6.0, "CD16": 7.6},
    "monocyte": {"CD14": 7.0, "CD3": 4.7, "CD45": 7.3, "CD16": 5.4},
    "erythrocyte": {"CD14": 3.6, "CD3": 3.5, "CD45": 3.6, "CD16": 3.7},
}
"""Natural logarithm of a kind's intensity."""
FOLLOWS: Final[Mapping[str, tuple[float, ...]]] = {
    "CD14": (0.6, 0.0, 0.0, 0.0, 0.8),
    "CD3": (0.0, 0.9, 0.0, -0.4, 0.0),
    "CD45": (0.5, 0.6, -0.3, 0.0, 0.4),
    "CD16": (0.0, -0.2, 0.7, 0.7, 0.0),
}
"""Traits that a marker follows within a kind, in the order of TRAITS."""
SPREAD: Final = 0.36
EXPLAINED: Final = 0.5
SHARED: Final = 0.2
"""Standard deviation of a marker's logarithm within a kind, and the parts of its variance that
shape and the cell's shared stain explain."""
UNMIXING: Final = 12.0
MISSED: Final = 2.054
"""What a standard normal number exceeds in 2 of 100 cells: unmixing failed, no marker is known."""

HIGH_CD3, HIGH_CD16, MID_CD16, SOME_CD16 = 5.9, 6.5, 5.9, 4.2
HIGH_CD45, MID_CD45, LOMID_CD45, LOW_CD45 = 6.75, 6.1, 5.8, 5.0
LOW_CD16 = 5.0
"""Bounds of the gates, in natural logarithms."""


def intensities(cell: BloodCell, staining: Mapping[str, float]) -> dict[str, float]:
    """Marker -> what unmixing gives, 0 or more.

    Args:
        cell: drawn.
        staining: marker -> what its slide adds to the logarithm.
    """
    shared, *noise = cell.staining[:5].tolist()
    found = {}
    for at, marker in enumerate(FULL):
        weights = np.array(FOLLOWS[marker])
        follow = float(weights @ cell.traits[: len(TRAITS)] / np.linalg.norm(weights))
        rest = np.sqrt(1 - EXPLAINED - SHARED) * noise[at]
        spread = np.sqrt(EXPLAINED) * follow + np.sqrt(SHARED) * shared + rest
        logarithm = LEVELS[cell.kind][marker] + SPREAD * spread + staining[marker]
        unmixed = np.exp(logarithm) + UNMIXING * cell.staining[5] * (1 - 0.3 * at)
        found[marker] = float(max(unmixed, 0.0))
    return found


def is_unmixed(cell: BloodCell) -> bool:
    """Whether any marker of the cell is known."""
    return bool(cell.staining[6] < MISSED)


def gate_of(found: Mapping[str, float]) -> str | None:
    """Name of the gate that a cell of these intensities lies in, without 'selection_gated_'."""
    log = {marker: float(np.log(max(value, 1.0))) for marker, value in found.items()}
    cd3, cd16, cd45 = log["CD3"], log["CD16"], log["CD45"]
    if cd45 < LOW_CD45:
        return "CD16_lo_CD45_lo" if cd16 < LOW_CD16 else None
    if cd3 > HIGH_CD3:
        return "CD3_hi_CD_16_lo" if cd16 < MID_CD16 else None
    if cd16 < SOME_CD16:
        return "CD16_none_CD45_mid_and_hi" if cd45 > MID_CD45 else None
    if cd45 > HIGH_CD45:
        depth = "hi" if cd16 > HIGH_CD16 else "mid" if cd16 > MID_CD16 else "lo"
        return f"CD45_hi_CD_16_{depth}"
    if cd16 > HIGH_CD16:
        depth = "mid" if cd45 > MID_CD45 else "lomid" if cd45 > LOMID_CD45 else "lo"
        return f"CD16_hi_CD45_{depth}"
    return "CD45_mid_CD_16_mid" if cd16 > MID_CD16 and cd45 > MID_CD45 else None
