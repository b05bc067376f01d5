"""All of params.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from unstained.params.base import Params, parse, read_yaml
from unstained.params.learning import TrainParams, TuneParams
from unstained.params.models import ModelParams
from unstained.params.stages import (
    CompanionsParams,
    CompareParams,
    EvaluateParams,
    ExportParams,
    IngestParams,
    MonitorParams,
    PromoteParams,
    RegisterParams,
    SplitParams,
    ValidateParams,
)
from unstained.params.study import CommonParams, SimulateParams, StudyData


class StudyRecipe(Params):
    """How much is spent on a study."""

    simulate: SimulateParams | None = None
    models: dict[str, ModelParams]
    tune: TuneParams
    train: TrainParams


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
    split: SplitParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams = Field(alias="register")
    compare: CompareParams
    promote: PromoteParams
    monitor: MonitorParams
    companions: CompanionsParams

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
        beyond = [fold for fold in self.companions.folds if fold >= self.split.folds]
        if beyond:
            raise ValueError(f"companions.folds: there is no fold {beyond[0]} (split.folds)")
        return self


def load_params(path: Path) -> ProjectParams:
    """Parse params.yaml.

    Raises:
        ParameterError: the file is missing, no YAML, or breaks the schema; the message names
            every offending key.
    """
    return parse(ProjectParams, read_yaml(path), str(path))
