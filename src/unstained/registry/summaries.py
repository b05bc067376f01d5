"""Summaries of cells as traces in MLflow, where prompts and texts are read beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unstained.registry.connection import explained, global_uri

if TYPE_CHECKING:
    from unstained.registry.registry import Registry
    from unstained.registry.submission import RegisteredVersion
    from unstained.summaries.telling import Summary

SUMMARIES: Final = "unstained-summaries"
"""Experiment of all traces, apart from the models'; MLflow shows its pages for language models."""


def log_summary(
    registry: Registry, version: RegisteredVersion, study: str, cell: str, summary: Summary
) -> str:
    """Log what a language model was asked and wrote, what was told, and why.

    Args:
        registry: where.
        version: whose prediction it is.
        study: key of params.yaml `studies`.
        cell: the cell's id.
        summary: what was told.

    Returns:
        The trace's id.

    Raises:
        RegistryError: MLflow failed.
    """
    told = summary.as_json()
    inputs: dict[str, Any] = {"prediction": told.pop("prediction"), "messages": [*summary.prompt]}
    tags = {
        "study": study,
        "cell": cell,
        "model_version": f"{version.name} v{version.version}",
        "artifact_digest": version.digest,
    }
    with explained(registry.uri):
        client, place = registry.client, registry.experiment(SUMMARIES, {})
        with global_uri(registry.uri):
            import mlflow

            span = client.start_trace("summary", inputs=inputs, tags=tags, experiment_id=place)
            refused = summary.refusal.detail if summary.refusal else None
            outputs = {**told, "answer": summary.answer, "detail": refused}
            client.end_trace(span.trace_id, outputs=outputs)
            mlflow.flush_trace_async_logging()
    return str(span.trace_id)
