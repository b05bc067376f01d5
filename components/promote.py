"""The gate between the best new version and the alias champion."""

from kfp.dsl import Artifact, Input, Markdown, Metrics, Output

from components.base import component


@component
def promote(
    study: str,
    recipe: str,
    code: str,
    models: list,
    register: dict,
    promote: dict,
    ranking: Input[Artifact],
    registration: Input[list[Artifact]],
    decision: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> None:
    """Promote the best new version if the gate lets it."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("promote", locals())
