"""Says how a pipeline run ended: in its log, in the Kubeflow UI, and to a web hook."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from unstained.files import write_text
from unstained.secrecy import hide_secrets

HOOK: Final = "UNSTAINED_NOTIFY_URL"
TIMEOUT_S: Final = 10


def notify_in_pod(given: Mapping[str, Any]) -> None:
    """Report the end of a run.

    A web hook that does not answer is said in the log and changes nothing: the run has ended.

    Args:
        given: study, `status` (state, error_message, pipeline_job_resource_name) and `summary` as
            output.
    """
    hide_secrets()
    status = given["status"]
    text = sentence(given["study"], status.state, status.error_message)
    place = Path(given["summary"].path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_text(place, text + "\n")
    print(text)  # noqa: T201  (a pod's log is its screen)
    if hook := os.environ.get(HOOK):
        run = status.pipeline_job_resource_name
        problem = post(hook, {"text": text, "study": given["study"], "run": run})
        if problem:
            print(f"warning: {HOOK}: {problem}", file=sys.stderr)  # noqa: T201


def sentence(study: str, state: str, error: str | None) -> str:
    """What became of the run, for people."""
    if state == "SUCCEEDED":
        return f"{study}: the pipeline run succeeded"
    reason = f": {error}" if error else "; the failed task's log says why"
    return f"{study}: the pipeline run ended as {state}{reason}"


def post(url: str, content: Mapping[str, Any]) -> str | None:
    """POST JSON.

    Returns:
        What went wrong, or None.
    """
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return None
    except (OSError, ValueError, urllib.error.URLError) as error:
        return str(error)
