"""Controls beside the best model, and the record of all models."""

from kfp.dsl import Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def controls(
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
    evaluation: Input[list[Artifact]],
    record: Output[Artifact],
    metrics: Output[Metrics],
    curves: Output[ClassificationMetrics],
) -> None:
    """Set controls beside the best model."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("controls", locals())
