"""What `unstained init` says: decisions with reasons, questions with choices, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unstained.onboarding.asking import SHOWN, Draft, listed

if TYPE_CHECKING:
    from unstained.onboarding.start import Started


def questions_text(draft: Draft) -> str:
    """All questions with their choices, after what is decided already."""
    number = len(draft.questions)
    lines = ["one thing only you can tell" if number == 1 else f"{number} things only you can tell"]
    lines += [f"  known: {line}" for line in decision_lines(draft)]
    for question in draft.questions:
        lines.append(f"  {question.option}: {question.text}")
        shown = question.choices[:SHOWN]
        width = max(len(choice.value) for choice in shown)
        lines += [f"      {choice.value:{width}}  {choice.meaning}" for choice in shown]
        if len(question.choices) > SHOWN:
            lines.append(f"      and {len(question.choices) - SHOWN} more")
    return "\n".join(lines)


def decision_lines(draft: Draft) -> Iterator[str]:
    """A line a decision."""
    for one in draft.decisions:
        yield f"{one.what}: {one.value} ({one.reason})"


def outcome_text(study: str, started: Started) -> str:
    """What was decided, what files could not tell, what was written, and what comes next."""
    lines = ["Decided:", *(f"  {line}" for line in decision_lines(started.draft))]
    if started.draft.untold:
        lines += ["What files cannot tell:", *(f"  {line}" for line in started.draft.untold)]
    verb = "replaced" if started.replaced else "added"
    lines += ["", f"params.yaml: studies.{study} {verb}:", "", started.section]
    if started.table is not None:
        lines.append(f"table: {started.table} (with paths that were found for its rows)")
    lines += [f"contact sheet: {started.sheet}", ""]
    others = [name for name in started.active if name != study]
    beside = f" beside {listed(others)}; `active` in params.yaml says which" if others else ""
    lines.append(f"Look at the contact sheet, then: `make repro` (it runs {study}{beside})")
    return "\n".join(lines)
