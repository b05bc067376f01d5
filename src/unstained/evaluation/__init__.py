"""Metrics, intervals, paired statistics, calibration, conformal sets, controls and the report."""
