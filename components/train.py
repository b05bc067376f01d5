"""Training of one model."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def train(
    study: str,
    recipe: str,
    code: str,
    model: str,
    architecture: dict,
    common: dict,
    data: dict,
    train: dict,
    store: dict,
    partition: Input[Dataset],
    search: Input[Artifact],
    trained: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Train one model; an interrupted training goes on from its checkpoint."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("train", locals())
