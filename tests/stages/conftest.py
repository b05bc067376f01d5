"""What holds for the tests of all stages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unstained.evaluation import controls


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Small forests for the controls: their numbers are the matter of tests/evaluation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "TREES", 15)
        yield
