"""ONNX export of one model, with parity."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def export(
    study: str,
    recipe: str,
    code: str,
    model: str,
    common: dict,
    data: dict,
    train: dict,
    export: dict,
    store: dict,
    partition: Input[Dataset],
    search: Input[Artifact],
    trained: Input[Model],
    evaluation: Input[Artifact],
    artifact: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Export one model to ONNX and prove that it decides alike."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("export", locals())
