"""What each measure of an explanation means, in a sentence."""

from __future__ import annotations

from unstained.config.explain import ExplainParams
from unstained.explain.results import Explained
from unstained.report.numbers import percent
from unstained.report.page import Definitions, Section
from unstained.report.prose import Prose

PROSE = Prose(__name__)


def meanings_section(found: Explained, params: ExplainParams) -> Section:
    """The section; numbers in it are the parameters' own."""
    inside = f"{params.pointing_tolerance_px:g} pixels"
    items = (
        (
            "map",
            PROSE("meaning_map", number=found.asked.number),
        ),
        (
            "insertion",
            PROSE("meaning_insertion", number=found.asked.number),
        ),
        (
            "deletion",
            PROSE("meaning_deletion"),
        ),
        (
            "lift",
            PROSE("meaning_lift"),
        ),
        (
            "pointing game",
            PROSE("meaning_pointing", inside=inside),
        ),
        (
            "randomisation",
            PROSE("meaning_randomisation"),
        ),
        (
            "stability",
            PROSE("meaning_stability"),
        ),
        (
            "controls",
            PROSE("meaning_controls"),
        ),
        (
            "intervals",
            f"{percent(found.confidence)}, from resampling whole groups, not cells.",
        ),
    )
    lead = "Every measure in a sentence."
    return Section("meaning", "What is measured", "Measures", lead, (Definitions(items),))
