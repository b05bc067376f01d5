"""`unstained cluster ...`: the objects of a cluster, before they are applied.

They are part of a checkout (k8s/), not of the installed package.
"""

from __future__ import annotations

import typer

from unstained.cli.pipeline import Overlay, require_graphs
from unstained.cli.project import project_root

cluster_app = typer.Typer(
    name="cluster", help="What is applied to a Kubernetes cluster.", no_args_is_help=True
)


@cluster_app.callback()
def group() -> None:
    """Keeps `check` a sub-command while it is the only one."""


@cluster_app.command()
def check(overlay: Overlay = "gpu") -> None:
    """Refuse placeholders, and print what `kubectl apply` would apply."""
    require_graphs()
    from pipelines.manifests import check_overlay

    found = check_overlay(project_root(), overlay)
    for heading, lines in (
        ("settings", found.settings),
        ("images", found.images),
        ("objects", found.objects),
    ):
        typer.echo(f"{heading}:")
        for line in lines:
            typer.echo(f"  {line}")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
