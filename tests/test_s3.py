"""DVC and pointers against a real S3 server: push, pull, interruption, refusal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from tests.servers.ceph import S3Server
from tests.servers.process import free_port
from tests.servers.stall import stalling
from tests.tracked import STORE, STUDY, command, make_project, program, set_remote, variables
from unstained.data.remote.pointers import StorePointer, locate_store, pull_store, push_store
from unstained.errors import IntegrityError, StoreError
from unstained.files import tree_sha256

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")

REFUSED = {"AWS_SECRET_ACCESS_KEY": "wrong"}
PUSH = (
    "import sys; from pathlib import Path; from unstained.data.remote.pointers import push_store; "
    "push_store(Path(sys.argv[1]), sys.argv[2], sys.argv[3])"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def bucket(s3_environment: S3Server) -> str:
    return s3_environment.new_bucket()


@pytest.fixture
def tracked(template: Path, bucket: str, tmp_path: Path) -> Path:
    """A project that tracks a store and has an empty bucket as its DVC remote."""
    project = Path(shutil.copytree(template, tmp_path / "project", symlinks=True))
    set_remote(project, f"s3://{bucket}/data")
    return project


def clone(project: Path) -> Path:
    """A second clone of a project, without its cache."""
    command(project.parent, "git", "clone", "-q", str(project), "clone")
    return project.parent / "clone"


def written(server: S3Server, bucket: str) -> dict[str, datetime]:
    """When each object of a bucket was last written."""
    found = server.client().list_objects_v2(Bucket=bucket).get("Contents", ())
    return {entry["Key"]: entry["LastModified"] for entry in found}


def kill_while_stalled(
    server: S3Server, words: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> None:
    """Run a command that uploads, and kill it when some objects are there and others are not."""
    with stalling(server.endpoint, uploads=8) as stall:
        process = subprocess.Popen(
            list(words),
            cwd=cwd,
            env={**environment, "AWS_ENDPOINT_URL": stall.endpoint},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert stall.stalled.wait(120), "nothing was uploaded"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_second_clone_pulls_the_same_bytes(tracked: Path, tmp_path: Path) -> None:
    command(tracked, "dvc", "push", "-q")
    second = clone(tracked)
    command(second, "dvc", "pull", "-q")
    digest = tree_sha256(tracked / STORE)
    assert tree_sha256(second / STORE) == digest
    pointer = locate_store(f"file://{tracked}", "main", STUDY)
    assert pointer.remote.startswith("s3://")
    assert tree_sha256(pull_store(pointer, tmp_path / "pulled")) == digest
    assert tree_sha256(pull_store(pointer, tmp_path / "linked", tmp_path / "cache")) == digest


def test_dvc_pulls_what_we_push(tracked: Path, bucket: str) -> None:
    pointer = push_store(tracked / STORE, f"s3://{bucket}/data", STUDY)
    assert pointer == locate_store(str(tracked), "", STUDY)
    second = clone(tracked)
    command(second, "dvc", "pull", "-q")
    assert tree_sha256(second / STORE) == tree_sha256(tracked / STORE)
    assert "up to date" in command(tracked, "dvc", "push").stdout


@pytest.mark.parametrize("by", ["dvc", "us"])
def test_an_interrupted_push_goes_on(
    by: str, tracked: Path, bucket: str, s3: S3Server, tmp_path: Path
) -> None:
    ours = [sys.executable, "-c", PUSH, str(tracked / STORE), f"s3://{bucket}/data", STUDY]
    push = program("dvc", "push", "-q") if by == "dvc" else ours
    environment = variables(tracked)
    kill_while_stalled(s3, push, tracked, environment)
    before = written(s3, bucket)
    assert before
    assert not [name for name in before if name.endswith(".dir")]
    with pytest.raises(StoreError, match="does not hold the whole") as caught:
        locate_store(str(tracked), "", STUDY)
    assert "dvc push" in caught.value.remedy

    subprocess.run(push, cwd=tracked, env=environment, check=True, capture_output=True)
    after = written(s3, bucket)
    assert len(after) > len(before)
    assert {name: after[name] for name in before} == before
    pulled = pull_store(locate_store(str(tracked), "", STUDY), tmp_path / "pulled")
    assert tree_sha256(pulled) == tree_sha256(tracked / STORE)


def test_an_interrupted_pull_leaves_nothing(tracked: Path, bucket: str, s3: S3Server) -> None:
    pointer = push_store(tracked / STORE, f"s3://{bucket}/data", STUDY)
    names = sorted(s3.names(bucket))
    s3.client().delete_object(Bucket=bucket, Key=next(n for n in names if n[-4:] != ".dir"))
    with pytest.raises(StoreError, match="does not hold the whole"):
        pull_store(pointer, tracked / "pulled")
    assert not [path for path in tracked.iterdir() if "pulled" in path.name]
    second = clone(tracked)
    assert command(second, "dvc", "pull", check=False).returncode
    assert not (second / STORE / "manifest.json").exists()


@pytest.mark.parametrize("with_cache", [False, True])
def test_bytes_changed_in_the_bucket_are_found(
    with_cache: bool, tracked: Path, bucket: str, s3: S3Server, tmp_path: Path
) -> None:
    pointer = push_store(tracked / STORE, f"s3://{bucket}/data", STUDY)
    victim = next(name for name in s3.names(bucket) if not name.endswith(".dir"))
    s3.client().put_object(Bucket=bucket, Key=victim, Body=b"other bytes")
    with pytest.raises(IntegrityError, match="damaged"):
        pull_store(pointer, tmp_path / "pulled", tmp_path / "cache" if with_cache else None)
    assert not (tmp_path / "pulled").exists()


def every_way(project: Path, pointer: StorePointer, remote: str) -> list[StoreError]:
    """What pushing, locating and pulling say of a remote that does not work."""
    errors = []
    for act in (
        lambda: push_store(project / STORE, remote, STUDY),
        lambda: locate_store(str(project), "", STUDY, remote),
        lambda: pull_store(pointer.model_copy(update={"remote": remote}), project / "pulled"),
    ):
        with pytest.raises(StoreError) as caught:
            act()
        errors.append(caught.value)
    assert not (project / "pulled").exists()
    return errors


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_a_wrong_key_is_told(
    variable: str, tracked: Path, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer = locate_store(str(tracked), "", STUDY, str(tracked / ".dvc" / "cache"))
    monkeypatch.setenv(variable, "wrong")
    for error in every_way(tracked, pointer, f"s3://{bucket}/data"):
        assert s3.endpoint in error.message
        assert "refused" in error.message
        assert "AWS_SECRET_ACCESS_KEY" in error.remedy
    pushed = command(tracked, "dvc", "push", check=False)
    assert pushed.returncode
    assert "Traceback" not in pushed.stderr
    assert s3.names(bucket) == []


def test_a_missing_bucket_is_told(tracked: Path, s3_environment: S3Server) -> None:
    pointer = locate_store(str(tracked), "", STUDY, str(tracked / ".dvc" / "cache"))
    for error in every_way(tracked, pointer, "s3://no-such-bucket/data"):
        assert s3_environment.endpoint in error.message
        assert "no bucket 'no-such-bucket'" in error.message
    set_remote(tracked, "s3://no-such-bucket/data")
    pushed = command(tracked, "dvc", "push", check=False)
    assert pushed.returncode
    assert "NoSuchBucket" in pushed.stderr
    assert "Traceback" not in pushed.stderr


def test_a_server_that_is_not_there_is_told(
    tracked: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer = locate_store(str(tracked), "", STUDY, str(tracked / ".dvc" / "cache"))
    remote = f"s3://{bucket}/data"
    for endpoint in (f"http://127.0.0.1:{free_port()}", "nonsense"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for error in every_way(tracked, pointer, remote):
            assert endpoint in error.message
            assert "AWS_ENDPOINT_URL" in error.remedy
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for error in every_way(tracked, pointer, remote):
        assert "credentials" in error.message.lower()
        assert "set AWS_ACCESS_KEY_ID" in error.remedy
