"""One model on held-out cells."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def evaluate(
    study: str,
    recipe: str,
    code: str,
    model: str,
    common: dict,
    data: dict,
    evaluate: dict,
    store: dict,
    partition: Input[Dataset],
    trained: Input[Model],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Evaluate one model."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("evaluate", locals())
