"""File systems of a test's own, in a namespace that no other process sees."""

from __future__ import annotations

import functools
import shutil
import subprocess

PRIVATE = ("unshare", "--map-root-user", "--mount")
"""A command after these may mount, whoever runs it."""


@functools.cache
def can_mount() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(
            [*PRIVATE, "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True,
            check=False,
        ).returncode
    )
