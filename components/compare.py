"""All registered versions on the same test cells."""

from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Output

from components.base import component


@component
def compare(
    study: str,
    recipe: str,
    code: str,
    models: list,
    common: dict,
    data: dict,
    register: dict,
    evaluate: dict,
    compare: dict,
    store: dict,
    partition: Input[Dataset],
    registration: Input[list[Artifact]],
    ranking: Output[Artifact],
    metrics: Output[Metrics],
    summary: Output[Markdown],
) -> None:
    """Compare all versions by paired tests."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("compare", locals())
