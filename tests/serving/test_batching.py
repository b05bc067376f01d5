"""Requests that wait together, over a graph that can be held: order, fairness, limits, leaving."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from unstained.serving.batching import PIECE, Batcher, Found
from unstained.serving.limits import Limits
from unstained.serving.predictor import BATCH, Tensor
from unstained.serving.refusals import RequestError


class Held:
    """A predictor that answers each cell's first pixel, when it is let go."""

    outputs = (
        Tensor("first", "float32", (-1,), {}),
        Tensor("probabilities", "float32", (-1, 2), {"classes": ["a", "b"]}),
    )

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.running = threading.Semaphore(0)
        self.error: Exception | None = None

    def predict_batch(self, pixels: np.ndarray, wanted: set[str]) -> Found:
        first = pixels[:, 0, 0, 0]
        self.batches.append(first.tolist())
        self.running.release()
        assert self.go.wait(20)
        if self.error:
            raise self.error
        both = np.stack([first, first], axis=1).astype(np.float32)
        return {"first": first.astype(np.float32), "probabilities": both}


def cells(first: int, count: int = 1, side: int = 2) -> np.ndarray:
    """Cells that are numbered by their first pixel."""
    pixels = np.zeros((count, 1, side, side), np.uint16)
    pixels[:, 0, 0, 0] = np.arange(first, first + count)
    return pixels


def during(
    check: Callable[[Held, Batcher], Coroutine[Any, Any, None]], lanes: int = 1, **limits: int
) -> Held:
    """Run a check beside a batcher."""
    held = Held()

    async def run() -> None:
        batcher = Batcher(held, Limits(**limits), lanes)  # type: ignore[arg-type]
        try:
            await check(held, batcher)
        finally:
            held.go.set()
            batcher.close()

    asyncio.run(run())
    return held


async def started(held: Held, batches: int = 1) -> None:
    """Wait until lanes work on as many batches."""
    for _ in range(batches):
        await asyncio.to_thread(held.running.acquire, True, 20)


def test_what_gathers_while_the_lanes_work_goes_together_and_comes_back_in_order() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        alone = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        rest = [asyncio.create_task(batcher.judge(cells(n, 2), ["first"])) for n in (10, 20, 30)]
        await asyncio.sleep(0)
        assert batcher.queued == 6
        held.go.set()
        assert set(await alone) == {"first", "probabilities"}
        for number, found in zip((10, 20, 30), await asyncio.gather(*rest), strict=True):
            assert set(found) == {"first"}
            assert found["first"].tolist() == [number, number + 1]
        assert batcher.queued == 0

    assert during(check).batches == [[0], [10, 11, 20, 21, 30, 31]]


def test_a_small_request_gets_between_the_pieces_of_a_large_one() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        large = asyncio.create_task(batcher.judge(cells(0, 3 * BATCH)))
        await started(held)
        small = asyncio.create_task(batcher.judge(cells(9000)))
        await asyncio.sleep(0)
        held.go.set()
        await small
        assert not large.done()
        found = (await large)["first"]
        assert found.tolist() == list(range(3 * BATCH))

    batches = during(check).batches
    assert batches[0] == list(range(BATCH))
    assert 9000 in batches[1]
    assert len(batches[1]) == BATCH


def test_equal_shares_while_several_wait() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        rest = [asyncio.create_task(batcher.judge(cells(1000 * n, 40))) for n in range(1, 5)]
        await asyncio.sleep(0)
        held.go.set()
        await asyncio.gather(first, *rest)

    shares = [sum(cell // 1000 == n for cell in during(check).batches[1]) for n in range(1, 5)]
    assert shares == [PIECE] * 4


def test_only_cells_of_one_shape_go_together() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        rest = [
            asyncio.create_task(batcher.judge(cells(number, 1, side)))
            for number, side in ((1, 2), (2, 3), (3, 2), (4, 3))
        ]
        await asyncio.sleep(0)
        held.go.set()
        await asyncio.gather(first, *rest)

    assert during(check).batches == [[0], [1, 3], [2, 4]]


def test_idle_lanes_share_a_large_request() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        asked = asyncio.create_task(batcher.judge(cells(0, 32)))
        await started(held, 2)
        held.go.set()
        assert (await asked)["first"].tolist() == list(range(32))

    assert sorted(map(len, during(check, lanes=2).batches)) == [16, 16]


def test_a_full_queue_says_when_to_come_again() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        waiting = asyncio.create_task(batcher.judge(cells(1, 5)))
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="5 cells wait") as full:
            await batcher.judge(cells(7, 4))
        assert (full.value.status, full.value.retry_after) == (429, 1)
        held.go.set()
        await asyncio.gather(first, waiting)

    during(check, queue_cells=8)


def test_who_leaves_is_not_computed() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        leaves, stays = (asyncio.create_task(batcher.judge(cells(n))) for n in (1, 2))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.gather(leaves, return_exceptions=True)
        assert batcher.queued == 1
        held.go.set()
        await asyncio.gather(first, stays)

    assert during(check).batches == [[0], [2]]


def test_who_waits_too_long_is_told() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        first = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        with pytest.raises(RequestError, match="no time") as late:
            await batcher.judge(cells(1), seconds=0.01)
        assert late.value.status == 504
        assert batcher.queued == 0
        held.go.set()
        await first

    assert during(check).batches == [[0]]


def test_what_the_runtime_raises_is_the_answer_of_its_batch_alone() -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        held.error = MemoryError("no more")
        held.go.set()
        with pytest.raises(MemoryError, match="no more"):
            await batcher.judge(cells(0, 2 * BATCH))
        held.error = None
        assert (await batcher.judge(cells(5)))["first"].tolist() == [5]

    during(check)


def test_a_lane_that_does_not_come_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(held: Held, batcher: Batcher) -> None:
        asked = asyncio.create_task(batcher.judge(cells(0)))
        await started(held)
        assert not batcher.stuck
        monkeypatch.setattr("unstained.serving.batching.STUCK_SECONDS", 0.0)
        await asyncio.sleep(0.01)
        assert batcher.stuck
        held.go.set()
        await asked
        assert not batcher.stuck

    during(check)
