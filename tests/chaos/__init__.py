"""Kills of a small project at random moments: it must end as one that nobody disturbed.

`make chaos` runs it with 100 kills (`KILLS=10 SEED=1` for others).
"""
