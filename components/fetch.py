"""Find the packed store of a DVC revision; the pointer goes on, pixels stay where they are."""

from kfp.dsl import Dataset, Output

from components.base import component


@component
def fetch(study: str, repository: str, revision: str, pointer: Output[Dataset]) -> dict:
    """Return the pointer to a study's store at a DVC revision."""
    from unstained.pipeline.pod import fetch_in_pod

    return fetch_in_pod(locals())
