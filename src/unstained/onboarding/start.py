"""`unstained init`: look, decide, ask, and only when nothing is uncertain, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unstained.config.base import parse
from unstained.config.document import parse_document
from unstained.config.project import ProjectParams, load_params
from unstained.config.split import SplitParams
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.errors import ParameterError
from unstained.files import whole_file, write_text
from unstained.onboarding import recipe
from unstained.onboarding.asking import Draft, listed
from unstained.onboarding.checks import check_trial
from unstained.onboarding.drafting import draft_study
from unstained.onboarding.layouts import Standards
from unstained.onboarding.narration import questions_text
from unstained.onboarding.options import Options
from unstained.onboarding.section import check_name, render, with_active, with_section
from unstained.onboarding.sheet import COLUMNS, contact_sheet
from unstained.onboarding.tables import write_table
from unstained.onboarding.tree import spread
from unstained.onboarding.trial import Trial, read_some
from unstained.temporary import temporary_folder

TABLES: Final = "tables"
"""Folder in the project for tables that `init` writes."""


@dataclass(frozen=True)
class Started:
    """A study that was set up.

    Attributes:
        draft: decisions, with their reasons, and what could not be told.
        section: as it stands in params.yaml.
        sheet: the contact sheet.
        table: that was written, if one was.
        active: studies that `make repro` runs now.
        replaced: whether the study was there before.
    """

    draft: Draft
    section: str
    sheet: Path
    table: Path | None
    active: tuple[str, ...]
    replaced: bool


def start_study(root: Path, study: str, path: str, options: Options) -> Started:
    """Set a study up.

    Args:
        root: the project's directory.
        study: its name.
        path: folder of the images, or a table in it.
        options: the user's answers.

    Raises:
        ParameterError: something is uncertain (the message lists the choices, nothing is written),
            the study is there already, or an answer is impossible.
        SourceError: the folder or the table is none, or holds nothing that is read.
    """
    check_name(study)
    project = load_params(root / "params.yaml")
    _refuse_another(project, study, path, options)
    standards = _standards(project, options)
    draft = draft_study(path, options, standards).draft
    _require_answers(draft, study, path, options)
    _entitle(draft, study, options)
    trial = _tried(draft, options)
    check_trial(draft, trial, standards, options)
    _require_answers(draft, study, path, options)
    trained = round(trial.total * standards.split.fractions[0])
    recipe.settle(draft, trial.sizes, trained, options.canvas)
    table = root / TABLES / f"{study}.csv" if draft.table is not None else None
    if table is not None:
        draft.data[_listing(draft)] |= {"file": str(table)}
    return _write(root, project, study, draft, trial, table)


def _refuse_another(project: ProjectParams, study: str, path: str, options: Options) -> None:
    if study in project.studies and not options.force:
        again = options.command(study, path, (), force=True)
        raise ParameterError(
            f"params.yaml has a study {study!r} already",
            f"choose another name, or replace its section: {again}",
        )


def _standards(project: ProjectParams, options: Options) -> Standards:
    content = project.composition.document.content
    least = options.min_cells or int(content["validate"]["min_cells_per_class"])
    split = parse(SplitParams, content["split"], "params.yaml: split")
    return Standards(split, int(content["common"]["seed"]), least)


def _require_answers(draft: Draft, study: str, path: str, options: Options) -> None:
    """Stop where something is to be asked.

    Raises:
        ParameterError: with the questions, their choices and the command to type.
    """
    if draft.questions:
        answers = [answer for one in draft.questions for answer in one.answers]
        raise ParameterError(
            questions_text(draft),
            "nothing was written; correct the answers in this command as you know them, and type "
            f"it:\n     {options.command(study, path, answers)}",
        )


def _entitle(draft: Draft, study: str, options: Options) -> None:
    *others, last = draft.data["tasks"]
    question = f"What is a cell's {last}?"
    if others:
        question = f"What are a cell's {listed(others)} and {last}?"
    draft.data["title"] = options.title or study.replace("-", " ").capitalize()
    draft.data["question"] = options.question or draft.data.get("question") or question
    if options.title is None or options.question is None:
        draft.untold.append(
            "Title and question of the report are placeholders: --title, --question, or edit them."
        )


def _listing(draft: Draft) -> str:
    """The key of `data` that names the table."""
    return "movies" if "movies" in draft.data else "table"


def _tried(draft: Draft, options: Options) -> Trial:
    """Read some cells by the section as it will be; a table still to be written lies elsewhere."""
    boxes = recipe.canvas(draft.sizes, boxes=True)[0] if draft.sizes else recipe.LARGEST
    side = options.canvas or boxes
    with temporary_folder() as folder:
        content: dict[str, Any] = {**draft.data, "canvas": side}
        if draft.table is not None:
            file = folder / "cells.csv"
            write_table(file, draft.table)
            listing = _listing(draft)
            content[listing] = {**content[listing], "file": str(file)}
        data = parse(StudyData, content, "the section")
        return read_some(open_reader(data, Path(draft.data["source"])))


def _write(
    root: Path,
    project: ProjectParams,
    study: str,
    draft: Draft,
    trial: Trial,
    table: Path | None,
) -> Started:
    """Write the section, the table and the contact sheet; params.yaml last, and only when valid."""
    params_file = root / "params.yaml"
    comment = f"by unstained init; {draft.decisions_of('pixels')}"
    section = render(study, draft.data, draft.more, comment)
    text = with_section(params_file.read_text(encoding="utf-8"), study, section)
    active = list(dict.fromkeys([*project.active, study]))
    text = with_active(text, active)
    changed = ProjectParams(parse_document(text, str(params_file)))
    data = changed.studies[study].data
    sheet = root / "state" / "init" / f"{study}.png"
    rows = {
        trial.heading(name): spread(cells, COLUMNS) for name, cells in sorted(trial.cells.items())
    }
    picture = contact_sheet(_heading(study, data), rows, data.axes, data.canvas, data.normalise)
    if table is not None and draft.table is not None:
        write_table(table, draft.table)
    with whole_file(sheet) as temporary:
        temporary.write_bytes(picture)
    write_text(params_file, text)
    return Started(draft, section, sheet, table, tuple(active), study in project.studies)


def _heading(study: str, data: StudyData) -> str:
    side = data.canvas * data.pixel_size_um
    return f"{study}: canvas {data.canvas} px = {side:.1f} um, {data.axes}"
