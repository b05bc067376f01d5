"""Projects of git and DVC that track a small packed store, and their real commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.synthetic import make_store

STUDY = "synthetic"
STORE = Path("runs", STUDY, "ingest", "store")

GIT = {
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def command(
    project: Path,
    *words: str,
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run git or dvc in a project."""
    done = subprocess.run(
        program(*words),
        cwd=project,
        env=variables(project, environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check and done.returncode:
        raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
    return done


def program(*words: str) -> list[str]:
    """A command line; `dvc` is the one beside this Python."""
    return [sys.executable, "-m", *words] if words[0] == "dvc" else list(words)


def variables(project: Path, further: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment of a project's commands; what DVC remembers of remotes is its own."""
    site = {"DVC_SITE_CACHE_DIR": str(project.parent / f"{project.name}-site")}
    return {**os.environ, **GIT, **site, "DVC_NO_ANALYTICS": "1", **(further or {})}


def make_project(path: Path) -> Path:
    """A project without a remote, whose only stage has a packed store as its output."""
    path.mkdir(parents=True)
    make_store(path / STORE, cells_per_group=4)
    command(path, "git", "init", "-q", "-b", "main")
    command(path, "dvc", "init", "-q")
    command(path, "dvc", "stage", "add", "-q", "-n", "ingest", "-o", STORE.as_posix(), "true")
    save(path, "one")
    return path


def save(project: Path, tag: str) -> str:
    """Record the store as it is in dvc.lock and git; the commit."""
    command(project, "dvc", "commit", "-q", "-f")
    command(project, "git", "add", "-A")
    command(project, "git", "commit", "-q", "-m", tag)
    command(project, "git", "tag", tag)
    return command(project, "git", "rev-parse", "HEAD").stdout.strip()


def set_remote(project: Path, address: str) -> None:
    """Make an address the project's default remote, and commit that."""
    command(project, "dvc", "remote", "add", "-q", "-f", "-d", "data", address)
    command(project, "git", "add", "-A")
    command(project, "git", "commit", "-q", "-m", "remote")
