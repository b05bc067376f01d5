"""Tests of one group run in one worker: they share servers that take seconds to start."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("grouped")
def test_groups_are_kept_together(request: pytest.FixtureRequest, worker_id: str) -> None:
    if worker_id == "master":
        return
    assert request.node.nodeid.endswith("@grouped"), "this pytest ignores pytest-xdist's groups"
