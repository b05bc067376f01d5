"""Parameters of metrics, intervals and controls."""

from __future__ import annotations

from unstained.config.base import Count, Fraction, Params


class EvaluateParams(Params):
    """Metrics, intervals, controls, calibration."""

    bootstrap: Count
    confidence: Fraction
    ece_bins: Count
    conformal_alpha: Fraction
