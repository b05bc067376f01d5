"""The pages of a study: its report and the leaderboard."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output

from components.base import component


@component
def report(
    study: str,
    recipe: str,
    models: list,
    common: dict,
    data: dict,
    evaluate: dict,
    register: dict,
    report: dict,
    store: dict,
    validation: Input[Dataset],
    trained: Input[list[Model]],
    evaluation: Input[list[Artifact]],
    record: Input[Artifact],
    registration: Input[list[Artifact]],
    ranking: Input[Artifact],
    decision: Input[Artifact],
    code: str,
    pages: Output[Artifact],
    page: Output[HTML],
    leaderboard: Output[HTML],
) -> None:
    """Write the pages, and attach them to this run's versions."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("report", locals())
