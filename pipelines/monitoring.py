"""The graph `monitoring`: new cells against those that the champion was tested on; recurring."""

from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.monitor import monitor as monitor_
from components.report_run import report_run
from pipelines.deployment import Deployment
from pipelines.placement import acting, reporting, with_ledger
from pipelines.training import prepare_data


def monitoring(deployment: Deployment, given: dict[str, Any]) -> BaseComponent:
    """The graph for a deployment.

    Args:
        deployment: where it runs.
        given: default of every argument, see `pipelines.arguments`. With a branch as `revision`,
            every run looks at what lies there then.
    """
    prepare = prepare_data(deployment)

    @dsl.pipeline(name="unstained-monitoring", description="Drift of cells and predictions.")
    def unstained_monitoring(
        study: str = given["study"],
        recipe: str = given["recipe"],
        repository: str = given["repository"],
        revision: str = given["revision"],
        common: dict = given["common"],
        data: dict = given["data"],
        simulate: dict = given["simulate"],
        simulate_slides: dict = given["simulate_slides"],
        simulate_monolayers: dict = given["simulate_monolayers"],
        ingest: dict = given["ingest"],
        source: str = given["source"],
        register: dict = given["register"],
        monitor: dict = given["monitor"],
    ) -> None:
        about = {"study": study, "recipe": recipe, "common": common, "data": data}
        with dsl.ExitHandler(reporting(report_run(study=study), deployment), name="run"):
            store = prepare(
                **about,
                repository=repository,
                revision=revision,
                simulate=simulate,
                simulate_slides=simulate_slides,
                simulate_monolayers=simulate_monolayers,
                ingest=ingest,
                source=source,
            ).output
            watch = monitor_(
                **about,
                register=register,
                monitor=monitor,
                store=store,
                code=deployment.code("monitor"),
            )
            with_ledger(acting(watch, deployment), deployment)

    made: BaseComponent = unstained_monitoring
    return made
