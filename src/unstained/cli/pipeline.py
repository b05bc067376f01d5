"""`unstained pipeline ...`: the stages as Kubeflow pipelines, here or on a cluster.

The graphs are part of a checkout (pipelines/, components/, k8s/), not of the installed package.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unstained.cli.project import project_root
from unstained.errors import ParameterError

if TYPE_CHECKING:
    from pipelines.compiler import Compiled

pipeline_app = typer.Typer(
    name="pipeline",
    help="Compile, run, submit and schedule Kubeflow pipelines.",
    no_args_is_help=True,
)

COMPILED = Path("pipelines/compiled")

Name = Annotated[str, typer.Argument(help="training, promotion or monitoring.")]
Study = Annotated[str, typer.Option(help="Key of `studies` in params.yaml.")]
Overlay = Annotated[str, typer.Option(help="Cluster: a directory of k8s/overlays.")]
Recipe = Annotated[str | None, typer.Option(help="Other than params.yaml's.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="Other than params.yaml's.")]
Repository = Annotated[
    str, typer.Option(help="Git address of the DVC project; without it the run packs the images.")
]
Revision = Annotated[str, typer.Option(help="Commit, branch or tag in the repository.")]
Experiment = Annotated[str, typer.Option(help="Experiment in Kubeflow.")]
Promotion = Annotated[bool, typer.Option(help="Ask the gate at the end.")]


@pipeline_app.command("compile")
def compile_(
    study: Study = "nsc",
    overlay: Overlay = "gpu",
    output: Annotated[Path, typer.Option(help="Directory for the YAML files.")] = COMPILED,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="As Pipeline and PipelineVersion, to be applied.")
    ] = False,
) -> None:
    """Compile all pipelines, with a study's parameters as defaults."""
    require_graphs()
    from pipelines.compiler import GRAPHS, compile_graph, compile_resources
    from pipelines.deployment import load_deployment, require_built

    write, ending = compile_graph, "yaml"
    if kubernetes:
        require_built(project_root(), overlay)
        write, ending = compile_resources, "kubernetes.yaml"
    deployment = load_deployment(project_root(), overlay)
    for name in GRAPHS:
        made = write(name, deployment, _arguments(study), output / f"{name}.{ending}")
        typer.echo(f"{made.path}  {made.version}")


@pipeline_app.command("run")
def run_here(
    name: Name = "training",
    study: Study = "nsc",
    recipe: Recipe = None,
    models: Models = None,
    repository: Repository = "",
    revision: Revision = "",
    promotion: Promotion = True,
) -> None:
    """Run a pipeline on this machine, every task a process."""
    require_graphs()
    from pipelines.local import run_package
    from pipelines.outcome import print_outcome

    root = project_root()
    given = _arguments(study, recipe, models, repository, revision, promotion)
    target = root / "state" / "pipeline" / f"{name}.yaml"
    made = _compiled(name, "local", target, given, here=True)
    place = run_package(made.path, made.arguments, root, sys.stdout)
    print_outcome(place)


@pipeline_app.command("submit")
def submit_(
    name: Name = "training",
    study: Study = "nsc",
    overlay: Overlay = "gpu",
    recipe: Recipe = None,
    models: Models = None,
    repository: Repository = "",
    revision: Revision = "HEAD",
    promotion: Promotion = True,
    experiment: Experiment = "unstained",
    wait: Annotated[bool, typer.Option(help="Wait for the end; the status is the run's.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at the most.")] = 86400.0,
) -> int:
    """Start a run on a cluster (KFP_HOST), wait, and end with its status."""
    require_graphs()
    from pipelines.cluster import submit

    given = _arguments(study, recipe, models, repository, revision, promotion)
    made = _for_cluster(name, overlay, given)
    outcome = submit(
        made.path,
        pipeline=f"unstained-{name}",
        version=made.version,
        experiment=experiment,
        run_name=f"{study}-{name}-{made.version}",
        arguments=made.arguments,
        wait=wait,
        timeout_s=timeout,
        on_status=lambda line: typer.echo(line),
    )
    typer.echo(f"{outcome.state}  {outcome.url}")
    if outcome.error:
        typer.echo(outcome.error, err=True)
    return outcome.exit_code


@pipeline_app.command("schedule")
def schedule_(
    name: Name = "monitoring",
    study: Study = "nsc",
    overlay: Overlay = "gpu",
    recipe: Recipe = None,
    models: Models = None,
    repository: Repository = "",
    revision: Revision = "main",
    promotion: Promotion = True,
    experiment: Experiment = "unstained",
    cron: Annotated[
        str | None, typer.Option(help="Six fields, seconds first, UTC: '0 0 6 * * 1'.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="Seconds between runs.")] = None,
) -> None:
    """Run a pipeline again and again on a cluster (KFP_HOST)."""
    require_graphs()
    from pipelines.cluster import schedule

    given = _arguments(study, recipe, models, repository, revision, promotion)
    made = _for_cluster(name, overlay, given)
    made_schedule = schedule(
        made.path,
        pipeline=f"unstained-{name}",
        version=made.version,
        experiment=experiment,
        job_name=f"{study}-{name}",
        arguments=made.arguments,
        cron=cron,
        interval_s=every,
    )
    typer.echo(made_schedule.url)


def require_graphs() -> None:
    """See that the graphs can be imported.

    Raises:
        ParameterError: they are not here.
    """
    try:
        import pipelines.compiler  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("pipelines", "components"):
            raise
        raise ParameterError(
            "the pipelines are not here", "run from a checkout of the project, after `make setup`"
        ) from None


def _arguments(
    study: str,
    recipe: str | None = None,
    models: list[str] | None = None,
    repository: str = "",
    revision: str = "",
    promotion: bool = True,
) -> dict[str, Any]:
    from pipelines.arguments import run_arguments

    return run_arguments(
        project_root(),
        study,
        recipe=recipe,
        models=tuple(models or ()),
        repository=repository,
        revision=revision if repository else "",
        promotion=promotion,
    )


def _compiled(
    name: str, overlay: str, target: Path, given: dict[str, Any], *, here: bool = False
) -> Compiled:
    from pipelines.compiler import compile_graph
    from pipelines.deployment import load_deployment

    deployment = load_deployment(project_root(), overlay)
    return compile_graph(name, deployment.without_cluster() if here else deployment, given, target)


def _for_cluster(name: str, overlay: str, given: dict[str, Any]) -> Compiled:
    """Compile for a cluster.

    Raises:
        ParameterError: no image has been built, or the images are on this machine alone.
    """
    from pipelines.deployment import require_built

    source = given["data"].get("source")
    if not given["repository"] and source != "simulator":
        raise ParameterError(
            f"the images of this study are at {source!r}, which a cluster does not see",
            "run `dvc repro ingest` and `dvc push`, commit dvc.lock, and name the repository: "
            "--repository GIT_ADDRESS --revision COMMIT",
        )
    require_built(project_root(), overlay)
    target = project_root() / "state" / "pipeline" / f"{name}.yaml"
    return _compiled(name, overlay, target, given)
