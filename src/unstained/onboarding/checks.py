"""What a trial shows, and questions on what would stop the run: bad files, small classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unstained.errors import SplitError
from unstained.onboarding.asking import Choice, Draft, Question, listed
from unstained.onboarding.grouping import outlook
from unstained.onboarding.layouts import Standards
from unstained.onboarding.options import Options
from unstained.onboarding.trial import Trial
from unstained.wording import counted


def check_trial(draft: Draft, trial: Trial, standards: Standards, options: Options) -> None:
    """Note what was read, and ask about what would stop the run."""
    if draft.counts is not None:
        unknown = max(0, trial.total - sum(draft.counts.values()))
        trial.counts = Counter()
        trial.counts.update(draft.counts)
        trial.counts[None] = unknown
    draft.decide(
        "cells", trial.total, f"in {counted(trial.acquisitions, 'acquisition')}; {_words(trial)}"
    )
    if trial.grouped:
        groups, labels = zip(*trial.grouped, strict=True)
        draft.decide("split", "grouped", _split(groups, labels, standards))
    if options.on_error is not None:
        draft.more["ingest"] = {"on_error": options.on_error}
        draft.decide("bad files", options.on_error, "asked for by --on-error")
    elif trial.refused:
        draft.questions.append(_bad_files(trial))
    small = [name for name, count in trial.labelled.items() if count < standards.min_cells]
    if small:
        leave_out = draft.data["reader"] in ("table", "bccd")
        draft.questions.append(_small_classes(trial, small, standards.min_cells, leave_out))
    if options.min_cells is not None:
        draft.more["validate"] = {"min_cells_per_class": options.min_cells}


def _split(groups: Sequence[str], labels: Sequence[str | None], standards: Standards) -> str:
    """What a grouped split would leave.

    Raises:
        SplitError: there is none.
    """
    found = outlook(groups, labels, standards.split, standards.seed)
    if found.problem:
        raise SplitError(
            f"no grouped split: {found.problem}",
            "add montages, or leave small classes out: move their folders out of the source",
        )
    return found.words


def _bad_files(trial: Trial) -> Question:
    shown = "; ".join(f"{one.source_file} {one.reason}" for one in trial.refused[:3])
    choices = (
        Choice("quarantine", "ingest lists them and goes on without these cells"),
        Choice("fail", "ingest stops at the first: correct them before"),
    )
    files = counted(len(trial.refused), "file")
    text = f"{files} cannot be used ({shown}). What is to happen with such?"
    return Question("--on-error", text, choices)


def _small_classes(trial: Trial, small: list[str], least: int, leave_out: bool) -> Question:
    """Leave them out, where a table can name the cells that stay; else ask for less."""
    if not leave_out:
        shown = listed([f"{name}: {trial.labelled[name]}" for name in small])
        text = (
            f"Validation asks for {least} cells of each class, and there are fewer ({shown}). Move "
            "their folders or files out of the source, or go on with so few?"
        )
        fewest = min(trial.labelled[name] for name in small)
        return Question("--min-cells", text, (Choice(str(max(1, fewest)), "the smallest class"),))
    choices = [Choice(name, f"{counted(trial.labelled[name], 'cell')} left out") for name in small]
    text = (
        f"Validation asks for {least} cells of each class. Which are left out? Or lower the limit: "
        "--min-cells N."
    )
    return Question("--without", text, tuple(choices), several=True)


def class_words(trial: Trial) -> str:
    """Cells of each class in a sentence."""
    return listed([f"{name} {count}" for name, count in trial.labelled.items()], 20)


def _words(trial: Trial) -> str:
    parts = [class_words(trial)] if trial.labelled else []
    if trial.labelled and trial.counts[None]:
        parts.append(f"{trial.counts[None]} without a class")
    if trial.external:
        parts.append(f"{trial.external} external beside them")
    return "; ".join(parts) or "no classes"
