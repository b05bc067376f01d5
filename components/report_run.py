"""The last task of every run, whatever became of it: say how it ended."""

from kfp.dsl import Markdown, Output, PipelineTaskFinalStatus

from components.base import component


@component
def report_run(study: str, status: PipelineTaskFinalStatus, summary: Output[Markdown]) -> None:
    """Write how the run ended, and tell UNSTAINED_NOTIFY_URL if that is set."""
    from unstained.pipeline.notify import notify_in_pod

    notify_in_pod(locals())
