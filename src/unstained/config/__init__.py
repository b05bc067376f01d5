"""Typed parameters: params.yaml composed and parsed into frozen models, unknown keys refused.

Science comes only from params.yaml (or `dvc exp run -S`); deployment facts (addresses,
credentials) come only from the environment. Each fact stands there once, see `compose`.
"""
