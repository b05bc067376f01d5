"""How often Python looks for garbage that refers to itself."""

from __future__ import annotations

import gc
from typing import Final

OBJECTS: Final = 50_000
"""New objects between two searches; Python's own choice is 700."""


def search_rarely() -> None:
    """Look for cyclic garbage rarely in this process: imports and exports make hardly any.

    Searches at Python's own pace take a sixth of the time in which a stage imports its libraries.
    """
    gc.set_threshold(OBJECTS, 20, 20)
