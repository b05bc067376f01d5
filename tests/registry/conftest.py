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


@pytest.fixture(scope="session")
def promoted_template(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    root = tmp_path_factory.mktemp("promoted")
    shutil.copy(template / "mlflow.db", root / "mlflow.db")
    home = Home(root, Registry(None, root))
    home.promote(1, None)
    home.promote(2, 1)
    return root


@pytest.fixture
def promoted(tmp_path: Path, promoted_template: Path) -> Home:
    """v2 is champion in place of v1."""
    for name in ("mlflow.db", "ledger/toy.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(promoted_template / name, tmp_path / name)
    return Home(tmp_path, Registry(None, tmp_path))


@pytest.fixture
def home(tmp_path: Path, template: Path) -> Home:
    """A copy of the template; the artifacts stay where they are."""
    shutil.copy(template / "mlflow.db", tmp_path / "mlflow.db")
    return Home(tmp_path, Registry(None, tmp_path))
