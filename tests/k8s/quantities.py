"""Kubernetes' quantities."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
FACTORS = {"": Decimal(1), "m": Decimal("0.001")}
FACTORS |= {s: Decimal(1000) ** n for n, s in enumerate("kMGTPE", 1)}
FACTORS |= {f"{s}i": Decimal(1024) ** n for n, s in enumerate("KMGTPE", 1)}


def quantity(text: Any) -> Decimal | None:
    """A Kubernetes quantity as a number; None where it is none."""
    match = QUANTITY.fullmatch(str(text))
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2] or ""
    return number * (FACTORS[unit] if unit in FACTORS else Decimal(f"1{unit}"))
