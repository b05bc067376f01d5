"""The runbook's commands run in their order, read from the page, with stand-ins of its tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import EXTERNAL, JOBS, OVERLAYS, ROOT, job, overlay
from tests.k8s.test_check import edit, fill

PAGE = ROOT / "k8s" / "RUNBOOK.md"
STAND_INS = ROOT / "tests" / "k8s" / "stand_ins"
TOOLS = ("kubectl", "kustomize", "helm", "git", "docker", "openssl", "unstained")
SECRETS = ("S3", "SERVING", "BACKUP")
OTHERS = {
    "deployment/cert-manager-webhook",
    "deployment/ml-pipeline",
    "job/backup-now",
    "job/first-backup",
    "configmap/docker-registry",
}
"""Objects that others install, or that the page itself makes."""


FENCED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return FENCED.findall(PAGE.read_text())


def words() -> str:
    """The commands with continued lines joined and comments taken off."""
    text = "\n".join(blocks()).replace("\\\n", " ")
    return re.sub(r"(?m)(^|\s)# .*$|\s+# [a-z].*$", "", text)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled-in copy of the project with finished stages, and stand-ins in bin/."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests")
    home = tmp_path_factory.mktemp("runbook")
    shutil.copytree(ROOT / "k8s", home / "k8s")
    shutil.copy(ROOT / "params.yaml", home)
    edit(home / "k8s/images/kustomization.yaml", {"0" * 64: "5e" * 32, "example": "lab"})
    for name in ("gpu", "prod"):
        fill(home, name)
    for stage in ("ingest", "split", "tune", "train"):
        (home / "runs/nsc" / stage).mkdir(parents=True)
    (home / "bin").mkdir()
    for tool in TOOLS:
        (home / "bin" / tool).symlink_to(
            STAND_INS / ("kubectl.sh" if tool == "kubectl" else "tool.sh")
        )
    return home


def run(home: Path, script: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a script; the log has one line a call of a tool."""
    log = home / "calls.log"
    log.write_text("")
    keys = {f"{name}_{part}": "0a1b" for name in SECRETS for part in ("KEY_ID", "SECRET")}
    environment = {
        **keys,
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "REAL_KUBECTL": shutil.which("kubectl") or "",
        "HOME": str(home),
        "LOG": str(log),
        "PAUSE": "0",
        "REGISTRY": "registry.lab.net/unstained",
        "BASE_IMAGE": "python@sha256:" + "5e" * 32,
        **variables,
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment, capture_output=True, text=True
    )
    return done, log.read_text()


@pytest.mark.parametrize("name", [pytest.param("local", marks=pytest.mark.minutes), "prod"])
def test_the_page_runs_from_its_first_command_to_its_last(bench: Path, name: str) -> None:
    kind = "cpu" if name == "local" else "gpu"
    script = "\n".join(blocks()).replace("OVERLAY=gpu KIND=gpu", f"OVERLAY={name} KIND={kind}")
    done, calls = run(bench, script)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"apply --server-side --force-conflicts -k k8s/overlays/{name}" in calls
    assert calls.index("deployment/cert-manager-webhook") < calls.index("kserve-crd")
    assert calls.index("cluster check") < calls.index(f"-k k8s/overlays/{name}")
    assert ("kube-prometheus-stack" in calls) is (name == "prod")
    for image in yaml.safe_load((ROOT / "k8s/images/kustomization.yaml").read_text())["images"]:
        assert f"kustomize edit set image {image['name']}=" in calls
    for part in JOBS:
        if "/" not in part or part.endswith(f"/{kind}"):
            assert f"create -k k8s/jobs/{part}\n" in calls, part
    for kind_, named in EXTERNAL.items():
        for made in named:
            verb = "secret generic" if kind_ == "Secret" else "configmap"
            assert f"create {verb} {made} " in calls, made
            assert keys_made(calls, made) == named[made]
    assert not re.search(r"0a1b|0123456789abcdef", calls), "a secret on a command line"


def keys_made(calls: str, name: str) -> set[str]:
    """Keys of a secret or config map that the page's commands made."""
    by_hand = re.findall(rf"(?m)^{name}: (.*)$", calls)
    called = "".join(re.findall(rf"(?m)^kubectl create .* {name} (.*)$", calls))
    named = re.findall(r"--from-(?:literal|file)=([\w.-]+)=", called)
    named += re.findall(r"--from-file=([\w.-]+)(?= )", called)
    return {*named, *(key for line in by_hand for key in line.split())}


def test_the_page_says_what_every_image_stands_for() -> None:
    images = yaml.safe_load((ROOT / "k8s/images/kustomization.yaml").read_text())["images"]
    rows = "".join(re.findall(r"(?m)^\| (`.*?) \|", PAGE.read_text()))
    assert {image["name"] for image in images} == set(re.findall(r"`([\w-]+)`", rows))


def test_values_that_are_missing_end_it_at_once(bench: Path) -> None:
    done, calls = run(bench, "\n".join(blocks()), S3_SECRET="")
    assert done.returncode != 0
    assert "S3_SECRET" in done.stderr
    assert calls == ""


@pytest.mark.parametrize(
    ("job_name", "state", "status"),
    [
        ("job/unstained-restore", "  SuccessCriteriaMet Complete", 0),
        ("job/unstained-restore", "  FailureTarget Failed", 1),
        ("rayjob/unstained-tune", "SUCCEEDED Complete ", 0),
        ("rayjob/unstained-tune", "SUCCEEDED Running ", 124),
        ("rayjob/unstained-tune", "FAILED Running ", 124),
        ("rayjob/unstained-tune", "FAILED Retrying ", 124),
        ("rayjob/unstained-tune", "FAILED Failed ", 1),
        ("rayjob/unstained-tune", " ValidationFailed ", 1),
        ("rayjob/unstained-tune", "STOPPED Complete ", 1),
        ("rayjob/unstained-tune", "RUNNING Running ", 124),
        ("trainjob/unstained-train", "  Complete", 0),
        ("trainjob/unstained-train", "  Failed", 1),
        ("trainjob/unstained-train", "  ", 124),
    ],
)
def test_waiting_ends_with_the_job_however_it_ends(
    bench: Path, job_name: str, state: str, status: int
) -> None:
    done, calls = run(bench, f"k8s/wait.sh {job_name} 10", STATE=state)
    assert done.returncode == status
    assert ("logs job/" in calls or "describe" in calls) is (status == 1)


def test_a_failed_restore_ends_the_page(bench: Path) -> None:
    restore = next(block for block in blocks() if "BACKUP=" in block)
    done, calls = run(bench, f"{blocks()[0]}\n{restore}", STATE="  FailureTarget Failed")
    assert done.returncode == 1
    assert "unstained-restore failed" in done.stderr
    assert "--replicas=1" not in calls


SECTIONS = re.findall(r"(?m)^## (.*)$", PAGE.read_text())
TOOL = re.compile(rf"(?:{'|'.join(TOOLS)}) ")


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(title, marks=[pytest.mark.minutes] if title == "Install" else [])
        for title in SECTIONS
        if title != "Out of GPUs"
    ],
)
def test_a_command_that_fails_is_the_last_one(bench: Path, title: str) -> None:
    """What one command fails at, the next one must not see."""
    before, _, rest = PAGE.read_text().partition(f"## {title}\n")
    section = "\n".join(re.findall(FENCED, rest.partition("\n## ")[0]))
    functions = re.findall(
        r"(?ms)^[a-z0-9]+\(\) (?:\{(?: +#[^\n]*)?\n.*?^\}|\{ [^\n]+\})",
        "\n".join(re.findall(FENCED, before)),
    )
    anew = "rm -rf k8s/kubeflow/upstream k8s/kubeflow/*.env ~/unstained-keys*; date() { echo 1; }"
    keys = "mkdir ~/unstained-keys; touch ~/unstained-keys/verify-key.pem"
    start = ["set -euo pipefail", "OVERLAY=gpu KIND=gpu", anew, keys]
    script = "\n".join([*start, *functions, section])
    done, calls = run(bench, script, REAL_KUBECTL="true")
    assert done.returncode == 0, done.stderr
    lines = [line for line in dict.fromkeys(calls.splitlines()) if TOOL.match(line)]
    assert lines
    for line in lines:
        done, calls = run(bench, script, FAILING=line, REAL_KUBECTL="true")
        assert done.returncode, line
        after = [c for c in calls.partition(f"{line}\n")[2].splitlines() if TOOL.match(c)]
        assert len(after) <= 1, (line, after)
        assert all(one.endswith(("-f -", "-o yaml")) for one in after), "the other end of a pipe"


def test_every_object_and_path_that_is_named_is_there() -> None:
    made = {
        f"{item['kind'].lower()}/{item['metadata']['name']}"
        for part in (*map(overlay, OVERLAYS), *map(job, JOBS))
        for item in part
    }
    made |= {name.replace("horizontalpodautoscaler", "hpa") for name in made}
    text = words()
    kinds = "deployment|statefulset|cronjob|job|rayjob|trainjob|hpa"
    named = {
        name
        for name in re.findall(rf"(?<![\w/])((?:{kinds})/[a-z0-9-]+)", text)
        if not name.endswith("-")
    }
    assert named - OTHERS <= made, named - OTHERS - made
    for path in re.findall(r"\bk8s/[\w./-]+", PAGE.read_text()):
        ours = path.rstrip("./")
        if not ours.startswith(("k8s/kubeflow/upstream", "k8s/overlays", "k8s/jobs/")):
            assert (ROOT / ours).exists() or ours.endswith(".env"), path


def test_what_is_installed_is_pinned_and_tools_are_listed() -> None:
    text = words()
    for line in text.splitlines():
        if "helm upgrade" in line:
            assert re.search(r"--version v?\d+\.\d+\.\d+", line), line
        if "git clone" in line:
            assert re.search(r"--branch \d+\.\d+\.\d+ ", line), line
    assert not re.search(r"https://\S+/(main|master|latest)/", text)
    listed = PAGE.read_text().partition("Needs here:")[2].partition("Needs there")[0]
    used = set(re.findall(r"(?m)(?:^|[|(&;] ?|\$\()\s*([a-z][\w-]+)(?= )", text))
    shell = {"set", "for", "do", "done", "if", "then", "fi", "printf", "echo", "cd", "umask"}
    shell |= {"cat", "date", "ln", "mv", "tail", "metadata"}  # of every Unix; a part of a path
    shell |= set(re.findall(r"(?m)^(\w+)\(\)", text))
    assert {name for name in used if name not in shell} <= set(re.findall(r"[a-z0-9]+", listed))
