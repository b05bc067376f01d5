"""Metrics, intervals, paired tests, folds: arrays in, numbers out."""
