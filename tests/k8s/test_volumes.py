"""A promotion is written on a volume that is root's, by the user and group that pods have."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.k8s.manifests import Pod, job, pods
from tests.registered import NAME, STUDY, fresh_registry, register
from tests.registry.homes import Home
from tests.signatures import deployment_keys
from tests.stages.studies import add_toy_study
from unstained.errors import RegistryError
from unstained.registry.ledger import Ledger

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="needs root and setpriv, to make a volume of root's and be another user",
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="unstained-volume-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def rollback_pod() -> Pod:
    (pod,) = pods(job("rollback")[0])
    return pod


def mount(volume: Path, group: int) -> None:
    """What kubelet does to a volume of a pod with fsGroup: group, its rights, and setgid."""
    for path in (volume, *volume.rglob("*")):
        os.chown(path, -1, group)
        path.chmod(path.stat().st_mode | 0o660 | (0o2110 if path.is_dir() else 0))


def rollback(
    project: Path, volume: Path, pod: Pod, made: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The rollback's container, as its pod's user, who may read this machine's Python besides.

    `made`: name and key of an object that the runbook makes -> its content.
    """
    container, who = pod.spec["initContainers"][0], pod.spec["securityContext"]
    words = [*container["command"], *container["args"]]
    given = {"STUDY": STUDY, "REASON": "too many alarms"}
    for name, value in given.items():
        words = [word.replace(f"$({name})", value) for word in words]
    assert words[0] == "unstained"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PYTHONPATH": str(ROOT / "src"),
        "UNSTAINED_LEDGER": str(volume),
        "MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db",
    }
    for variable in container["env"]:
        for reference in variable.get("valueFrom", {}).values():
            content = made.get(f"{reference.get('name')}/{reference.get('key')}")
            environment |= {variable["name"]: content} if content else {}
    user = [
        f"--reuid={who['runAsUser']}",
        f"--regid={who['runAsGroup']}",
        f"--groups={who['fsGroup']}",
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
    ]
    command = ["setpriv", *user, sys.executable, "-m", "unstained.cli", *words[1:]]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def asked_by_the_pod(ledger: Ledger) -> str:
    """What a forked child, which takes the pod's user for good, is told of the lock."""
    who = rollback_pod().spec["securityContext"]
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setgid(who["runAsGroup"])
        os.setuid(who["runAsUser"])
        try:
            with ledger.locked():
                os.write(writer, b"it was written")
        except RegistryError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as told:
        return told.read().decode()


def test_a_volume_of_roots_is_told_and_what_it_says_helps(place: Path) -> None:
    """The folder is root's, and so is the lock that root's promotion left in it."""
    ledger = Ledger(place / "toy.jsonl")
    with ledger.locked():
        pass
    said = asked_by_the_pod(ledger)
    assert f"user 10001 of group 10001 may not write to {place}" in said
    assert "fsGroup" in said
    commands = re.findall(r"`(ch[^`]+)`", said)
    assert commands == [f"chgrp -R 10001 {place}", f"chmod -R g+rwX {place}"]
    for command in commands:
        subprocess.run(command.split(), check=True)
    assert asked_by_the_pod(ledger) == "it was written"


@pytest.mark.minutes
def test_a_rollback_works_on_a_volume_of_roots(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, volume, pod = place / "project", place / "ledger", rollback_pod()
    project.mkdir()
    private, public = deployment_keys(place / "keys", monkeypatch)
    made = {
        "unstained-signing/signing-key.pem": private.read_text(),
        "unstained-trust/verify-key.pem": public.read_text(),
    }
    home = Home(project, fresh_registry(project))
    for bias in (0.0, 1.0):
        register(home.registry, project / "in", bias)
    home.promote(1, None)
    home.promote(2, 1)
    shutil.copy(ROOT / "params.yaml", project)
    add_toy_study(project / "params.yaml")
    (project / "ledger").rename(volume)
    for path in (project, *project.rglob("*")):
        os.chown(path, pod.spec["securityContext"]["runAsUser"], -1)
    volume.chmod(0o755)
    assert (volume.stat().st_uid, volume.stat().st_gid) == (0, 0)

    refused = rollback(project, volume, pod, made)
    assert refused.returncode == RegistryError.exit_code, refused.stderr
    assert f"may not write to {volume}" in refused.stderr
    assert "fsGroup" in refused.stderr

    mount(volume, pod.spec["securityContext"]["fsGroup"])
    done = rollback(project, volume, pod, made)
    assert done.returncode == 0, done.stderr
    assert home.registry.aliases(NAME)["champion"] == 1
    assert "too many alarms" in (volume / f"{STUDY}.jsonl").read_text()
    assert volume.stat().st_mode & 0o7777 == 0o2775
