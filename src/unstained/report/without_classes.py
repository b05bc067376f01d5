"""What a page and its tables hold where they ask for classes and a study has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.study import StudyData
from unstained.files import write_text
from unstained.pipeline.contract import Job, Outputs, Report
from unstained.pipeline.provenance import provenance
from unstained.report.page import Finding, Findings, Page, Section, origin_section, render
from unstained.report.prose import Prose

if TYPE_CHECKING:
    from unstained.data.store.cell_store import CellStore

PROSE = Prose(__name__)


def without_classes(
    params: Params, data: StudyData, what: str, store: CellStore, outputs: Outputs, job: Job
) -> Report:
    """Write a page and tables that hold one sentence: why they say nothing else.

    Args:
        params: of the stage, for the facts on origin.
        data: the study.
        what: what the page is about, e.g. 'maps of evidence for a class'.
        store: the cells.
        outputs: files; those that end in .html become the page, others tables of one column.
        job: the run.
    """
    said = _sentence(data, what)
    finding = Finding("neutral", "No classes", said)
    section = Section("none", "Nothing to show", "Nothing to show", "", (Findings((finding,)),))
    page = Page(
        title=data.title,
        question=data.question,
        kicker=f"unstained · {what}",
        verdict=None,
        sections=(section, origin_section(provenance(params, store, job))),
        simulated=store.manifest["source"] == "simulator",
        footer="For research use only. Not a medical device.",
    )
    for path in outputs.values():
        html = path.suffix == ".html"
        write_text(path, render(page) if html else note_table(data, what))
    return Report({}, (said,))


def note_table(data: StudyData, what: str) -> str:
    """A table of one column and row, in place of one by class."""
    return f'note\n"{_sentence(data, what)}"\n'


def _sentence(data: StudyData, what: str) -> str:
    tasks = ", ".join(task.name for task in data.tasks)
    return PROSE("need_classes", what=f"{what[0].upper()}{what[1:]}", tasks=tasks)
