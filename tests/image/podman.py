"""Builds the images with podman where no registry can be reached, on a base made from Debian.

The stand-in base is bookworm with its Python 3.11 and venv, without documentation, as the official
slim image is made. It proves the steps of the Dockerfile, not the official base.

    python -m tests.image.podman serve        # or train; prints name, size and seconds

Environment, all optional: UNSTAINED_BASE_IMAGE, a base image to use instead of the stand-in;
UNSTAINED_BUILD_CA, a bundle of certificates that the build must trust; UNSTAINED_BUILD_PIP, a pip
configuration for the build.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("podman", "runc", "mmdebstrap")
BASE = "localhost/unstained-base:bookworm"

# Default limits above the hard ones are refused, and so are cgroups of mixed versions by crun.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:16384", "nproc=4096:8192"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""

MOUNTS = {
    "UNSTAINED_BUILD_CA": "/etc/ssl/certs/ca-certificates.crt",
    "UNSTAINED_BUILD_PIP": "/etc/pip.conf",
}


def missing_tools() -> list[str]:
    """Programs that are not on this machine."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


@contextmanager
def configured() -> Iterator[None]:
    """podman's settings for machines without systemd and without raised limits."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(SETTINGS)
        file.flush()
        before = os.environ.get("CONTAINERS_CONF")
        os.environ["CONTAINERS_CONF"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["CONTAINERS_CONF"]
            else:
                os.environ["CONTAINERS_CONF"] = before


def podman(*arguments: str, check: bool = True) -> str:
    """Standard output of a podman command; its messages are shown when it fails."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"podman {' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr}")
    return done.stdout.strip()


def base_image() -> str:
    """The base: the one that the environment names, or the stand-in, made if it is not there."""
    if named := os.environ.get("UNSTAINED_BASE_IMAGE"):
        return named
    if not podman("images", "--quiet", BASE):
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "base.tar"
            _bootstrap(archive)
            podman("import", str(archive), BASE)
    return BASE


def _bootstrap(archive: Path) -> None:
    left_out = ("doc", "man", "locale")
    subprocess.run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in left_out),
            '--customize-hook=ln -s /usr/bin/python3 "$1/usr/local/bin/python3"',
            '--customize-hook=rm -r "$1/var/lib/apt/lists" "$1/var/cache/apt"',
            "bookworm",
            str(archive),
        ],
        check=True,
    )


def build(target: str, tag: str, commit: str) -> None:
    """Build one target of the Dockerfile."""
    mounts = [
        f"--volume={Path(os.environ[name]).resolve()}:{place}:ro"
        for name, place in MOUNTS.items()
        if os.environ.get(name)
    ]
    podman(
        "build",
        "--format=docker",  # the OCI format has no health check
        "--network=host",
        *mounts,
        f"--build-arg=BASE_IMAGE={base_image()}",
        f"--build-arg=GIT_COMMIT={commit}",
        f"--target={target}",
        f"--tag={tag}",
        str(ROOT),
    )


def inspect(image: str) -> dict[str, Any]:
    """podman's description of an image."""
    found: dict[str, Any] = json.loads(podman("image", "inspect", image))[0]
    return found


def main() -> None:
    """Build the target that the command line names."""
    target = sys.argv[1]
    tag = f"localhost/unstained-{target}:local"
    with configured():
        base = base_image()
        start = time.monotonic()
        build(target, tag, "unknown")
        seconds = time.monotonic() - start
        sizes = [inspect(image)["Size"] / 1e6 for image in (tag, base)]
    print(f"{tag}: {sizes[0]:.0f} MB on a base of {sizes[1]:.0f} MB, built in {seconds:.0f} s")


if __name__ == "__main__":
    main()
