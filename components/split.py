"""Partition of the cells into train, val and test."""

from kfp.dsl import Dataset, Input, Markdown, Output

from components.base import component


@component
def split(
    study: str,
    recipe: str,
    code: str,
    common: dict,
    data: dict,
    split: dict,
    store: dict,
    validation: Input[Dataset],
    partition: Output[Dataset],
    summary: Output[Markdown],
) -> None:
    """Split cells by group or stratified."""
    from unstained.pipeline.pod import run_in_pod

    run_in_pod("split", locals())
