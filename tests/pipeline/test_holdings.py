"""A registry that lost what was registered makes `register` run again, and only then."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.registered import STUDY, fresh_registry, register
from unstained.files import write_json
from unstained.pipeline.holdings import holdings_file, look_at_registry
from unstained.registry.registration import registration_content
from unstained.registry.registry import Registry


def look(root: Path, registry: Registry) -> tuple[str, str]:
    """What is said, and the file that DVC compares."""
    said = look_at_registry(root, STUDY, registry)
    return said, (root / holdings_file(STUDY)).read_text()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with one model's version, as its registration says."""
    registry = fresh_registry(tmp_path)
    version = register(registry, tmp_path / "in", 0.0)
    place = tmp_path / "runs" / STUDY / "register" / version.model / "registration.json"
    write_json(place, registration_content(version))
    return registry


def test_nothing_is_lost_where_nothing_was_registered(tmp_path: Path) -> None:
    said, first = look(tmp_path, Registry("sqlite:////no/such/place", tmp_path))
    assert said == ""
    assert look(tmp_path, Registry("sqlite:////no/such/place", tmp_path)) == ("", first)


def test_the_file_changes_when_a_version_is_gone_and_stays_while_all_are_there(
    tmp_path: Path, registry: Registry
) -> None:
    said, first = look(tmp_path, registry)
    assert said == ""
    unasked = Registry(None, tmp_path)
    assert look(tmp_path, unasked) == ("", first)
    assert unasked._client is None, "the database is the one that was looked at"
    registry.client.delete_model_version("unstained-toy", "1")
    said, second = look(tmp_path, registry)
    assert said == (
        "toy: the registry holds v1 (cg_recnet) no more; registered again by `dvc repro`"
    )
    assert second != first
    version = register(registry, tmp_path / "in", 0.0)
    place = tmp_path / "runs" / STUDY / "register" / version.model / "registration.json"
    write_json(place, registration_content(version))
    assert look(tmp_path, registry) == ("", second)
    (tmp_path / "other").mkdir()
    said, third = look(tmp_path, fresh_registry(tmp_path / "other"))
    assert "holds v2 (cg_recnet) no more" in said
    assert third not in (first, second)


def test_a_server_that_does_not_answer_is_said_and_changes_nothing(
    tmp_path: Path, registry: Registry
) -> None:
    _, first = look(tmp_path, registry)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    said, second = look(tmp_path, Registry(address, tmp_path))
    assert second == first
    assert "was not seen" in said
    assert address in said
