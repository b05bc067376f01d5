"""Linear quantile regression, solved exactly as a linear program."""

from __future__ import annotations

import numpy as np

from unstained.statistics.metrics import Floats


def fit_quantile(x: Floats, y: Floats, level: float) -> tuple[float, float]:
    """Intercept and slope of the line below which a fraction `level` of the points lies.

    The line has the least mean pinball loss (Koenker & Bassett 1978, Econometrica 46:33). Solved in
    the dual, maximise y'a over 0 <= a <= 1 with X'a = (1 - level) X'1, whose multipliers are the
    line: two constraints, however many points there are.

    Args:
        x: (N,) what the quantile depends on.
        y: (N,) what it is of.
        level: 0 to 1.

    Raises:
        ValueError: no points, or the program has no solution.
    """
    from scipy.optimize import linprog

    if not len(y):
        raise ValueError("no points to fit a quantile to")
    centre, scale = float(x.mean()), max(float(x.std()), np.finfo(np.float64).tiny)
    design = np.stack([np.ones(len(x)), (x - centre) / scale])
    found = linprog(
        -y, A_eq=design, b_eq=(1 - level) * design.sum(axis=1), bounds=(0, 1), method="highs"
    )
    if not found.success:
        raise ValueError(f"the quantile was not found: {found.message}")
    intercept, slope = (-float(value) for value in found.eqlin.marginals)
    return intercept - slope * centre / scale, slope / scale
