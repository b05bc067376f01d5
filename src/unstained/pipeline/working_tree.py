"""Where the code comes from: the commit of the working tree, and the repository that it is in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def git_commit(root: Path) -> str:
    """Commit of the working tree, '-dirty' where it differs (dvc.lock aside), or 'unknown'.

    A container image holds no repository: there UNSTAINED_GIT_COMMIT, set when it was built, says
    which commit it is.
    """
    if built := os.environ.get("UNSTAINED_GIT_COMMIT"):
        return built
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return "unknown"
    clean = _git(root, "diff", "--quiet", "HEAD", "--", ".", ":(exclude,glob)**/dvc.lock")
    return head + ("-dirty" if clean is None else "")


def git_remote(root: Path) -> str:
    """Address of the repository's remote `origin` without user name and password, or ''.

    In a container image it is UNSTAINED_GIT_REMOTE, set when the image was built.
    """
    built = os.environ.get("UNSTAINED_GIT_REMOTE")
    address = built or _git(root, "remote", "get-url", "origin") or ""
    scheme, mark, rest = address.partition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _git(root: Path, *words: str) -> str | None:
    """What git prints; None where it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()
