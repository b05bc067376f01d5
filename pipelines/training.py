"""The graph `training`: from a DVC revision, or raw images, to a decision about the champion."""

from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model
from kfp.dsl.base_component import BaseComponent

from components.compare import compare as compare_
from components.controls import controls as controls_
from components.evaluate import evaluate as evaluate_
from components.export import export as export_
from components.fetch import fetch
from components.ingest import ingest as ingest_
from components.promote import promote as promote_
from components.register import register as register_
from components.report import report as report_
from components.report_run import report_run
from components.split import split as split_
from components.train import train as train_
from components.tune import tune as tune_
from components.validate import validate as validate_
from pipelines.deployment import Deployment
from pipelines.placement import acting, deciding, heavy, pure, reporting, with_keys


def training(deployment: Deployment, given: dict[str, Any]) -> BaseComponent:
    """The graph for a deployment.

    Args:
        deployment: where it runs.
        given: default of every argument, see `pipelines.arguments`. Any study and any models can
            be given at run time.
    """
    prepare = prepare_data(deployment)
    fit, register_models = _fit(deployment), _register(deployment)
    decide = decision(deployment)

    @dsl.pipeline(name="unstained-training", description="From cells to a champion.")
    def unstained_training(
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
        tune: dict = given["tune"],
        train: dict = given["train"],
        evaluate: dict = given["evaluate"],
        export: dict = given["export"],
        register: dict = given["register"],
        compare: dict = given["compare"],
        promote: dict = given["promote"],
        report: dict = given["report"],
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
            validated = validation.outputs["validation"]
            division = pure(
                split_(**cells, split=split, validation=validated, code=deployment.code("split")),
                deployment,
            )
            parted = {**cells, "partition": division.outputs["partition"]}
            fitted = fit(
                **parted, models=models, tune=tune, train=train, evaluate=evaluate, export=export
            ).outputs
            judged = {
                "models": models,
                "trained": fitted["trained"],
                "evaluation": fitted["evaluation"],
            }
            recorded = pure(
                controls_(
                    **parted,
                    **judged,
                    evaluate=evaluate,
                    validation=validated,
                    code=deployment.code("controls"),
                ),
                deployment,
            )
            registered = register_models(
                **about,
                **judged,
                data=data,
                register=register,
                search=fitted["search"],
                artifact=fitted["artifact"],
            )
            decided = decide(
                **parted,
                models=models,
                register=register,
                evaluate=evaluate,
                compare=compare,
                promote=promote,
                registration=registered.output,
            ).outputs
            acting(
                report_(
                    **cells,
                    **judged,
                    evaluate=evaluate,
                    register=register,
                    report=report,
                    validation=validated,
                    record=recorded.outputs["record"],
                    registration=registered.output,
                    ranking=decided["ranking"],
                    decision=decided["decision"],
                    code=deployment.code("report"),
                ),
                deployment,
            )

    made: BaseComponent = unstained_training
    return made


def prepare_data(deployment: Deployment) -> BaseComponent:
    """The pointer to the packed store: of a DVC revision, or of images packed now."""

    @dsl.pipeline(name="data")
    def data_of_the_run(
        study: str,
        recipe: str,
        repository: str,
        revision: str,
        common: dict,
        data: dict,
        simulate: dict,
        simulate_slides: dict,
        simulate_monolayers: dict,
        ingest: dict,
        source: str,
    ) -> dict:
        with dsl.If(repository == "", name="from-images"):
            packed = pure(
                ingest_(
                    study=study,
                    recipe=recipe,
                    common=common,
                    data=data,
                    simulate=simulate,
                    simulate_slides=simulate_slides,
                    simulate_monolayers=simulate_monolayers,
                    ingest=ingest,
                    source=source,
                    code=deployment.code("ingest"),
                ),
                deployment,
            )
        with dsl.Else(name="from-a-revision"):
            # A branch may point elsewhere tomorrow: never cached, and cheap.
            found = acting(fetch(study=study, repository=repository, revision=revision), deployment)
        return dsl.OneOf(packed.outputs["Output"], found.outputs["Output"])

    made: BaseComponent = data_of_the_run
    return made


Fitted = NamedTuple(  # noqa: UP014
    "Fitted",
    [
        ("search", list[Artifact]),
        ("trained", list[Model]),
        ("evaluation", list[Artifact]),
        ("artifact", list[Model]),
    ],
)


def _fit(deployment: Deployment) -> BaseComponent:
    """Every model searched, trained, evaluated and exported, side by side.

    Loops stand in graphs of their own: kfp's local runner hands a loop's item to whatever argument
    of the loop is the output of another task, and arguments of a graph are none.
    """

    @dsl.pipeline(name="fit")
    def fit_all(
        study: str,
        recipe: str,
        models: list,
        common: dict,
        data: dict,
        tune: dict,
        train: dict,
        evaluate: dict,
        export: dict,
        store: dict,
        partition: Input[Dataset],
    ) -> Fitted:
        about = {"study": study, "recipe": recipe, "common": common, "data": data}
        with dsl.ParallelFor(models) as item:
            one = {**about, "model": item.model, "store": store, "partition": partition}
            learning = {"architecture": item.params, "train": train}
            search = heavy(
                tune_(**one, **learning, tune=tune, code=deployment.code("tune")), deployment
            ).outputs["search"]
            trained = heavy(
                train_(**one, **learning, search=search, code=deployment.code("train")), deployment
            ).outputs["trained"]
            evaluation = pure(
                evaluate_(
                    **one, evaluate=evaluate, trained=trained, code=deployment.code("evaluate")
                ),
                deployment,
            ).outputs["evaluation"]
            exported = pure(
                export_(
                    **one,
                    train=train,
                    export=export,
                    search=search,
                    trained=trained,
                    evaluation=evaluation,
                    code=deployment.code("export"),
                ),
                deployment,
            ).outputs["artifact"]
        return Fitted(
            search=dsl.Collected(search),
            trained=dsl.Collected(trained),
            evaluation=dsl.Collected(evaluation),
            artifact=dsl.Collected(exported),
        )

    made: BaseComponent = fit_all
    return made


def _register(deployment: Deployment) -> BaseComponent:
    """Every artifact as a version in MLflow, one after the other: versions count in their order."""

    @dsl.pipeline(name="register")
    def register_all(
        study: str,
        recipe: str,
        models: list,
        data: dict,
        register: dict,
        search: Input[list[Artifact]],
        trained: Input[list[Model]],
        evaluation: Input[list[Artifact]],
        artifact: Input[list[Model]],
    ) -> list[Artifact]:
        with dsl.ParallelFor(models, parallelism=1) as item:
            registered = acting(
                register_(
                    study=study,
                    recipe=recipe,
                    model=item.model,
                    data=data,
                    register=register,
                    search=search,
                    trained=trained,
                    evaluation=evaluation,
                    artifact=artifact,
                    code=deployment.code("register"),
                ),
                deployment,
            )
        return dsl.Collected(registered.outputs["registration"])

    made: BaseComponent = register_all
    return made


Decided = NamedTuple("Decided", [("ranking", Artifact), ("decision", Artifact)])  # noqa: UP014


def decision(deployment: Deployment) -> BaseComponent:
    """The ranking of all versions, and the gate."""

    @dsl.pipeline(name="decision")
    def decide(
        study: str,
        recipe: str,
        models: list,
        common: dict,
        data: dict,
        register: dict,
        evaluate: dict,
        compare: dict,
        promote: dict,
        store: dict,
        partition: Input[Dataset],
        registration: Input[list[Artifact]],
    ) -> Decided:
        about = {"study": study, "recipe": recipe, "models": models, "register": register}
        ranking = deciding(
            compare_(
                **about,
                common=common,
                data=data,
                evaluate=evaluate,
                compare=compare,
                store=store,
                partition=partition,
                registration=registration,
                code=deployment.code("compare"),
            ),
            deployment,
        )
        decided = promote_(
            **about,
            promote=promote,
            ranking=ranking.outputs["ranking"],
            registration=registration,
            code=deployment.code("promote"),
        )
        with_keys(deciding(decided, deployment))
        return Decided(ranking=ranking.outputs["ranking"], decision=decided.outputs["decision"])

    made: BaseComponent = decide
    return made
