"""python -m tests.chaos [--kills N] [--seed S]: the campaign, and a table of where kills hit."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.campaign import Course, disturbed, plan, undisturbed
from tests.chaos.outcome import differences, outcome, unmatched
from tests.chaos.project import small_project


def run(kills: int, seed: int, place: Path, console: Console) -> list[str]:
    """The campaign below `place`; what was wrong, a line each."""
    start = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - start:6.0f} s  {line}", markup=False, highlight=False)

    calm, wild = (small_project(place / name) for name in ("calm", "wild"))
    steps = undisturbed(calm, say)
    course = disturbed(wild, steps, plan(steps, kills, seed), seed, say)
    console.print(table(course))
    return course.faults + unmatched(calm) + differences(outcome(calm), outcome(wild))


def table(course: Course) -> Table:
    """Where kills hit, and how."""
    ways = sorted({how for _, how in course.hits})
    shown = Table("step", *ways, title=f"{course.hits.total()} kills")
    for step in dict.fromkeys(step for step, _ in course.hits):
        shown.add_row(step, *(str(course.hits[step, how] or "") for how in ways))
    return shown


def main() -> int:
    """Exit status: 0 when the disturbed project ended as the other one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    console = Console(width=120)
    place = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))  # a path that Ray's sockets fit in
    wrong = run(asked.kills, asked.seed, place, console)
    for line in wrong:
        console.print(f"wrong: {line}", markup=False, highlight=False)
    if wrong:
        console.print(f"both projects and what they printed are in {place}")
        return 1
    shutil.rmtree(place)
    console.print("the same bytes, versions, ledger and files as undisturbed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
