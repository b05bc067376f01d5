"""All of params.yaml, typed: one way from the file to the parameters of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from unstained.config.base import P, Params
from unstained.config.baselines import BaselinesParams
from unstained.config.compare import CompareParams
from unstained.config.compose import Composition, problems_error
from unstained.config.document import Document, parse_document, read_text
from unstained.config.layers import Stated, Tree, plain, shape_of
from unstained.config.learning import TrainParams, TuneParams
from unstained.config.models import KINDS, AnyModelParams
from unstained.config.nearest import suggestion
from unstained.config.networks import NetworkBase
from unstained.config.overrides import check_space
from unstained.config.register import RegisterParams
from unstained.config.sections import Sections
from unstained.config.split import SplitParams
from unstained.config.study import StudyData
from unstained.errors import ParameterError

T = TypeVar("T")


class Settings(Params):
    """What holds for the whole project: which studies and models run, under which recipe."""

    recipe: str
    active: tuple[str, ...]
    models: tuple[str, ...]
    baselines: BaselinesParams


class Lazy(Mapping[str, T]):
    """Values that are made when they are first asked for.

    Args:
        names: the keys.
        make: the value of a key.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], T]) -> None:
        self._names, self._make = tuple(names), make
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class StudyRecipe:
    """A study under a recipe; each section and model is parsed when it is asked for.

    Attributes:
        models: name -> parameters.
    """

    def __init__(self, composition: Composition, study: str, recipe: str) -> None:
        self._composition, self._study, self._recipe = composition, study, recipe
        self._tree = composition.sections(study, recipe)
        self._where = f"studies.{study}, recipe {recipe}"
        self.models = Lazy(composition.bases, self._model)

    def sections(self) -> Sections:
        """All sections.

        Raises:
            ParameterError: a value is stated nowhere, or values do not fit together.
        """
        tree = {key: inner for key, inner in self._tree.items() if key != "data"}
        return parse_tree(self._composition, Sections, tree, self._where)

    @property
    def simulated(self) -> bool:
        """Whether cells can be simulated."""
        return not {"simulate", "simulate_slides", "simulate_monolayers"}.isdisjoint(self._tree)

    @property
    def split(self) -> SplitParams:
        """How cells are divided."""
        return self._section("split", SplitParams)

    @property
    def train(self) -> TrainParams:
        """How networks learn."""
        return self._section("train", TrainParams)

    @property
    def tune(self) -> TuneParams:
        """What is searched."""
        return self._section("tune", TuneParams)

    @property
    def register_(self) -> RegisterParams:
        """Names in MLflow."""
        return self._section("register", RegisterParams)

    @property
    def compare(self) -> CompareParams:
        """How versions are compared."""
        return self._section("compare", CompareParams)

    def _section(self, key: str, kind: type[P]) -> P:
        where = f"{self._where}: {key}"
        return parse_tree(self._composition, kind, _below(self._tree, key), where)

    def _model(self, name: str) -> AnyModelParams:
        composition, where = self._composition, f"{self._where}: models.{name}"
        tree = composition.model(self._study, self._recipe, name)
        model = parse_tree(composition, KINDS[composition.architecture(name)], tree, where)
        try:
            model.training(self.train)
        except ValueError as error:
            problems = [f"{where}.train: {error}"]
            raise problems_error(composition.document, problems) from None
        return model


class StudyParams:
    """A dataset with a question, and how it is learnt under each recipe.

    Attributes:
        data: what the data are.
        recipes: name -> sections and models.
    """

    def __init__(self, composition: Composition, study: str) -> None:
        tree = _below(composition.sections(study, composition.recipes[0]), "data")
        self.data = parse_tree(composition, StudyData, tree, f"studies.{study}.data")
        self.recipes = Lazy(composition.recipes, partial(StudyRecipe, composition, study))


class ProjectParams:
    """All of params.yaml.

    Attributes:
        composition: the layers, with the origin of each value.
        recipe, active, models, baselines: see `Settings`.
        studies: by name.

    Raises:
        ParameterError: keys, values or names are wrong, or do not fit together in what is active.
    """

    def __init__(self, document: Document) -> None:
        self.composition = Composition(document, shape_of(Settings))
        settings = parse_tree(self.composition, Settings, self.composition.settings, "")
        self.recipe, self.active = settings.recipe, settings.active
        self.models, self.baselines = settings.models, settings.baselines
        self._check_names()
        self.studies = {
            name: StudyParams(self.composition, name) for name in self.composition.studies
        }
        for study in self.active:
            self._check_active(study)
        self._check_registered()

    def require_study(self, study: str) -> StudyParams:
        """A study, by name.

        Raises:
            ParameterError: there is none of this name.
        """
        if study not in self.studies:
            raise ParameterError(
                f"there is no study {study!r} in params.yaml",
                f"{suggestion(study, self.studies)} Studies: {', '.join(self.studies)}",
            )
        return self.studies[study]

    def check(self, study: str, models: Iterable[str], recipe: str) -> None:
        """Check names.

        Raises:
            ParameterError: there is no such study, recipe or model; says the nearest known one.
        """
        self.require_study(study)
        for kind, name, known in (
            ("recipe", recipe, self.composition.recipes),
            *(("model", model, tuple(self.composition.bases)) for model in models),
        ):
            if name not in known:
                raise ParameterError(
                    f"there is no {kind} {name!r} in params.yaml", suggestion(name, known)
                )

    def content(
        self, study: str, models: Iterable[str], recipe: str | None = None
    ) -> dict[str, Any]:
        """A study's sections under a recipe, and some models, as plain data.

        Args:
            study: its name.
            models: names; they are below the key `models`.
            recipe: another one than is chosen.

        Raises:
            ParameterError: there is no such study, recipe or model.
        """
        recipe = recipe or self.recipe
        models = tuple(models)
        self.check(study, models, recipe)
        found = plain(self.composition.sections(study, recipe))
        found["baselines"] = self.baselines.model_dump(mode="json")
        found["models"] = {m: plain(self.composition.model(study, recipe, m)) for m in models}
        return found

    def _check_names(self) -> None:
        known = self.composition
        experiments = [e for x in self.baselines.experiments for e in (x.usual, x.changed)]
        asked = (
            ("recipe", "recipe", (self.recipe,), known.recipes),
            ("active", "study", self.active, known.studies),
            ("models", "model", self.models, known.bases),
            ("baselines.models", "model", self.baselines.models, known.bases),
            ("baselines.experiments", "model", experiments, known.bases),
        )
        problems = [
            f"{known.document.place(tuple(key.split('.')))}: there is no {kind} {name!r}; "
            f"{suggestion(name, there)}"
            for key, kind, names, there in asked
            for name in names
            if name not in there
        ]
        if problems:
            raise problems_error(known.document, problems)

    def _check_registered(self) -> None:
        names = [self.studies[s].recipes[self.recipe].register_.name_of(s) for s in self.active]
        if shared := next((name for name in names if names.count(name) > 1), ""):
            raise ParameterError(
                f"{self.composition.document.name}: register.registered_model: several active "
                f"studies would share {shared!r}, and each has a champion of its own",
                "write {study} into the name",
            )

    def _check_active(self, study: str) -> None:
        if self.studies[study].data.source is None:
            raise ParameterError(
                f"{self.composition.document.name}: active: {study!r} has no source",
                f"run `unstained source {study} PATH`",
            )
        recipe = self.studies[study].recipes[self.recipe]
        recipe.sections()
        problems = [
            f"baselines.folds: {study!r}, recipe {self.recipe!r}, has no fold {fold}: its "
            f"split.folds is {recipe.split.folds}, and folds count from 0"
            for fold in self.baselines.folds
            if fold >= recipe.split.folds
        ]
        problems += [
            f"tune.spaces: {study!r}, recipe {self.recipe!r}: there is no model {name!r}; "
            f"{suggestion(name, self.composition.bases)}"
            for name in recipe.tune.spaces
            if name not in self.composition.bases
        ]
        problems += [
            f"tune.spaces: {study!r}, recipe {self.recipe!r}: {name!r} is an ensemble, and its "
            "members learn with their own parameters in params.yaml; take it out"
            for name in recipe.tune.spaces
            if name in self.composition.bases and self.composition.architecture(name) == "ensemble"
        ]
        for name in dict.fromkeys((*self.models, *self.baselines.models)):
            model = recipe.models[name]
            hides = isinstance(model, NetworkBase) and model.input.view == "background"
            if name in self.models and (hides or model.partition != "study"):
                problems.append(
                    f"models: {name!r} is an experiment for `baselines` (input.view "
                    "'background', or partition 'reference'), not a model to promote"
                )
        if problems:
            raise problems_error(self.composition.document, problems)
        for name in self.models:
            if space := recipe.tune.spaces.get(name):
                model, where = recipe.models[name], self.composition.document.name
                usual = model.training(recipe.train)
                check_space(model, usual, space, f"{where}: tune.spaces.{name}")


def load_params(path: Path) -> ProjectParams:
    """Parse params.yaml.

    Raises:
        ParameterError: the file is missing, no YAML, or breaks the schema; the message names
            every offending key.
    """
    return _parsed(read_text(path), str(path))


@lru_cache(maxsize=4)
def _parsed(text: str, name: str) -> ProjectParams:
    """One object for all who ask about the same text; nobody changes it."""
    return ProjectParams(parse_document(text, name))


def parse_tree(composition: Composition, kind: type[P], tree: Tree, label: str) -> P:
    """A composed tree as parameters.

    Args:
        composition: that it comes from.
        kind: class of the parameters.
        tree: the composed layers.
        label: what they are of, for messages.

    Raises:
        ParameterError: a value is stated nowhere, or values do not fit together.
    """
    try:
        return kind.model_validate(plain(tree))
    except ValidationError as error:
        found = [_problem(composition, tree, label, item) for item in error.errors()]
        raise problems_error(composition.document, found) from None


def _problem(composition: Composition, tree: Tree, label: str, item: Mapping[str, Any]) -> str:
    loc = tuple(str(part) for part in item["loc"])
    path = f"{label}: {'.'.join(loc)}" if label and loc else label or ".".join(loc)
    if item["type"] == "missing":
        return f"{path} is stated nowhere; add it"
    text = str(item["msg"]).removeprefix("Value error, ")
    node: Tree | Stated = tree
    for part in loc:
        if isinstance(node, Stated) or part not in node:
            break
        node = node[part]
    if isinstance(node, Stated) and node.where:
        text += f", stated in {composition.document.place(node.where)}"
    return f"{path}: {text}" if path else text


def _below(tree: Tree, key: str) -> Tree:
    inner = tree.get(key, {})
    return inner if isinstance(inner, Mapping) else {}
