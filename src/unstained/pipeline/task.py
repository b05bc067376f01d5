"""One run of one stage: which, for whom, with which parameters."""

from __future__ import annotations

from dataclasses import dataclass

from unstained.config.base import Params
from unstained.config.project import ProjectParams
from unstained.config.study import StudyData
from unstained.errors import ParameterError
from unstained.pipeline.catalogue import (
    BASELINES,
    STAGES,
    pick_params,
    reads_replicates,
    replicates_of,
    stage_definition,
    takes_replicate,
)
from unstained.pipeline.contract import Replicate, Stage


@dataclass(frozen=True)
class Task:
    """One run of one stage: what it is, for whom, and with which parameters."""

    stage: Stage
    study: str
    model: str | None
    recipe: str
    models: tuple[str, ...]
    params: Params
    replicate: Replicate | None = None
    replicates: tuple[Replicate, ...] = ()

    @property
    def images(self) -> StudyData | None:
        """The study's data, for a stage that reads the raw images; else None."""
        if self.stage.watches != "source":
            return None
        data: StudyData = getattr(self.params, "data")  # noqa: B009  (by the stage's contract)
        return data


def make_task(
    project: ProjectParams,
    name: str,
    study: str,
    model: str | None = None,
    replicate: Replicate | None = None,
) -> Task:
    """The run of a stage that params.yaml asks for.

    Args:
        project: params.yaml as parameters.
        name: see `run_stage`; so for the others.
        study: key of `studies`.
        model: an architecture or variant.
        replicate: fold and seed.

    Raises:
        ParameterError: params.yaml does not know a name, or a value is stated nowhere.
    """
    stage = stage_definition(name)
    _check_names(stage, project, study, model, replicate)
    grid = project.baselines
    about = replicate is not None or reads_replicates(stage)
    models = grid.models if about else project.models
    needed = models if "models" in stage.sections.values() else ([model] if model else [])
    return Task(
        stage=stage,
        study=study,
        model=model,
        recipe=project.recipe,
        models=models,
        params=pick_params(stage, project.content(study, needed), model),
        replicate=replicate,
        replicates=replicates_of(grid) if about else (),
    )


def _check_names(
    stage: Stage,
    project: ProjectParams,
    study: str,
    model: str | None,
    replicate: Replicate | None,
) -> None:
    project.require_study(study)
    if stage.per == "study" and model is not None:
        raise ParameterError(
            f"stage {stage.name} runs once a study, not once a model", "leave --model away"
        )
    if replicate and not takes_replicate(stage):
        raise ParameterError(
            f"stage {stage.name} takes no --fold and --seed",
            f"stages that do: {', '.join(name for name in BASELINES if name in STAGES)}",
        )
    grid = project.baselines
    models = grid.models if replicate else project.models
    if stage.per == "model" and model not in models:
        place = "baselines.models" if replicate else "models"
        raise ParameterError(
            f"stage {stage.name} runs once a model, and {model!r} is not in params.yaml `{place}`",
            f"add --model with one of: {', '.join(models)}"
            + ("" if replicate else "; for others: --fold and --seed, see `baselines`"),
        )
    if replicate and not (replicate.fold in grid.folds and replicate.seed in grid.seeds):
        raise ParameterError(
            f"{replicate.name} is not in params.yaml `baselines`",
            f"folds: {', '.join(map(str, grid.folds))}; seeds: {', '.join(map(str, grid.seeds))}",
        )
