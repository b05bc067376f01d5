"""Does the champion still see the cells that it was tested on?"""

from kfp.dsl import Artifact, Markdown, Metrics, Output

from components.base import component


@component
def monitor(
    study: str,
    recipe: str,
    code: str,
    common: dict,
    data: dict,
    register: dict,
    monitor: dict,
    store: dict,
    watch: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> None:
    """Compare new cells with the champion's test cells."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("monitor", locals())
