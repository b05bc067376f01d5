"""What is effective for a study or a model of it, value by value, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unstained.config.document import Where
from unstained.config.layers import Shape, Stated, Tree, merge, shape_of
from unstained.config.learning import TrainParams
from unstained.config.models import KINDS
from unstained.config.networks import NetworkBase
from unstained.config.project import ProjectParams
from unstained.config.sections import Sections
from unstained.config.study import StudyData


@dataclass(frozen=True)
class Effective:
    """One value that holds.

    Attributes:
        path: of the parameter, e.g. ('train', 'learning_rate').
        value: plain data.
        stated: where params.yaml says so; None for a default of the schema.
    """

    path: Where
    value: Any
    stated: Where | None


def effective_sections(project: ProjectParams, study: str, recipe: str) -> list[Effective]:
    """A study's data and all its sections under a recipe.

    Args:
        project: params.yaml.
        study: its name.
        recipe: its name.

    Raises:
        ParameterError: there is no such study or recipe, or its values do not fit together.
    """
    project.check(study, (), recipe)
    tree = project.composition.sections(study, recipe)
    sections = project.studies[study].recipes[recipe].sections()
    values = {
        "data": project.studies[study].data.model_dump(mode="json", by_alias=True),
        **sections.model_dump(mode="json", by_alias=True),
    }
    return list(_walk({"data": shape_of(StudyData), **shape_of(Sections)}, values, tree))


def effective_model(project: ProjectParams, study: str, recipe: str, model: str) -> list[Effective]:
    """A model of a study, and how it learns: the section `train` with the model's differences.

    Args:
        project: params.yaml.
        study: its name.
        recipe: its name.
        model: its name; an architecture or a variant.

    Raises:
        ParameterError: there is no such study, recipe or model, or its values do not fit together.
    """
    project.check(study, (model,), recipe)
    composition, asked = project.composition, project.studies[study].recipes[recipe]
    tree = composition.model(study, recipe, model)
    built = asked.models[model]
    kind = KINDS[composition.architecture(model)]
    shape = {key: inner for key, inner in shape_of(kind).items() if key != "train"}
    found = list(_walk(shape, built.model_dump(mode="json"), tree))
    if issubclass(kind, NetworkBase):
        train = built.training(asked.train).model_dump(mode="json")
        learning = merge({"train": _part(composition.sections(study, recipe), "train")}, tree)
        found += _walk({"train": shape_of(TrainParams)}, {"train": train}, learning)
    return found


def _part(tree: Tree, key: str) -> Tree:
    inner = tree.get(key, {})
    return inner if isinstance(inner, Mapping) else {}


def _walk(
    shape: Shape, values: Mapping[str, Any], tree: Tree, within: Where = ()
) -> Iterator[Effective]:
    for key, known in shape.items():
        below, value, stated = (*within, key), values[key], tree.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            yield from _walk(known, value, _part(tree, key), below)
        else:
            yield Effective(below, value, stated.where if isinstance(stated, Stated) else None)
