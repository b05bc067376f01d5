"""A challenger in the shadow, with a share of requests, and when it fails."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.serving.artifacts import CELLS, opened
from tests.serving.conftest import start_server
from tests.serving.test_server import grpc_request
from unstained.artifact.artifact import artifact_digest
from unstained.serving import challenging
from unstained.serving.batching import FEWEST_FAILURES
from unstained.serving.challenging import Challenger
from unstained.serving.limits import Limits
from unstained.serving.messages import message
from unstained.serving.served import Served, serve_predictor
from unstained.serving.targets import Target
from unstained.summaries.telling import Narrator


def beside(artifact: Path, other: Path, share: float) -> tuple[Served, Challenger]:
    served = serve_predictor(
        opened(Target(artifact, None)), Limits(), Narrator(None), lanes=1, version="1"
    )
    model = served.model_of(opened(Target(other, None)), "2")
    challenger = Challenger(model, share, served.metrics)
    served.challenge(challenger)
    return served, challenger


def counted(served: Served, start: str) -> float:
    lines = served.metrics.text().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))


async def soon(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def test_in_the_shadow_it_is_compared_and_never_returned(
    artifact: Path,
    newer: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(challenging, "SHADOW_SHARE", np.inf)

    async def play() -> None:
        served, challenger = beside(artifact, newer, 0.0)
        own = challenger.model.predictor.predict_batch

        def turned(pixels: np.ndarray, wanted: object) -> dict[str, np.ndarray]:
            found = own(pixels, wanted)
            found["probabilities"] = np.roll(found["probabilities"], [1, 0][len(pixels) > 1], 1)
            return found

        monkeypatch.setattr(challenger.model.predictor, "predict_batch", turned)
        assert {served.chosen() for _ in range(50)} == {served.model}
        for cells, outcome in ((CELLS, "same"), (CELLS[:1], "other")):
            found = await served.batcher.judge(cells, ["logits"])
            assert list(found) == ["logits"]
            line = f'unstained_shadow_cells_total{{outcome="{outcome}"}}'
            expected = len(cells)
            await soon(lambda line=line, n=expected: counted(served, line) == n)
        challenger.close()

    asyncio.run(play())


def test_it_answers_its_share_and_who_names_it(artifact: Path, newer: Path) -> None:
    served, challenger = beside(artifact, newer, 0.25)
    chosen = Counter(served.chosen().version for _ in range(1000))
    assert 200 < chosen["2"] < 300
    assert counted(served, "unstained_challenger_requests_total") == chosen["2"]
    assert {served.chosen("1").version for _ in range(20)} == {"1"}
    assert {served.chosen("2").version for _ in range(20)} == {"2"}
    challenger.close()


def test_one_that_fails_is_taken_out(
    artifact: Path,
    newer: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    async def play() -> None:
        served, challenger = beside(artifact, newer, 1.0)
        monkeypatch.setattr(challenger.model.predictor, "predict_batch", fail)
        for _ in range(FEWEST_FAILURES):
            assert served.chosen() is challenger.model
            with pytest.raises(RuntimeError):
                await served.chosen("2").batcher.judge(CELLS)
        assert served.chosen() is served.model
        assert counted(served, 'unstained_model_changes_total{outcome="returned"}') == 1
        challenger.close()
        served, challenger = beside(artifact, newer, 0.5)
        monkeypatch.setattr(challenger.model.predictor, "predict_batch", fail)
        await served.batcher.judge(CELLS, ["logits"])
        await soon(lambda: challenger.out)
        assert {served.chosen().version for _ in range(50)} == {"1"}
        challenger.close()

    asyncio.run(play())


def test_one_that_becomes_champion_is_a_challenger_no_more(
    artifact: Path,
    newer: Path,
) -> None:
    served, challenger = beside(artifact, newer, 0.5)
    other = served.model_of(opened(Target(artifact, None)), "3")
    before = served.exchange(other)
    assert (before.batcher.shadow, other.batcher.shadow) == (None, challenger.see)
    served.exchange(served.model_of(opened(Target(newer, None)), "2"))
    assert (served.challenger, challenger.out, served.batcher.shadow) == (None, True, None)


def test_a_server_of_two_models_answers_by_both(
    artifact: Path,
    newer: Path,
    tmp_path: Path,
) -> None:
    more = ("--challenger", str(newer), "--challenger-share", "0.5")
    running = start_server(artifact, tmp_path / "log", more=more)
    tensor = {"name": "pixels", "shape": list(CELLS.shape), "datatype": "UINT16"}
    tensor["data"] = CELLS.ravel().tolist()
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "probabilities"}]}).encode()
    model = f"{running.url}/v2/models/unstained-toy"

    def asked(address: str) -> str:
        with urllib.request.urlopen(f"{address}/infer", body, timeout=30) as answer:
            return str(json.load(answer)["model_version"])

    one, two = (artifact_digest(each)[:12] for each in (artifact, newer))
    try:
        assert set(Counter(asked(model) for _ in range(40))) == {one, two}
        assert {asked(f"{model}/versions/{two}") for _ in range(5)} == {two}
        with grpc.insecure_channel(running.grpc) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                message("ModelInferRequest").SerializeToString,
                message("ModelInferResponse").FromString,
            )
            request = grpc_request([1, 1, 2, 2], np.full(4, 700, np.uint16).tobytes())
            assert {call(request).model_version for _ in range(40)} == {one, two}
    finally:
        running.stop()
