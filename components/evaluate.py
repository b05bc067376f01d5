"""All models on held-out cells, beside controls."""

from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def evaluate(
    study: str,
    recipe: str,
    code: str,
    models: list,
    common: dict,
    data: dict,
    evaluate: dict,
    store: dict,
    validation: Input[Dataset],
    partition: Input[Dataset],
    trained: Input[list[Model]],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
) -> None:
    """Evaluate all models."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("evaluate", locals())
