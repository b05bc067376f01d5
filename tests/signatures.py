"""Keys of a deployment, in files that its environment names."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstained.artifact.keys import SIGN, VERIFY, make_keys


def deployment_keys(folder: Path, environment: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A pair, which this process signs and verifies with."""
    private, public = make_keys(folder, Path(__file__).parent)
    environment.setenv(SIGN, str(private))
    environment.setenv(VERIFY, str(public))
    return private, public
