"""Expectations and the audit for duplicates, leaks and shortcuts."""

from kfp.dsl import Dataset, Markdown, Output

from components.base import component


@component
def validate(
    study: str,
    recipe: str,
    code: str,
    common: dict,
    data: dict,
    validate: dict,
    store: dict,
    validation: Output[Dataset],
    summary: Output[Markdown],
) -> None:
    """Validate and audit a packed store."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("validate", locals())
