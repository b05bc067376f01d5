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
