"""Dotted overrides, e.g. `train.learning_rate: 0.001`, applied to the parameters of a model.

The search writes them to best.json, training reads them; both go through this one function, so a
tuned value is checked against the same schema as params.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from unstained.config.base import Params, parse
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.nearest import suggestion
from unstained.config.search_space import Rule
from unstained.errors import ParameterError


class _Overridable(Params):
    """What a search may change."""

    model: ModelParams = Field()
    train: TrainParams


def apply_overrides(
    model: ModelParams, train: TrainParams, overrides: Mapping[str, Any], where: str = "overrides"
) -> tuple[ModelParams, TrainParams]:
    """Parameters with `overrides` applied and validated again.

    Args:
        model: the model's parameters.
        train: the training parameters.
        overrides: dotted name, starting with 'model.' or 'train.', to value.
        where: what an error message calls the source of the overrides, e.g. a file's path.

    Returns:
        New model and training parameters; the given ones are frozen.

    Raises:
        ParameterError: a name is no existing parameter, or its value breaks the schema.
    """
    content = {"model": model.model_dump(), "train": train.model_dump()}
    for name, value in sorted(overrides.items()):
        *path, last = name.split(".")
        section: Any = content
        for key in path:
            section = section.get(key) if isinstance(section, dict) else None
        if not path or not isinstance(section, dict) or last not in section:
            raise ParameterError(
                f"{where}: {name!r} is no parameter of this model or of its training; "
                f"{suggestion(name, _names(content))}",
                "use names such as train.learning_rate or model.dropout, as in params.yaml",
            )
        section[last] = value
    changed = parse(_Overridable, content, where)
    return changed.model, changed.train


def _names(content: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Dotted names of all parameters."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _names(value, f"{within}{key}.")
        elif within:
            yield within + key


def check_space(
    model: ModelParams, train: TrainParams, space: Mapping[str, Rule], where: str
) -> None:
    """Refuse a space that names no existing parameter, or reaches values the schema refuses.

    Args:
        model: the model's parameters.
        train: the training parameters, as the model has them.
        space: dotted parameter -> what may be tried of it.
        where: what an error message calls the space.

    Raises:
        ParameterError: naming `where` and the parameter.
    """
    for name, rule in sorted(space.items()):
        for value in rule.probes:
            apply_overrides(model, train, {name: value}, where)
