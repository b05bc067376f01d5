"""What params.yaml says of one study under one recipe, and of one model of it.

Every fact is stated once, in the layer that it belongs to; the later layer wins:

    sections (split, train, evaluate ...): the top level, the recipe, the study, the study in this
        recipe;
    a network: `network` at the top level and of the recipe, its architecture, `network` of the
        study, what the study says of the model, then for each variant on the way to it the variant
        and what the study says of the variant.

A recipe's name as a key in a study, an architecture or a variant holds what differs in that recipe.
So a variant is its base, as the study has it, with its own changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unstained.config.document import Document, Where
from unstained.config.illumination import OpticsParams
from unstained.config.layers import LayerReader, Shape, Stated, Tree, merge, plain, shape_of
from unstained.config.model_base import ModelBase
from unstained.config.model_input import PHASE_VIEWS
from unstained.config.models import KINDS, EnsembleParams
from unstained.config.names import alike, model_problem, study_problem
from unstained.config.nearest import suggestion
from unstained.config.networks import NetworkBase
from unstained.config.sections import Sections
from unstained.config.study import StudyData
from unstained.errors import ParameterError

HOLDERS = ("recipes", "architectures", "variants", "studies")


@dataclass(frozen=True)
class Layers:
    """What one place states: always, and in single recipes."""

    always: Tree = field(default_factory=dict)
    in_recipe: Mapping[str, Tree] = field(default_factory=dict)

    def of(self, recipe: str) -> Iterator[Tree]:
        """The layers that hold in a recipe, the later above the earlier."""
        yield self.always
        yield self.in_recipe.get(recipe, {})

    def part(self, *keys: str) -> Layers:
        """The same of a part of the tree."""
        return Layers(
            _part(self.always, keys),
            {recipe: _part(tree, keys) for recipe, tree in self.in_recipe.items()},
        )


def _part(tree: Tree, keys: tuple[str, ...]) -> Tree:
    for key in keys:
        inner = tree.get(key, {})
        tree = inner if isinstance(inner, Mapping) else {}
    return tree


class Composition:
    """All layers of a params.yaml.

    Attributes:
        document: the file.
        settings: the keys beside the layers (recipe, active, models, baselines), as plain data.
        recipes, studies: names, in order.
        bases: model -> what it is a variant of; None for an architecture.

    Raises:
        ParameterError: unknown keys or impossible values, each by its place in the file.
    """

    def __init__(self, document: Document, settings: Shape) -> None:
        self.document = document
        reader = LayerReader(document)
        held = {key: _holder(reader, key) for key in HOLDERS}
        self.recipes = tuple(held["recipes"])
        self.studies = tuple(held["studies"])
        self.bases = _bases(reader, held["architectures"], held["variants"])
        _names_are_accepted(reader, self.studies, held["variants"])
        _no_recipe_is_called_like_a_key(reader, self.recipes, self._places(settings))
        sections, network = shape_of(Sections), _network_shape()
        top = {k: v for k, v in document.content.items() if k not in HOLDERS}
        known = {**settings, **sections, "network": network} | {key: {} for key in HOLDERS}
        tree = reader.read(top, known, ())
        self.settings = {key: tree[key] for key in tree if key in settings}
        self._top = {key: tree[key] for key in tree if key not in settings}
        self._recipes = {
            name: reader.read(content, {**sections, "network": network}, ("recipes", name))
            for name, content in held["recipes"].items()
        }
        models = {name: _model_shape(self.architecture(name)) for name in self.bases}
        self._models = {
            name: self._layers(reader, content, models[name], (holder, name))
            for holder in ("architectures", "variants")
            for name, content in held[holder].items()
            if name in models
        }
        changes = {**sections, "network": network, "models": models}
        self._studies = {
            name: self._layers(reader, content, changes, ("studies", name), shape_of(StudyData))
            for name, content in held["studies"].items()
        }
        if reader.problems:
            raise problems_error(document, reader.problems)

    def architecture(self, model: str) -> str:
        """The architecture that a model builds."""
        while (base := self.bases[model]) is not None:
            model = base
        return model

    def sections(self, study: str, recipe: str) -> Tree:
        """A study's sections under a recipe, `data` among them."""
        layers = (self._top, self._recipes[recipe], *self._studies[study].of(recipe))
        merged = merge(*layers)
        return {key: merged[key] for key in merged if key not in ("network", "models")}

    def model(self, study: str, recipe: str, model: str) -> Tree:
        """A model of a study under a recipe."""
        chain = [model]
        while (base := self.bases[chain[0]]) is not None:
            chain.insert(0, base)
        architecture, of_study = chain[0], self._studies[study]
        kind = KINDS[architecture]
        layers: list[Tree] = []
        if issubclass(kind, NetworkBase):
            everywhere = (self._top, self._recipes[recipe])
            layers += [_known(_part(layer, ("network",)), kind) for layer in everywhere]
        layers += self._models[architecture].of(recipe)
        if issubclass(kind, NetworkBase):
            layers += [_known(layer, kind) for layer in of_study.part("network").of(recipe)]
        layers += of_study.part("models", architecture).of(recipe)
        for variant in chain[1:]:
            layers += self._models[variant].of(recipe)
            layers += of_study.part("models", variant).of(recipe)
        where = (("variants" if self.bases[model] else "architectures"), model)
        merged: Tree = {"architecture": Stated(architecture, where), **merge(*layers)}
        if kind is EnsembleParams:
            merged = self._with_members(study, recipe, merged)
        sections = self.sections(study, recipe)
        shaped = _with_image(dict(merged), kind.model_fields, sections)
        return _with_optics(_with_frames(shaped, kind, sections), sections)

    def _with_members(self, study: str, recipe: str, ensemble: Tree) -> Tree:
        """An ensemble with the parameters of the models that it names.

        Raises:
            ParameterError: there is no such model, or it is an ensemble itself.
        """
        named = ensemble.get("members")
        if not isinstance(named, Stated):
            return ensemble
        problems = [
            f"{self.document.place(named.where)}: {problem}"
            for name in named.value
            if (problem := self._no_member(name)) is not None
        ]
        if problems:
            raise problems_error(self.document, problems)
        models = [plain(self.model(study, recipe, name)) for name in named.value]
        return {**ensemble, "models": Stated(models, named.where)}

    def _no_member(self, name: str) -> str | None:
        """Why a model cannot be a member of an ensemble; None for one that can."""
        if name not in self.bases:
            return f"there is no model {name!r}; {suggestion(name, self.bases)}"
        if self.architecture(name) == "ensemble":
            return f"{name!r} is an ensemble itself; name its members"
        return None

    def _layers(
        self,
        reader: LayerReader,
        content: Any,
        shape: Shape,
        where: Where,
        data: Shape | None = None,
    ) -> Layers:
        whole = {**shape, **dict.fromkeys(self.recipes, shape)} | ({"data": data} if data else {})
        tree = reader.read(content, whole, where)
        in_recipe = {name: _part(tree, (name,)) for name in self.recipes}
        always = {key: inner for key, inner in tree.items() if key not in in_recipe}
        return Layers(always, in_recipe)

    def _places(self, settings: Shape) -> set[str]:
        found = {"data", "models", "network", *shape_of(Sections), *settings}
        for model in self.bases:
            found |= set(_model_shape(self.architecture(model)))
        return found


def problems_error(document: Document, problems: list[str]) -> ParameterError:
    """All that is wrong with a file, in one error."""
    several = dict.fromkeys(problems)
    text = "".join(f"\n  {line}" for line in several) if len(several) > 1 else problems[0]
    return ParameterError(f"{document.name}: {text}", "correct this and run again")


def _holder(reader: LayerReader, key: str) -> dict[str, Any]:
    """The named places of a kind; an architecture or variant may say nothing of its own."""
    content = reader.document.content.get(key)
    if content is None:
        reader.problems.append(f"{key} is missing; it holds one key for each of the {key}")
        return {}
    named = reader.mapping(content, (key,))
    return {name: {} if inner is None else inner for name, inner in named.items()}


def _bases(
    reader: LayerReader, architectures: Mapping[str, Any], variants: dict[str, Any]
) -> dict[str, str | None]:
    """What each model is a variant of; takes the key `of` away."""
    for name in architectures:
        if name not in KINDS:
            reader.complain(
                ("architectures", name), f"there is no such network; {suggestion(name, KINDS)}"
            )
    bases: dict[str, str | None] = dict.fromkeys(n for n in architectures if n in KINDS)
    for name, content in variants.items():
        where = ("variants", name)
        given = dict(reader.mapping(content, where))
        base = given.pop("of", None)
        variants[name] = given
        if name in bases:
            reader.complain(where, "an architecture has this name already")
        elif base is None:
            reader.complain(where, f"says not what it is a variant of; add `of:`, {_one_of(bases)}")
        elif base not in bases:
            known = suggestion(str(base), bases)
            reader.complain((*where, "of"), f"no model {base!r} stands above it; {known}")
        else:
            bases[name] = base
    return bases


def _one_of(names: Mapping[str, Any]) -> str:
    return f"one of {', '.join(names)}"


def _names_are_accepted(
    reader: LayerReader, studies: Collection[str], variants: Collection[str]
) -> None:
    """By all that a name becomes later, see `config.names`."""
    for holder, names, problem in (
        ("studies", studies, study_problem),
        ("variants", variants, model_problem),
    ):
        for name in names:
            if why := problem(name):
                reader.complain((holder, name), why)
    if two := alike(dict.fromkeys([*KINDS, *variants])):
        said = f"differs from {two[0]} in case alone, and some disks cannot tell their folders"
        reader.complain(("variants", two[1]), said)


def _no_recipe_is_called_like_a_key(
    reader: LayerReader, recipes: tuple[str, ...], keys: set[str]
) -> None:
    for name in recipes:
        if name in keys:
            reader.complain(
                ("recipes", name), "is the name of a key too; call the recipe otherwise"
            )


def _model_shape(architecture: str) -> Shape:
    shape = shape_of(KINDS[architecture])
    return {key: inner for key, inner in shape.items() if key != "architecture"}


def _network_shape() -> Shape:
    """The keys that some network has."""
    found: dict[str, Any] = {}
    for name, kind in KINDS.items():
        if issubclass(kind, NetworkBase):
            found |= {k: v for k, v in _model_shape(name).items() if k not in found}
    return found


def _known(tree: Tree, kind: type[NetworkBase]) -> Tree:
    return {key: inner for key, inner in tree.items() if key in kind.model_fields}


def _with_image(model: dict[str, Any], fields: Mapping[str, Any], sections: Tree) -> dict[str, Any]:
    """A network that is built for one size of images is built for what it will be shown."""
    side = _part(model, ("input",)).get("side")
    resized = isinstance(side, Stated) and side.value is not None
    shown = side if resized else _part(sections, ("data",)).get("canvas")
    if "image" in fields and shown:
        model.setdefault("image", shown)
    return model


def _with_frames(model: dict[str, Any], kind: type[ModelBase], sections: Tree) -> dict[str, Any]:
    """A model that looks at frames one by one is told how many there are."""
    frames = _part(sections, ("data",)).get("frames")
    if "frames" in kind.model_fields and frames:
        model.setdefault("frames", frames)
    return model


def _with_optics(model: Tree, sections: Tree) -> Tree:
    """A network that is shown phase, or turned views, is told how the study's images came about."""
    shown, data = plain(_part(model, ("input",))), _part(sections, ("data",))
    needed = shown.get("view") in PHASE_VIEWS or shown.get("symmetries", 1) != 1
    if not needed or "illumination" not in data:
        return model
    told = {key: data[key] for key in OpticsParams.model_fields if key in data}
    return merge(model, {"input": {"optics": told}})
