"""A pipeline with the three kinds of parameters that ours have.

Without `from __future__ import annotations`: kfp reads the types of components, not their text.
"""

from pathlib import Path

from kfp import compiler, dsl, kubernetes

IMAGE = f"registry.example.org/unstained/unstained-train@sha256:{'0' * 64}"


@dsl.component(base_image=IMAGE)
def train(study: str, params: dict, models: list) -> str:
    """Any step."""
    return study + str(params) + str(models)


def compiled(path: Path, *, with_platform: bool) -> Path:
    """A package; an empty-dir volume gives it a platform document."""

    @dsl.pipeline(name="training")
    def training(study: str, params: dict, models: list = ["cg_recnet"]) -> None:  # noqa: B006
        task = train(study=study, params=params, models=models)
        if with_platform:
            kubernetes.empty_dir_mount(task, "tmp", "/tmp")

    compiler.Compiler().compile(training, str(path))
    return path
