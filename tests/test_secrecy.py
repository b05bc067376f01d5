"""No command prints a password or a token, whatever it is asked and however it fails."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tests.conftest import ROOT
from unstained import cli
from unstained.cli import app
from unstained.errors import UnstainedError
from unstained.pipeline.notify import notify_in_pod
from unstained.pipeline.pod import fetch_in_pod, ingest_in_pod, nominate_in_pod, run_in_pod
from unstained.secrecy import Discreet

COMPONENTS = ROOT / "components"
UNSTAINED = str(Path(sys.executable).with_name("unstained"))

PLANTED = {
    "MLFLOW_TRACKING_URI": "http://lab:Planted1password@127.0.0.1:9/mlflow",
    "MLFLOW_TRACKING_TOKEN": "Planted2token",
    "AWS_SECRET_ACCESS_KEY": "Planted3secret",
    "UNSTAINED_DATA_REMOTE": "https://lab:Planted4password@127.0.0.1:9/dvc",
    "KFP_HOST": "http://lab:Planted5password@127.0.0.1:9",
    "RAY_ADDRESS": "127.0.0.1:1",
    "UNSTAINED_LLM_API_KEY": "Planted6key",
    "UNSTAINED_MODEL_STORE": "s3://Planted7key:Planted7password@bucket/models",
}
GIT = "https://lab:Planted8password@127.0.0.1:9/project.git"

LINES = {
    "evaluate-external": ["nsc", "runs/nsc/ingest/store", "--out", "out"],
    "explain-cell": ["nsc", "no-such-cell"],
    "export-package": ["nsc", "package"],
    "grid": [],
    "init": ["nsc", "."],
    "predict": ["nsc", "runs/nsc/ingest/store"],
    "outlines": ["frames", "table.csv", "destination"],
    "serve": ["nsc", "--port", "1"],
    "make-keys": ["/proc/keys"],
    "sign": ["nsc"],
    "params": ["nsc"],
    "run": ["register", "nsc", "--model", "resnet50"],
    "configure": [],
    "holdings": ["nsc"],
    "mend": [],
    "summary": [],
    "plan": [],
    "dvc": [],
    "source": ["nsc", "/no/such/images"],
    "compare": ["nsc"],
    "rollback": ["nsc"],
    "deployment": ["nsc"],
    "history": ["nsc"],
    "cluster check": [],
    "pipeline compile": [],
    "pipeline run": ["--repository", GIT],
    "pipeline submit": ["--repository", GIT],
    "pipeline schedule": ["--repository", GIT],
}
"""What each command is asked here; most fail, for no server answers."""


def all_commands() -> set[str]:
    found = set()
    for name, one in get_command(app).commands.items():  # type: ignore[attr-defined]
        below = one.commands if isinstance(one, TyperGroup) else {"": one}
        found |= {f"{name} {sub}".strip() for sub in below}
    return found


def test_every_command_is_asked() -> None:
    assert set(LINES) == all_commands()


def test_streams_hide_secrets_and_nothing_else() -> None:
    kept = io.StringIO()
    stream = Discreet(kept, {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefghij", "C_TOKEN": "short"})
    stream.writelines(["abcdefghij abcdefgh short ", "http://u:p@ss@h/x@y u@h a:b@c s3://b/k@1\n"])
    assert stream.encoding is kept.encoding
    assert kept.getvalue() == "*** *** short http://***@h/x@y u@h a:b@c s3://b/k@1\n"


def test_a_token_without_a_name_and_a_password_in_a_query_are_secrets() -> None:
    kept = io.StringIO()
    Discreet(kept, {}).write("https://token@h/x postgresql:///db?user=u&password=p%40ss&host=h 'x'")
    assert kept.getvalue() == "https://***@h/x postgresql:///db?user=u&password=***&host=h 'x'"


def test_where_a_secret_lies_is_none() -> None:
    kept = io.StringIO()
    Discreet(kept, {"TOKEN_FILE": "/run/token"}).write("/run/token")
    assert kept.getvalue() == "/run/token"


def test_a_traceback_is_printed_without_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(standalone_mode: bool) -> None:
        raise RuntimeError(f"cannot reach {PLANTED['MLFLOW_TRACKING_URI']} with Planted2token")

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # `main` takes their place
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", PLANTED["MLFLOW_TRACKING_TOKEN"])
    monkeypatch.setenv("UNSTAINED_DEBUG", "1")
    monkeypatch.setattr(cli, "app", fails)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(RuntimeError) as caught:
        cli.main()
    sys.excepthook(caught.type, caught.value, caught.tb)  # as the interpreter ends
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "cannot reach http://***@127.0.0.1:9/mlflow with ***" in said


class Leaking(dict[str, object]):
    """Arguments of a task that print, log and raise a secret when they are looked at."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def __missing__(self, key: str) -> object:
        print("printed", "Planted2token")
        logging.getLogger("library").error("logged Planted2token")
        raise self.error


POD_ENTRIES: dict[str, Callable[[Any], object]] = {
    "run_in_pod": partial(run_in_pod, "split"),
    "ingest_in_pod": ingest_in_pod,
    "fetch_in_pod": fetch_in_pod,
    "nominate_in_pod": nominate_in_pod,
    "notify_in_pod": notify_in_pod,
}


def test_every_entry_of_a_pod_is_asked() -> None:
    calls = [re.findall(r"\w+_in_pod(?=\()", path.read_text()) for path in COMPONENTS.glob("*.py")]
    assert {name for found in calls for name in found} == set(POD_ENTRIES)


RAISED = f"raised {PLANTED['MLFLOW_TRACKING_URI']}"


@pytest.mark.parametrize("error", [UnstainedError(RAISED, "wait"), RuntimeError(RAISED)])
@pytest.mark.parametrize("entry", POD_ENTRIES)
def test_no_task_in_a_pod_prints_a_secret(
    entry: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kubeflow's executor logs to standard output before the task begins."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", PLANTED["MLFLOW_TRACKING_TOKEN"])
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    try:
        with pytest.raises((SystemExit, type(error))) as caught:
            POD_ENTRIES[entry](Leaking(error))
        sys.excepthook(caught.type, caught.value, caught.tb)  # as the interpreter ends
    finally:
        logging.getLogger().removeHandler(handler)
    out, err = capsys.readouterr()
    assert out == "printed ***\nlogged ***\n"
    assert "raised http://***@127.0.0.1:9/mlflow" in err
    assert "Planted" not in err


@pytest.mark.minutes
@pytest.mark.xdist_group("s3")
@pytest.mark.parametrize("name", LINES)
def test_no_command_prints_a_planted_secret(finished: Path, name: str) -> None:
    before = {path: path.read_bytes() for path in finished.glob("*.yaml")}
    words = [UNSTAINED, "--debug", *name.split(), *LINES[name]]
    done = subprocess.run(
        words, cwd=finished, env=os.environ | PLANTED, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    for path, content in before.items():
        path.write_bytes(content)
    assert "Planted" not in done.stdout + done.stderr
