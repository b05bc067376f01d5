"""Search for a model's training parameters."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Output

from components.base import component


@component
def tune(
    study: str,
    recipe: str,
    code: str,
    model: str,
    architecture: dict,
    common: dict,
    data: dict,
    tune: dict,
    train: dict,
    store: dict,
    partition: Input[Dataset],
    search: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Search for the best parameters of one model."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("tune", locals())
