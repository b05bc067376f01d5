"""The stages of every study, in the order in which they run."""

STAGES = (
    "ingest",
    "validate",
    "split",
    "tune",
    "train",
    "evaluate",
    "export",
    "register",
    "compare",
    "promote",
)

OPERATIONS = ("monitor",)
"""Stages that look at what changes without them (the registry): not part of `dvc repro`."""

COMPANIONS = ("replicate", "enrol", "companions", "explain", "uncertainty")
"""Stages of companions/dvc.yaml: every model, fold and seed, and the tables made of them."""
