"""Hand-made leaderboards."""

from __future__ import annotations

from typing import Any, cast

from unstained.registry.standings import Entry, Leaderboard, Test


def entry(**changes: Any) -> Entry:
    """An entry that passes every limit."""
    values: dict[str, Any] = {
        "version": 1,
        "model": "m",
        "recipe": "demo",
        "aliases": [],
        "new": False,
        "rescored": False,
        "git_commit": "abc",
        "artifact_digest": "f" * 64,
        "value": 0.8,
        "low": 0.75,
        "high": 0.85,
        "validation": 0.8,
        "ece": 0.02,
        "recalls": {"a": 0.9, "b": 0.7},
        "over_mean": None,
        "tasks": {
            "blob": {"macro_f1": 0.8, "balanced_accuracy": 0.81, "accuracy": 0.82},
            "DNA": {"r2": 0.8, "r": 0.9, "mae": 0.5},
        },
        "parity_passed": True,
        "latency_ms": 4.0,
        "versus_leader": None,
        "versus_champion": None,
    }
    values |= changes
    known = [value for value in values["recalls"].values() if value is not None]
    return cast("Entry", values | {"min_class_recall": min(known, default=None)})


def paired(first: int, second: int, difference: float, p: float = 0.5, **changes: Any) -> Test:
    """A test of two versions."""
    values: dict[str, Any] = {
        "first": first,
        "second": second,
        "difference": difference,
        "low": difference - 0.04,
        "high": difference + 0.04,
        "p": p,
        "p_floor": 0.001,
        "p_mcnemar": p,
        "n_discordant": 20,
        "n_groups": 12,
        "caveat": "",
    }
    return cast("Test", values | changes)


def leaderboard(*entries: dict[str, Any], **changes: Any) -> Leaderboard:
    """A table of the given entries, best first by `value`."""
    sign = -1 if changes.get("higher_is_better", True) else 1
    rows = sorted((entry(**e) for e in entries), key=lambda e: sign * e["value"])
    values: dict[str, Any] = {
        "study": "toy",
        "name": "unstained-toy",
        "task": "blob",
        "metric": "macro_f1",
        "metric_words": "macro F1",
        "higher_is_better": True,
        "alpha": 0.05,
        "confidence": 0.95,
        "correction": "holm",
        "simulated": False,
        "data_digest": "d" * 64,
        "split_digest": "5" * 64,
        "test_cells": 120,
        "test_groups": 6,
        "replicates": 0,
        "leader": rows[0]["version"],
        "champion": None,
        "entries": rows,
        "tests": [],
        "not_comparable": [],
    }
    return cast("Leaderboard", values | changes)
