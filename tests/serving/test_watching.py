"""Windows of served cells: quiet without drift, and ringing with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, stats

from tests.learning.cases import small_store
from tests.serving.artifacts import opened
from unstained.serving import watching
from unstained.serving.limits import Limits
from unstained.serving.served import serve_predictor
from unstained.serving.targets import Target
from unstained.serving.watching import BY_CHANCE, Watch, binomial_tail, most_by_chance
from unstained.summaries.telling import Narrator


@pytest.mark.parametrize("trials", [1, 20, 500])
@pytest.mark.parametrize("chance", [0.01, 0.05, 0.5])
def test_the_tail_is_the_binomial_distributions(trials: int, chance: float) -> None:
    for least in {0, 1, trials // 10, trials // 2, trials}:
        expected = stats.binom.sf(least - 1, trials, chance)
        assert binomial_tail(trials, least, chance) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_a_tail_of_certainties() -> None:
    assert [binomial_tail(9, 3, chance) for chance in (0.0, 1.0)] == [0.0, 1.0]


@pytest.mark.parametrize(("window", "promised"), [(500, 0.05), (500, 0.01), (40, 0.05), (100, 0.2)])
def test_a_window_rings_no_more_often_than_stated(window: int, promised: float) -> None:
    most = most_by_chance(window, promised)
    assert stats.binom.sf(most, window, promised) <= BY_CHANCE
    assert most + 1 >= 2 * promised * window


def drawn(share: float, cells: int, seed: int) -> np.ndarray:
    refused = np.random.default_rng(seed).random(cells) < share
    return np.stack([refused, np.zeros(cells, bool)], axis=1)


def test_it_is_quiet_as_promised_and_rings_within_a_window_where_many_are_refused() -> None:
    watch = Watch(0.05)
    assert watch.seen is None
    for seed in range(400):
        watch.add(drawn(0.05, 500, seed))
        assert watch.seen is not None
        assert not watch.seen.rings
    watch.add(drawn(0.25, 500, 0))
    assert watch.seen.rings
    assert watch.seen.refused == pytest.approx(0.25, abs=0.06)
    watch.add(drawn(0.05, 500, 1))
    assert not watch.seen.rings


def test_a_busy_server_watches_some_batches_and_one_without_a_promise_none() -> None:
    now = [0.0]
    watch = Watch(0.05, clock=lambda: now[0])
    assert [watch.due(), watch.due()] == [True, False]
    now[0] = watching.PAUSE_SECONDS
    assert watch.due()
    nothing = Watch(0.0, window=10)
    assert not nothing.due()
    nothing.add(drawn(1.0, 10, 0))
    assert nothing.seen is not None
    assert not nothing.seen.rings


def test_a_server_rings_for_defocus_and_another_kind_of_cell_and_not_for_its_own(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated cells: those that the rules rest on, blurred, and grains; by `/metrics`."""
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.0)
    store = small_store(tmp_path / "store")
    cells = store.images(np.arange(len(store)))
    rng = np.random.default_rng(0)
    kinds = {
        "usual": cells,
        "defocus": [ndimage.gaussian_filter(c.astype(float), (0, 4, 4)) for c in cells],
        "grains": [700 + 900 * (rng.random(c.shape) > 0.9) for c in cells],
    }
    heard = {}
    for kind, images in kinds.items():
        served = serve_predictor(opened(Target(artifact, None)), Limits(), Narrator(None), lanes=1)
        times = -(-watching.WINDOW // len(images))

        async def ask(served=served, images=images, times=times) -> None:
            for image in [*images] * times:
                await served.batcher.judge(np.asarray(image, np.uint16)[None], ["logits"])

        asyncio.run(ask())
        text = served.metrics.text().decode()
        heard[kind] = float(text.partition("\nunstained_drift ")[2].partition("\n")[0])
        assert "unstained_watched_cells_total" in text
    assert heard == {"usual": 0.0, "defocus": 1.0, "grains": 1.0}
