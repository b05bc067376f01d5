"""What a search may try of one parameter: a range of numbers, or choices."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator

from unstained.config.base import Params


class Range(Params):
    """A searched parameter: a float range, log-uniform where `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 where log is true")
        return self

    @property
    def probes(self) -> tuple[float, ...]:
        """Values that show whether the parameter takes what the range holds."""
        inner = self.low + (self.high - self.low) * 0.6180339887  # no whole number, as proposals
        return self.low, inner, self.high

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it."""
        return bool(self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"its search range {self.low} to {self.high}"


class Choices(Params):
    """A searched parameter: one of some values, such as lists of streams."""

    choices: tuple[JsonValue, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _differ(self) -> Choices:
        if any(value in self.choices[:place] for place, value in enumerate(self.choices)):
            raise ValueError("a choice stands twice")
        return self

    @property
    def probes(self) -> tuple[JsonValue, ...]:
        """All of them."""
        return self.choices

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in self.choices

    def __str__(self) -> str:
        return f"its choices {', '.join(str(choice) for choice in self.choices)}"


def _kind(content: Any) -> str:
    given = content if isinstance(content, dict) else getattr(content, "__dict__", {})
    return "choices" if "choices" in given else "range"


Rule = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)
]
"""What a search may try of a parameter."""

Space = dict[str, Rule]
"""Dotted parameter -> what may be tried of it."""
