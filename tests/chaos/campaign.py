"""Kills at moments that a seed chooses: each step of the undisturbed run is equally likely."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

import numpy as np

from tests.chaos.project import COMMANDS
from tests.chaos.watching import GRACE_SECONDS, LONGEST_SECONDS, How, Running

WATCH_SECONDS: Final = 0.05
SHARES: Final = {"everything": 0.7, "one process": 0.15, "SIGTERM": 0.15}
"""Of the ways of killing."""


@dataclass(frozen=True, order=True)
class Step:
    """A step of the undisturbed run: its place in it, name and seconds."""

    place: int
    name: str
    seconds: float


@dataclass(frozen=True)
class Kill:
    """A kill, some seconds after a step has begun."""

    step: Step
    after: float
    how: How


@dataclass
class Course:
    """What happened: step and way of every kill -> how often, and what was wrong."""

    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def undisturbed(root: Path, say: Callable[[str], None]) -> list[Step]:
    """Run all commands once.

    Raises:
        RuntimeError: one failed.
    """
    seconds: dict[str, float] = {}
    for command in COMMANDS:
        running, before = Running(root, command), time.monotonic()
        while running.process.poll() is None:
            time.sleep(WATCH_SECONDS)
            name, now = running.step(), time.monotonic()
            seconds[name] = seconds.get(name, 0.0) + now - before
            before = now
        _require_success(running)
        say(f"{command} ended undisturbed")
    return [Step(place, name, seconds[name]) for place, name in enumerate(seconds)]


def plan(steps: list[Step], kills: int, seed: int) -> list[Kill]:
    """Kills in the order of the steps that they hit."""
    random = np.random.default_rng(seed)
    ways = get_args(How)
    chosen = [
        Kill(
            step := steps[random.integers(len(steps))],
            random.uniform(0, step.seconds),
            ways[random.choice(len(ways), p=[SHARES[way] for way in ways])],
        )
        for _ in range(kills)
    ]
    return sorted(chosen, key=lambda kill: (kill.step, kill.after))


def disturbed(
    root: Path, steps: list[Step], kills: list[Kill], seed: int, say: Callable[[str], None]
) -> Course:
    """Run all commands, each until it succeeds, and kill them as planned.

    A kill whose step was over before its time hits the one that runs then, at a moment of its own.
    Where some are left when the last command has succeeded, they are planned anew, and all commands
    run again: what is done must stay as it is.
    """
    known = {step.name: step for step in steps}
    course, random = Course(), np.random.default_rng(seed)
    while True:
        queue = deque(kills)
        for command in COMMANDS:
            while not _run(root, command, known, queue, course, random, say):
                pass
        if not queue:
            return course
        say(f"kills left: {len(queue)}, all commands again")
        seed += 1
        kills = plan(steps, len(queue), seed)


def _run(
    root: Path, command: str, known: dict[str, Step], queue: deque[Kill], course: Course,
    random: np.random.Generator, say: Callable[[str], None],
) -> bool:  # fmt: skip
    """Start a command; whether it succeeded, killed or not."""
    running, begun = Running(root, command), {}
    while running.works():
        time.sleep(WATCH_SECONDS)
        name, now = running.step(), time.monotonic()
        since = now - begun.setdefault(name, now)
        if running.injured_at and now - running.injured_at > LONGEST_SECONDS:
            course.faults.append(
                f"{command} goes on for long after one of its processes was killed"
            )
            running.kill("everything", random)
            return False
        how = _due(queue, known.get(name), since, random)
        if how is None:
            continue
        course.hits[name, how] += 1
        say(f"{how} killed after {since:.1f} s of {name}")
        if fault := running.kill(how, random):
            course.faults.append(fault)
            say(fault)
        if how != "one process":
            return running.process.poll() == 0
    if running.injured_at and running.process.wait():
        return False
    _require_success(running)
    if left := running.ended(GRACE_SECONDS):
        course.faults.append(f"outlived {command}: {left}")
    say(f"{command} succeeded")
    return True


def _due(
    queue: deque[Kill], step: Step | None, since: float, random: np.random.Generator
) -> How | None:
    """How to kill now, some seconds after a step has begun; None: not yet."""
    if not queue or step is None or queue[0].step.place > step.place:
        return None
    if queue[0].step.place < step.place:
        after = random.uniform(since, max(since, step.seconds))
        queue[0] = replace(queue[0], step=step, after=after)
    return None if since < queue[0].after else queue.popleft().how


def _require_success(running: Running) -> None:
    if running.process.wait():
        said = running.log.read_text(encoding="utf-8", errors="replace")[-4000:]
        raise RuntimeError(f"{running.command} failed though nobody killed it:\n{said}")
