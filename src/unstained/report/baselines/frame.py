"""What the comparison's page has in common for studies with and without classes."""

from __future__ import annotations

from collections.abc import Sequence

from unstained.config.study import StudyData
from unstained.report.page import Page, Section


def comparison_page(data: StudyData, sections: Sequence[Section | None], simulated: bool) -> Page:
    """The page of all models.

    Args:
        data: the study.
        sections: in reading order; None where there is nothing to say.
        simulated: whether the simulator made the cells.
    """
    return Page(
        title=f"{data.title}: every model",
        question=data.question,
        kicker="unstained · comparison of models",
        verdict=None,
        sections=tuple(section for section in sections if section),
        simulated=simulated,
        footer="For research use only. Not a medical device.",
    )
