"""Measured explanations as plain data frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from unstained.explain.measure import ORDERED
from unstained.explain.results import Explained
from unstained.statistics.intervals import Estimate

COLUMNS = ("model", "measure", "control", "value", "low", "high", "cells")

CASCADE_COLUMNS = (
    "model",
    "depth",
    "down_to",
    "layers",
    "share",
    "spearman",
    "spearman_low",
    "spearman_high",
    "ssim",
    "ssim_low",
    "ssim_high",
    "cells",
)


def explanations_table(found: Explained) -> pd.DataFrame:
    """One row a model, measure and control.

    Columns: model, measure, control ('map' for the model's own map, else random, centre or
    intensity), value, low, high (interval over groups), cells that the mean is over. Measures:
    'measured' (1 or 0: whether the model's maps were measured), those of `measure.ORDERED`, each
    also as '<measure>_gain' (the map's advantage over the control, positive where the map is
    better), 'overlap' and 'correlation' (stability), 'cam_error' and 'cam_logit_error' (see
    `gradcam.Agreement`).
    """
    rows: list[tuple[object, ...]] = []
    for model, one in found.measured.items():
        rows.append((model, "measured", "map", 1.0, np.nan, np.nan, len(found.sample)))
        for measure, orders in one.scores.items():
            for order, values in orders.items():
                known = int((~np.isnan(values)).sum())
                rows.append((model, measure, order, *_numbers(found.mean(values)), known))
                if measure in ORDERED and order != "map":
                    gain = found.gain(model, measure, order)
                    both = int((~np.isnan(values - orders["map"])).sum())
                    rows.append((model, f"{measure}_gain", order, *_numbers(gain), both))
        if one.agreement is not None:
            for name, value in (
                ("cam_error", one.agreement.gradient),
                ("cam_logit_error", one.agreement.logit),
            ):
                rows.append((model, name, "map", value, np.nan, np.nan, len(found.sample)))
    rows += [(model, "measured", "map", 0.0, np.nan, np.nan, 0) for model in found.reasons]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def cascade_table(found: Explained) -> pd.DataFrame:
    """One row a model and depth of randomisation.

    Columns: model, depth (1 is the head alone), down_to (layer), layers, share (of all layers),
    spearman, ssim, each with _low and _high, cells (whose intact map has a pattern).
    """
    rows = []
    for model, one in found.measured.items():
        total = one.cascade[-1].layers
        for number, depth in enumerate(one.cascade, start=1):
            row: dict[str, object] = {
                "model": model,
                "depth": number,
                "down_to": depth.down_to,
                "layers": depth.layers,
                "share": depth.layers / total,
            }
            for name, values in (("spearman", depth.spearman), ("ssim", depth.ssim)):
                mean = found.mean(values)
                row |= {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
            row["cells"] = int((~np.isnan(depth.spearman)).sum())
            rows.append(row)
    return pd.DataFrame(rows, columns=list(CASCADE_COLUMNS))


def _numbers(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high
