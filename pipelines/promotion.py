"""The graph `promotion`: registered versions compared and decided about, nothing trained."""

from typing import Any

from kfp import dsl
from kfp.dsl import Artifact
from kfp.dsl.base_component import BaseComponent

from components.nominate import nominate
from components.report_run import report_run
from components.split import split as split_
from components.validate import validate as validate_
from pipelines.deployment import Deployment
from pipelines.placement import acting, pure, reporting
from pipelines.training import decision, prepare_data


def promotion(deployment: Deployment, given: dict[str, Any]) -> BaseComponent:
    """The graph for a deployment.

    Args:
        deployment: where it runs.
        given: default of every argument, see `pipelines.arguments`. The newest registered version
            of each of `models` is decided about.
    """
    prepare, decide = prepare_data(deployment), decision(deployment)
    nominate_models = _nominate(deployment)

    @dsl.pipeline(name="unstained-promotion", description="Registered versions, decided about.")
    def unstained_promotion(
        study: str = given["study"],
        recipe: str = given["recipe"],
        models: list = given["models"],
        repository: str = given["repository"],
        revision: str = given["revision"],
        common: dict = given["common"],
        data: dict = given["data"],
        simulate: dict = given["simulate"],
        simulate_slides: dict = given["simulate_slides"],
        simulate_monolayers: dict = given["simulate_monolayers"],
        ingest: dict = given["ingest"],
        source: str = given["source"],
        validate: dict = given["validate"],
        split: dict = given["split"],
        evaluate: dict = given["evaluate"],
        register: dict = given["register"],
        compare: dict = given["compare"],
        promote: dict = given["promote"],
    ) -> None:
        about = {"study": study, "recipe": recipe}
        with dsl.ExitHandler(reporting(report_run(study=study), deployment), name="run"):
            store = prepare(
                **about,
                repository=repository,
                revision=revision,
                common=common,
                data=data,
                simulate=simulate,
                simulate_slides=simulate_slides,
                simulate_monolayers=simulate_monolayers,
                ingest=ingest,
                source=source,
            ).output
            cells = {**about, "common": common, "data": data, "store": store}
            validation = pure(
                validate_(**cells, validate=validate, code=deployment.code("validate")), deployment
            )
            division = pure(
                split_(
                    **cells,
                    split=split,
                    validation=validation.outputs["validation"],
                    code=deployment.code("split"),
                ),
                deployment,
            )
            nominated = nominate_models(study=study, models=models, register=register)
            decide(
                **cells,
                partition=division.outputs["partition"],
                models=models,
                register=register,
                evaluate=evaluate,
                compare=compare,
                promote=promote,
                registration=nominated.output,
            )

    made: BaseComponent = unstained_promotion
    return made


def _nominate(deployment: Deployment) -> BaseComponent:
    """The newest version of every model."""

    @dsl.pipeline(name="nominate")
    def nominate_all(study: str, models: list, register: dict) -> list[Artifact]:
        with dsl.ParallelFor(models) as item:
            task = nominate(study=study, model=item.model, register=register)
            nominated = acting(task, deployment)
        return dsl.Collected(nominated.outputs["registration"])

    made: BaseComponent = nominate_all
    return made
