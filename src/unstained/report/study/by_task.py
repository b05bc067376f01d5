"""What a study's report says of tasks of any kind: scores, what is missing, and the answer.

A study whose primary task is its first classes task has chapters of its own (`chapters`); others
are judged here, by the metric that chooses between their models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams, ProportionParams, TaskParams
from unstained.data.audit.probes import in_words
from unstained.evaluation.beside_controls import yardstick
from unstained.evaluation.controls import is_shortcut, what_it_sees
from unstained.evaluation.informed import KINDS as INFORMED
from unstained.evaluation.results import ControlResult, Evaluation, primary_metric
from unstained.evaluation.scores import Scores
from unstained.report.numbers import (
    CONTROL_WORDS,
    against_control,
    better,
    decimal,
    explained_by,
    number,
)
from unstained.report.page import Cell, Section, Table, Tile, Tone, Verdict
from unstained.report.prose import Prose
from unstained.report.words import better_sentence, share_sentence
from unstained.statistics.intervals import Estimate
from unstained.statistics.metric import Metric
from unstained.tasks.study import Tasks, task_of
from unstained.wording import counted

PROSE = Prose(__name__)

KINDS: Final = {"classes": "classes", "value": "a value", "proportion": "shares of a whole"}

PARTS: Final = {
    "train": "Training",
    "val": "Validation",
    "test": "Test",
    "between": "Between parts, not used",
    "external": "External test",
    "unlearnt": "Kinds never learnt",
}


def judged_by_classes(data: StudyData) -> bool:
    """Whether the primary task is the study's first classes task."""
    first = next((task for task in data.tasks if isinstance(task, ClassesParams)), None)
    return data.primary_task == first


def task_verdict(evaluation: Evaluation) -> Verdict:
    """The answer where the primary task is not the first classes task."""
    data, best = evaluation.data, evaluation.best
    _, metric = primary_metric(data)
    value = best.test.scores.tasks[data.primary_task.name].metrics[metric.name]
    guess = against_control(evaluation, evaluation.control("majority"))
    told = better(guess)
    shortcut = strongest_shortcut(evaluation)
    beaten = better(against_control(evaluation, shortcut))
    reached = f"{metric.words} {estimate_words(value)}"
    what = what_is_asked(data.primary_task)
    tone: Tone = "bad"
    if told != "shown":
        start = "No" if told == "ruled out" else "Not shown"
        answer = PROSE("task_guessing", start=start, what=what, reached=reached)
    elif beaten != "shown":
        start = "No" if beaten == "ruled out" else "Not shown"
        words = in_words(CONTROL_WORDS, shortcut.name)
        answer = PROSE("task_control", start=start, words=words, reached=reached)
    else:
        tone = "caution"
        answer = PROSE("task_shown", what=what, reached=reached)
    groups = evaluation.resampled["test"].groups
    known = best.test.scores.tasks[data.primary_task.name].known
    tested = PROSE(
        "task_tested",
        name=best.name,
        known=f"{known:,}",
        groups=data.counted_groups(groups),
    )
    beside = control_sentence(evaluation, shortcut)
    tiles = (
        Tile(metric.words, decimal(value.value), f"{best.name}; {estimate_words(value)}"),
        Tile(
            "Cells with known truth",
            f"{known:,}",
            f"of {counted(best.test.scores.cells, 'test cell')}",
        ),
    )
    return Verdict(tone, answer, (tested, beside), tiles)


def what_is_asked(task: TaskParams) -> str:
    """'size' or 'the shares of large and small', in a sentence."""
    if isinstance(task, ProportionParams):
        return f"the shares of {' and '.join(task.parts)}"
    return task.name


def estimate_words(found: Estimate) -> str:
    """'0.81 (0.75 to 0.86)'."""
    bounds = f" ({decimal(found.low)} to {decimal(found.high)})"
    return decimal(found.value) + ("" if found.low != found.low else bounds)


def strongest_shortcut(evaluation: Evaluation) -> ControlResult:
    """The control without morphology that the best model gains least over."""
    names = [control for control in evaluation.main_controls if is_shortcut(control.name)]
    return min(names, key=lambda control: against_control(evaluation, control).difference)


def control_sentence(evaluation: Evaluation, control: ControlResult) -> str:
    """What the best model gains over a control, and what the control explains."""
    words = in_words(CONTROL_WORDS, control.name)
    gain = against_control(evaluation, control)
    measure = yardstick(evaluation.data)
    said = better_sentence(gain, evaluation.best.name, words, evaluation.group_word, measure)
    return f"{said} {share_sentence(explained_by(evaluation, control), words)}"


def tasks_section(evaluation: Evaluation) -> Section | None:
    """All metrics of every task; None where the chapters on classes and values say it all."""
    data = evaluation.data
    plain = judged_by_classes(data) and len([t for t in data.tasks if t.kind == "classes"]) == 1
    if plain and not any(task.kind == "proportion" for task in data.tasks):
        return None
    tables = tuple(_task_table(evaluation, task) for task in data.tasks)
    return Section(
        "tasks",
        "What was asked, task by task",
        "Tasks",
        PROSE("tasks_lead", words=primary_metric(data)[1].words, name=data.primary_task.name),
        tables,
    )


def _task_table(evaluation: Evaluation, task: TaskParams) -> Table:
    asked = task_of(task)
    metrics = [asked.metric(name) for name in asked.metrics]
    best = evaluation.best
    rows = [
        (Cell(m.name, f"{m.parameters:,} parameters", strong=m is best), *_row(m.test.scores, task))
        for m in evaluation.models
    ]
    rows += [
        (
            Cell(f"{control.name} control", what_it_sees(control.name)),
            *_row(control.scores, task),
        )
        for control in evaluation.main_controls
    ]
    told = {name: by for name, by in evaluation.informed.items() if task.name in by}
    rows += [
        (Cell(name, what), *(number(told[name][task.name].metrics[m.name]) for m in metrics))
        for name, what in INFORMED.items()
        if name in told
    ]
    unit = getattr(task, "unit", "")
    known = best.test.scores.tasks[task.name].known
    return Table(
        f"{task.name}: {KINDS[task.kind]}, on {counted(known, 'test cell')}",
        ("", *(_heading(metric) for metric in metrics)),
        tuple(rows),
        f"Below each number its interval over {evaluation.group_word}."
        + (f" Values are in {unit}." if unit else "")
        + (f" {PROSE('informed_note')}" if told else ""),
        separators=(len(evaluation.models), len(rows) - len(told)),
    )


def _heading(metric: Metric) -> str:
    return metric.words + ("" if metric.higher else " (less is better)")


def _row(scores: Scores, task: TaskParams) -> Iterator[Cell]:
    for name in task_of(task).metrics:
        yield number(scores.tasks[task.name].metrics[name])


def missing_table(evaluation: Evaluation) -> Table:
    """How many truths are not known, by task and part."""
    parts = [part for part in PARTS if part in evaluation.population]
    rows = []
    for task in Tasks.of(evaluation.data.tasks).all:
        missing = evaluation.missing.get(task.name, {})
        counts = (Cell(f"{missing[part]:,}" if part in missing else "0") for part in parts)
        rows.append((Cell(task.name, KINDS[task.params.kind]), *counts))
    return Table(
        "Truths that are not known, in cells",
        ("", *(PARTS[part] for part in parts)),
        tuple(rows),
        PROSE("missing_note"),
    )
