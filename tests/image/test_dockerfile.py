"""What the images promise, read from the Dockerfile; test_serve_image.py builds one for real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.image.dockerfile import Dockerfile, read_dockerfile

FINAL = ("train", "serve")
HEAVY = ("torch", "mlflow", "ray", "kfp", "dvc", "great-expectations", "scikit-learn")


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> Dockerfile:
    return read_dockerfile(repository / "Dockerfile")


def locked(path: Path) -> dict[str, str]:
    """Name -> text of each requirement of a lock file."""
    blocks = re.split(r"\n(?=[a-z])", path.read_text())
    return {block.partition("==")[0].strip(): block for block in blocks if "==" in block}


def test_the_base_is_an_argument_without_default(dockerfile: Dockerfile) -> None:
    assert [(each.keyword, each.value) for each in dockerfile.head] == [("ARG", "BASE_IMAGE")]
    bases = {stage.base for stage in dockerfile.stages.values()}
    assert bases - set(dockerfile.stages) == {"${BASE_IMAGE}"}


def test_no_tag_and_no_address_is_named(repository: Path) -> None:
    text = (repository / "Dockerfile").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "latest" not in code
    assert "syntax=" not in text
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
    assert not re.search(r"--(extra-)?index-url|--trusted-host|--find-links", text)


def test_nothing_is_added_by_address_and_no_here_document_is_used(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.stages.values():
        assert not stage.all("ADD")
        for run in stage.all("RUN"):
            assert "<<" not in run.value
            assert not re.search(r"\b(curl|wget|apt-get|apk)\b", run.value)


@pytest.mark.parametrize("target", FINAL)
def test_final_images_run_as_a_number_that_is_not_root(dockerfile: Dockerfile, target: str) -> None:
    user = dockerfile.stages[target].last("USER")
    assert user is not None
    assert user.value == "10001:10001"


@pytest.mark.parametrize("target", FINAL)
def test_final_images_hold_copies_and_run_nothing(dockerfile: Dockerfile, target: str) -> None:
    stage = dockerfile.stages[target]
    assert not stage.all("RUN")
    copies = [copy.value.split() for copy in stage.all("COPY")]
    assert copies == [
        [f"--from=build-{target}", "/opt/venv", "/opt/venv"],
        [f"--from=build-{target}", "/usr/share/unstained", "/usr/share/unstained"],
    ]
    entry = stage.last("ENTRYPOINT")
    assert entry is not None
    assert entry.words() == ["unstained"]


@pytest.mark.parametrize("target", FINAL)
def test_final_images_write_only_to_mounts(dockerfile: Dockerfile, target: str) -> None:
    settings = " ".join(env.value for stage in dockerfile.chain(target) for env in stage.all("ENV"))
    variables = dict(pair.split("=", 1) for pair in settings.split())
    assert variables["HOME"] == "/home/unstained"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    for name in ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        assert variables[name].startswith("/tmp")
    assert variables["PATH"].startswith("/opt/venv/bin:")


@pytest.mark.parametrize("target", FINAL)
def test_final_images_say_where_they_come_from(dockerfile: Dockerfile, target: str) -> None:
    stage = dockerfile.stages[target]
    labels = " ".join(label.value for label in stage.all("LABEL"))
    for name in ("title", "licenses", "revision", "base.name"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert 'revision="${GIT_COMMIT}"' in labels
    assert 'source="${GIT_REMOTE}"' in labels
    arguments = {arg.value.partition("=")[0] for arg in stage.all("ARG")}
    assert arguments == {"BASE_IMAGE", "GIT_COMMIT", "GIT_REMOTE"}


def test_serve_has_a_health_check_and_serves_the_mounted_model(dockerfile: Dockerfile) -> None:
    stage = dockerfile.stages["serve"]
    health, command = stage.last("HEALTHCHECK"), stage.last("CMD")
    assert health is not None
    assert "/v2/health/ready" in health.value
    assert command is not None
    assert command.words() == ["serve", "--artifact", "/mnt/models", "--host", "0.0.0.0"]


def test_only_locked_distributions_are_fetched(dockerfile: Dockerfile, repository: Path) -> None:
    fetched = []
    for stage in dockerfile.stages.values():
        for run in stage.all("RUN"):
            for command in re.split(r"&&|;", run.value):
                if re.search(r"\bpip\b.* (install|wheel)\b", command) and (
                    "--no-index" not in command
                ):
                    assert "--require-hashes" in command
                    assert "--no-deps" in command
                    fetched += re.findall(r"-r (\S+)", command)
    expected = ["requirements-build.lock", "requirements.lock", "requirements-serve.lock"]
    assert fetched == expected
    for name in expected:
        for requirement, text in locked(repository / name).items():
            assert "--hash=sha256:" in text, requirement
        assert "://" not in (repository / name).read_text()


def test_what_serves_is_small_and_what_trains_tested(repository: Path) -> None:
    serve = locked(repository / "requirements-serve.lock")
    train = locked(repository / "requirements.lock")
    assert not set(HEAVY) & set(serve)
    assert {"starlette", "onnxruntime", "numpy", "safetensors", "tifffile"} <= set(serve)
    for name in ("numpy", "onnxruntime", "safetensors", "pydantic"):
        assert version(serve[name]) == version(train[name])


def version(text: str) -> str:
    return text.split()[0].partition("==")[2]


def test_the_context_lets_only_sources_in(repository: Path, dockerfile: Dockerfile) -> None:
    lines = (repository / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.removeprefix("./")
        for stage in dockerfile.stages.values()
        for copy in stage.all("COPY")
        if "--from" not in copy.value
        for word in copy.value.split()[:-1]
    }
    assert copied == allowed
