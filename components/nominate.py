"""Registered versions that are to be compared and decided about, without training anything."""

from kfp.dsl import Artifact, Output

from components.base import component


@component
def nominate(study: str, model: str, register: dict, registration: Output[Artifact]) -> None:
    """Hand on the newest registered version of one model."""
    from unstained.pipeline.pod import nominate_in_pod

    nominate_in_pod(locals())
