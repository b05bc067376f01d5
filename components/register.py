"""An exported model becomes a version in MLflow."""

from kfp.dsl import Artifact, Input, Metrics, Model, Output

from components.base import component


@component
def register(
    study: str,
    recipe: str,
    code: str,
    model: str,
    data: dict,
    register: dict,
    search: Input[list[Artifact]],
    trained: Input[list[Model]],
    evaluation: Input[list[Artifact]],
    artifact: Input[list[Model]],
    registration: Output[Artifact],
    metrics: Output[Metrics],
) -> None:
    """Register one exported model."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("register", locals())
