"""How each head on measured features is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unstained.models.features.boosting import fit_boosting
from unstained.models.features.linear import fit_linear

FITTERS: Final[Mapping[str, Any]] = {
    "features_boosting": fit_boosting,
    "features_linear": fit_linear,
}
"""By architecture; each takes cells, tasks, parameters, seed, validation, patience, channels."""
