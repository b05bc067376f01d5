"""`unstained serve`: a registered model behind the open inference protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from unstained.cli.project import Alias, Artifact, Version, chosen_model, project_root
from unstained.errors import ParameterError, UnstainedError

Port = Annotated[int, typer.Option(min=1, max=65535, help="For REST and the page.")]
GrpcPort = Annotated[int, typer.Option("--grpc-port", min=1, max=65535, help="For gRPC.")]

FOLLOW_SECONDS: Final = 2.0
"""Between looks at the ledger, or at the link."""


def serve(
    study: Annotated[
        str | None, typer.Argument(help="Key of `studies` in params.yaml: its champion is served.")
    ] = None,
    artifact: Artifact = None,
    version: Version = None,
    alias: Alias = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Port = 8080,
    grpc_port: GrpcPort = 8081,
    token_file: Annotated[
        Path | None, typer.Option(help="File of the token that clients must send.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Answer by the INT8 graph, where one was exported.")
    ] = False,
    challenger: Annotated[
        str | None,
        typer.Option(help="Version or alias (with --artifact: directory) to compare it with ..."),
    ] = None,
    challenger_share: Annotated[
        float, typer.Option(min=0, max=1, help="... and to answer this share of requests.")
    ] = 0.0,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Exchange the model when the champion, or what --artifact leads to, changes.",
        ),
    ] = False,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file, for TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
) -> None:
    """Serve a study's champion, or an artifact, by the open inference protocol.

    UNSTAINED_TOKEN holds the token where no file does; UNSTAINED_LIMIT_CELLS and others set limits.
    """
    try:
        from unstained.serving.access import token_of
        from unstained.serving.limits import limits_of
        from unstained.serving.predictor import expected_digest
        from unstained.serving.running import Serving
        from unstained.serving.running import serve as serve_artifact
        from unstained.serving.targets import Target, source_of
    except ModuleNotFoundError as error:
        raise UnstainedError(
            f"this environment lacks the package {error.name}, which serving needs",
            "install the locked one: `make setup`",
        ) from error

    which = chosen_model(version, alias, artifact)
    if (study is None) != isinstance(which, Path):
        raise ParameterError(
            "what is served is a study's champion or version, or an artifact",
            "give the study's name, or --artifact and its directory",
        )
    if follow and (version or alias or expected_digest()):
        raise ParameterError(
            "--follow goes by the ledger, a link or a place, and something else is named",
            "leave --version and --alias away, and unset UNSTAINED_ARTIFACT_DIGEST",
        )
    if challenger_share and challenger is None:
        raise ParameterError("nobody takes the share of a challenger", "give --challenger, too")
    if (tls_certificate is None) != (tls_key is None):
        raise ParameterError(
            "TLS needs a certificate and its key", "give --tls-certificate and --tls-key"
        )
    serving = Serving(
        host=host,
        port=port,
        grpc_port=grpc_port,
        limits=limits_of(),
        token=token_of(token_file),
        certificate=tls_certificate,
        key=tls_key,
        int8=int8,
        challenger_share=challenger_share,
        follow_seconds=FOLLOW_SECONDS if follow else None,
    )
    root = project_root()
    if isinstance(which, Path):
        from unstained.operations import beside_the_ledger

        source = source_of(which)
        target = replace(source.fetch(), digest=expected_digest())
        if said := beside_the_ledger(root, target.artifact):
            typer.echo(f"note: {said}", err=True)
        beside = None if challenger is None else Target(Path(challenger).resolve(), None)
        serve_artifact(target, serving, source, beside)
    elif study is not None:
        from unstained.answering import serve_study

        serve_study(root, study, which, serving, challenger)
