"""Pack raw images, put the store into the data remote, hand on its pointer."""

from kfp.dsl import Dataset, Markdown, Output

from components.base import component


@component
def ingest(
    study: str,
    recipe: str,
    code: str,
    common: dict,
    data: dict,
    simulate: dict,
    simulate_slides: dict,
    simulate_monolayers: dict,
    ingest: dict,
    source: str,
    pointer: Output[Dataset],
    summary: Output[Markdown],
) -> dict:
    """Pack raw images and return the pointer to the store."""
    from unstained.pipeline.pod import ingest_in_pod

    return ingest_in_pod(locals())
