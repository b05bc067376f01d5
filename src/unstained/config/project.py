"""All of params.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from unstained.config.base import Params, parse, read_yaml
from unstained.config.explain import ExplainParams
from unstained.config.learning import TrainParams, TuneParams
from unstained.config.models import ModelParams, NetworkBase
from unstained.config.stages import (
    CompanionsParams,
    CompareParams,
    EvaluateParams,
    ExportParams,
    IngestParams,
    MonitorParams,
    PromoteParams,
    RegisterParams,
    ReportParams,
    SplitParams,
    ValidateParams,
)
from unstained.config.study import CommonParams, SimulateParams, StudyData
from unstained.config.uncertainty import UncertaintyParams


class StudyRecipe(Params):
    """A protocol for a study: how cells are divided, which models learn, and how."""

    simulate: SimulateParams | None = None
    split: SplitParams
    models: dict[str, ModelParams]
    tune: TuneParams
    train: TrainParams

    @model_validator(mode="after")
    def _models_can_be_trained(self) -> StudyRecipe:
        for name, model in self.models.items():
            try:
                model.training(self.train)
            except ValueError as error:
                raise ValueError(f"models.{name}.train: {error}") from None
        return self


class StudyParams(Params):
    """A dataset with a question, and its recipes."""

    data: StudyData
    recipes: dict[str, StudyRecipe]


class ProjectParams(Params):
    """All of params.yaml."""

    recipe: str
    active: tuple[str, ...]
    models: tuple[str, ...]
    common: CommonParams
    studies: dict[str, StudyParams]
    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams = Field(alias="register")
    compare: CompareParams
    promote: PromoteParams
    report: ReportParams
    monitor: MonitorParams
    companions: CompanionsParams
    explain: ExplainParams
    uncertainty: UncertaintyParams

    @model_validator(mode="after")
    def _names_exist(self) -> ProjectParams:
        for study in self.active:
            if study not in self.studies:
                raise ValueError(f"active: {study!r} is no study ({', '.join(self.studies)})")
            if self.studies[study].data.source is None:
                raise ValueError(
                    f"active: {study!r} has no source; run: unstained source {study} PATH"
                )
            recipes = self.studies[study].recipes
            if self.recipe not in recipes:
                raise ValueError(
                    f"recipe: {study!r} has no recipe {self.recipe!r} ({', '.join(recipes)})"
                )
            missing = {*self.models, *self.companions.models} - set(recipes[self.recipe].models)
            if missing:
                raise ValueError(
                    f"models: {study!r}, recipe {self.recipe!r}, does not define {sorted(missing)}"
                )
            self._check_grid(study, recipes[self.recipe])
        return self

    def _check_grid(self, study: str, recipe: StudyRecipe) -> None:
        beyond = [fold for fold in self.companions.folds if fold >= recipe.split.folds]
        if beyond:
            raise ValueError(
                f"companions.folds: {study!r}, recipe {self.recipe!r}, has no fold {beyond[0]} "
                "(split.folds)"
            )
        for name in self.models:
            model = recipe.models[name]
            hides = isinstance(model, NetworkBase) and model.input.view == "background"
            if hides or model.partition != "study":
                raise ValueError(
                    f"models: {name!r} is an experiment for `companions` (input.view "
                    "'background', or partition 'reference'), not a model to promote"
                )


def load_params(path: Path) -> ProjectParams:
    """Parse params.yaml.

    Raises:
        ParameterError: the file is missing, no YAML, or breaks the schema; the message names
            every offending key.
    """
    return parse(ProjectParams, read_yaml(path), str(path))
