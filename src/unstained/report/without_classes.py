"""What a page and its tables hold where they ask for classes and a study has none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unstained.config.study import StudyData
from unstained.files import write_text
from unstained.report.page import Finding, Findings, Page, Section, origin_section, render


def write_without_classes(
    outputs: Mapping[str, Path],
    data: StudyData,
    what: str,
    *,
    simulated: bool,
    provenance: tuple[tuple[str, str], ...],
) -> str:
    """Write a page and tables that hold one sentence: why they say nothing else.

    Args:
        outputs: files; those that end in .html become the page, others tables of one column.
        data: the study.
        what: what the page is about, e.g. 'maps of evidence for a class'.
        simulated: whether the cells come from the simulator.
        provenance: facts on origin, in reading order.

    Returns:
        The sentence.
    """
    asked = ", ".join(task.name for task in data.tasks)
    sentence = (
        f"{what[0].upper()}{what[1:]} need classes, and this study asks for none ({asked}): its "
        "models are judged in the study's report and on the leaderboard."
    )
    section = Section(
        "none", "Nothing to show", "Nothing to show", "", (Findings((_finding(sentence),)),)
    )
    page = Page(
        title=data.title,
        question=data.question,
        kicker=f"unstained · {what}",
        verdict=None,
        sections=(section, origin_section(provenance)),
        simulated=simulated,
        footer="For research use only. Not a medical device.",
    )
    for path in outputs.values():
        write_text(path, render(page) if path.suffix == ".html" else f'note\n"{sentence}"\n')
    return sentence


def _finding(sentence: str) -> Finding:
    return Finding("neutral", "No classes", sentence)
