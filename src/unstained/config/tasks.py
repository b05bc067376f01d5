"""What is asked of a cell: classes, values and proportions, any number of each, in order.

In params.yaml tasks are a mapping from a task's name to its kind and keys. `unstained.tasks` holds
what each kind does with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from unstained.config.base import Params
from unstained.config.names import Words, apart

LABEL: Final = "label"
"""Column of the cell table with the classes of a study's first classes task."""

Weight = Annotated[float, Field(gt=0)]


class ClassRule(Params):
    """One class and the directories that hold its cells."""

    name: Words
    pattern: str = Field(description="regular expression on the sample directory's name")
    external: bool = Field(
        default=False, description="external test cells: never trained on, reported apart"
    )


class TargetRule(Params):
    """One continuous target, predicted from the label-free image."""

    name: str
    column: str = Field(description="column of the cell table that holds its value")
    transform: Literal["none", "log"] = "none"
    unit: str = ""


class ClassesParams(Params):
    """One of several classes."""

    kind: Literal["classes"]
    name: Words
    rules: tuple[ClassRule, ...] = Field(
        default=(), description="first match wins, on the sample directory's name"
    )
    names: tuple[Words, ...] = Field(
        default=(), description="classes in order, where the reader knows each cell's"
    )
    column: str = Field(description="of the cell table; a cell without a class has null there")
    weight: Weight = Field(default=1.0, description="of its loss among the tasks' losses")

    @model_validator(mode="after")
    def _classes_are_told_once(self) -> ClassesParams:
        if bool(self.rules) == bool(self.names):
            raise ValueError("give either rules (patterns on directory names) or names")
        if len(self.class_names) < 2:
            raise ValueError("a classes task needs at least two classes")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a class is named twice")
        apart(self.class_names)
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order; several rules may share a name."""
        return self.names or tuple(dict.fromkeys(rule.name for rule in self.rules))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cell table that hold the truth."""
        return (self.column,)


class ValueParams(Params):
    """One number."""

    kind: Literal["value"]
    name: Words
    column: str = Field(description="column of the cell table that holds it, NaN where unknown")
    transform: Literal["none", "log"] = "none"
    unit: str = ""
    weight: Weight | None = Field(
        default=None,
        description="of its loss among the tasks' losses; without it, all values without one share "
        "train.target_weight",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cell table that hold the truth."""
        return (self.column,)

    @property
    def rule(self) -> TargetRule:
        """The value without its weight."""
        return TargetRule(
            name=self.name, column=self.column, transform=self.transform, unit=self.unit
        )


class ProportionParams(Params):
    """Shares of a whole."""

    kind: Literal["proportion"]
    name: Words
    parts: Annotated[tuple[Words, ...], Field(min_length=2)] = Field(
        description="names of the parts, whose shares add up to 1"
    )
    columns: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="columns of the cell table, one a part; of two parts the first alone may be "
        "given, the other is the rest. NaN where unknown"
    )
    weight: Weight = Field(default=1.0, description="of its loss among the tasks' losses")

    @model_validator(mode="after")
    def _one_column_a_part(self) -> ProportionParams:
        if len(self.columns) != len(self.parts) and (len(self.parts), len(self.columns)) != (2, 1):
            raise ValueError("give one column a part, or the first of two")
        for what, names in (("part", self.parts), ("column", self.columns)):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} is named twice")
        return self


TaskParams = Annotated[ClassesParams | ValueParams | ProportionParams, Field(discriminator="kind")]


def named_tasks(content: Any) -> Any:
    """A mapping from names to tasks as a list, each with its name and, for classes, its column.

    The column is `label` for the first classes task and `label_<task>` for others.

    Raises:
        ValueError: a name is no text.
    """
    if not isinstance(content, Mapping):
        return content
    tasks, classes = [], 0
    for name, task in content.items():
        if not isinstance(name, str):
            raise ValueError(f"{name!r} is no text: write it in quotes")
        if not isinstance(task, Mapping):
            raise ValueError(f"{name}: give its kind and what belongs to it")
        filled = {"name": name, **task}
        if task.get("kind") == "classes":
            filled.setdefault("column", LABEL if classes == 0 else f"{LABEL}_{name}")
            classes += 1
        tasks.append(filled)
    return tasks
