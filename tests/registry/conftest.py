"""Fixtures of the registry's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.registered import fresh_registry, register
from tests.registry.homes import Home
from unstained.registry.registry import Registry


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("promotion")
    registry = fresh_registry(root)
    for bias in (0.0, 1.0, 2.0, 3.0):
        register(registry, root / "in", bias)
    return root


@pytest.fixture
def home(tmp_path: Path, template: Path) -> Home:
    """A copy of the template; the artifacts stay where they are."""
    shutil.copy(template / "mlflow.db", tmp_path / "mlflow.db")
    return Home(tmp_path, Registry(None, tmp_path))
