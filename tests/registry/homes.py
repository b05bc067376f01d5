"""A registry of four versions with its ledger, for tests of promotion and of what hands change."""

from __future__ import annotations

from pathlib import Path

from tests.registered import NAME, STUDY
from unstained.registry.gate import Criterion, Decision
from unstained.registry.ledger import Ledger
from unstained.registry.promotion import Mode, Outcome, promote, rollback
from unstained.registry.registry import Registry


class Home:
    """A registry with versions 1 to 4, and its ledger."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.ledger = Ledger(root / "ledger" / "toy.jsonl")

    def promote(self, version: int, against: int | None, mode: Mode = "enforce") -> Outcome:
        return promote(self.registry, self.ledger, STUDY, NAME, passed(version, against), mode)

    def refuse(self, version: int, against: int | None) -> Outcome:
        found = Decision(version, "m", against, (Criterion("better", False, 1, 0, "no"),), "no")
        return promote(self.registry, self.ledger, STUDY, NAME, found, "enforce")

    def rollback(self, reason: str = "why") -> str:
        return rollback(self.registry, self.ledger, STUDY, NAME, reason)

    @property
    def aliases(self) -> dict[str, int]:
        return self.registry.aliases(NAME)

    @property
    def actions(self) -> list[tuple[str, int]]:
        return [(entry.action, entry.version) for entry in self.ledger.entries()]


def passed(version: int, against: int | None) -> Decision:
    return Decision(version, "m", against, (Criterion("better", True, 0, 1, "yes"),), f"v{version}")
