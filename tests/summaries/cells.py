"""Cells of which something was predicted, for tests of summaries."""

from __future__ import annotations

from unstained.summaries.facts import ClassFact, Facts, IntervalFact, ShareFact, ValueFact

CLASSES = ("lymphocyte", "granulocyte", "monocyte")
UNIT = "log intensity"
VALUES = (
    ValueFact("CD16", UNIT, 3.4012, 0.6123, IntervalFact(2.1987, 4.4518, 0.1)),
    ValueFact("CD45", UNIT, 5.1134, None),
    ValueFact("CD3_CD19_CD56", UNIT, -0.5214, 0.43, IntervalFact(-1.214, 0.0631, 0.1)),
    ValueFact("CD123_HLA-DR_CD14", UNIT, None, 0.8),
)


def cell(probabilities: tuple[float, ...], *members: str, simulated: bool = False) -> Facts:
    """A white cell with these probabilities, in the order of `CLASSES`, and this conformal set."""
    return Facts((ClassFact("", CLASSES, probabilities, members, 0.1),), VALUES, (), simulated)


DECIDED = cell((0.02, 0.93, 0.05), "granulocyte", simulated=True)
UNDECIDED = cell((0.07, 0.62, 0.31), "granulocyte", "monocyte")
EMPTY = cell((0.07, 0.62, 0.31))
OUTSIDE = cell((0.07, 0.62, 0.31), "monocyte")
SURE = cell((0.0004, 0.9991, 0.0005), "granulocyte")
BROKEN = cell(())
SHARES = Facts(shares=(ShareFact("mixture", ("smooth muscle", "other"), (0.403, 0.597)),))
TWO_TASKS = Facts(
    (
        ClassFact("phase", ("G1", "S", "G2", "M"), (0.7, 0.2, 0.06, 0.04), ("G1", "S"), 0.1),
        ClassFact("state", ("CD4+ T (naïve)", "a"), (0.97, 0.03), ("CD4+ T (naïve)",), 0.05),
    ),
    (ValueFact("DNA", "integrated counts", 41234.6, None),),
)
CELLS = {
    "decided": DECIDED,
    "undecided": UNDECIDED,
    "empty": EMPTY,
    "outside": OUTSIDE,
    "sure": SURE,
    "broken": BROKEN,
    "shares": SHARES,
    "two tasks": TWO_TASKS,
}
