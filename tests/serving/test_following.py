"""A served model is exchanged under load, or kept, or taken back."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.servers.process import wait_until
from tests.serving.artifacts import CELLS, later, opened, variant
from tests.serving.conftest import start_server
from unstained.artifact.artifact import artifact_digest
from unstained.errors import IntegrityError, RegistryError, SourceError
from unstained.serving import following as following_module
from unstained.serving.batching import FEWEST_FAILURES
from unstained.serving.following import Follower, require_alike
from unstained.serving.limits import Limits
from unstained.serving.served import Served, serve_predictor
from unstained.serving.targets import LinkedDirectory, Target, source_of
from unstained.summaries.telling import Narrator


def at_zero(card: dict) -> None:
    card["calibration"]["tasks"]["blob"]["thresholds"] = [0.0, 0.0, 0.0]


def renamed(card: dict) -> None:
    card["data"]["tasks"][0]["rules"][0]["name"] = "astrocyte"
    for entry in (*card["outputs"], *card["tasks"]):
        if "classes" in entry:
            entry["classes"] = ["astrocyte", "b", "c"]


class Told:
    """A source that a test changes."""

    def __init__(self, target: Target) -> None:
        self.target, self.fails = target, False
        self.forgotten: list[Path] = []

    def digest(self) -> str:
        if self.fails:
            raise RegistryError("the registry is away", "wait")
        return artifact_digest(self.target.artifact)

    def fetch(self) -> Target:
        return self.target

    def forget(self, artifact: Path) -> None:
        self.forgotten.append(artifact)


def follower(artifact: Path) -> tuple[Served, Told, Follower]:
    served = serve_predictor(
        opened(Target(artifact, None)), Limits(), Narrator(None), lanes=1, version="1"
    )
    told = Told(Target(artifact, None, "1"))
    return served, told, Follower(served, told, opened)


def changes(served: Served, outcome: str) -> float:
    sample = f'unstained_model_changes_total{{outcome="{outcome}"}} '
    lines = served.metrics.text().decode().splitlines()
    return sum(float(line.removeprefix(sample)) for line in lines if line.startswith(sample))


def test_another_champion_answers_and_what_had_begun_keeps_its_model(
    artifact: Path, newer: Path
) -> None:
    async def play() -> None:
        served, told, following = follower(artifact)
        await following.step()
        assert (served.version, changes(served, "changed")) == ("1", 0)
        began = served.model
        told.target = Target(newer, artifact_digest(newer), "2")
        await following.step()
        assert (served.version, served.predictor.digest) == ("2", artifact_digest(newer))
        assert changes(served, "changed") == 1
        assert f'digest="{artifact_digest(newer)}"' in served.metrics.text().decode()
        found = await began.batcher.judge(CELLS, ["logits"])
        again = await served.batcher.judge(CELLS, ["logits"])
        np.testing.assert_allclose(found["logits"], again["logits"], rtol=1e-5)
        assert (began.version, began.predictor.lineage["git_commit"]) == ("1", "0123abc")

    asyncio.run(play())


def test_whoever_is_only_compared_needs_no_map(artifact: Path, tmp_path: Path) -> None:
    now, other = opened(Target(artifact, None)), opened(Target(artifact, None))
    other.outputs = tuple(one for one in other.outputs if one.name not in ("cam", "embedding"))
    require_alike(now, other, compared_only=True)
    with pytest.raises(IntegrityError, match="another cam, embedding than the model"):
        require_alike(now, other)
    named = opened(Target(variant(artifact, tmp_path / "named", renamed), None))
    with pytest.raises(IntegrityError, match="another conformal_set, logits, probabilities than"):
        require_alike(now, named, compared_only=True)


@pytest.mark.parametrize(
    ("change", "digest", "said"),
    [
        (at_zero, None, "thresholds of blob"),
        (renamed, None, "another cam, conformal_set, logits, probabilities"),
        (later, "0" * 64, "was recorded"),
    ],
)
def test_a_model_that_is_not_sound_or_another_interface_never_answers(
    artifact: Path,
    tmp_path: Path,
    change: Callable[[dict], object],
    digest: str | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        served, told, following = follower(artifact)
        told.target = Target(variant(artifact, tmp_path / "next", change), digest, "2")
        await following.step()
        await following.step()
        assert (served.version, changes(served, "refused")) == ("1", 1)
        assert following.refused == artifact_digest(told.target.artifact)
        assert told.forgotten == [told.target.artifact]

    with caplog.at_level("WARNING", logger="unstained.serving"):
        asyncio.run(play())
    (record,) = [one for one in caplog.records if one.said["event"] == "refused"]
    assert said in record.said["said"]
    assert record.said["kept"] == "1"


def test_a_source_that_is_away_is_asked_again(artifact: Path, newer: Path) -> None:
    async def play() -> None:
        served, told, following = follower(artifact)
        told.target, told.fails = Target(newer, None, "2"), True
        await following.step()
        assert served.version == "1"
        told.fails = False
        await following.step()
        assert served.version == "2"

    asyncio.run(play())


def test_a_model_whose_batches_fail_is_taken_back(
    artifact: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    async def play() -> None:
        served, told, following = follower(artifact)
        told.target = Target(newer, None, "2")
        await following.step()
        monkeypatch.setattr(served.predictor, "predict_batch", fail)
        for _ in range(FEWEST_FAILURES):
            await following.step()
            assert served.version == "2"
            with pytest.raises(RuntimeError):
                await served.batcher.judge(CELLS)
        await following.step()
        assert (served.version, changes(served, "returned")) == ("1", 1)
        await following.step()
        assert served.version == "1"
        assert len((await served.batcher.judge(CELLS))["logits"]) == 2
        assert [*following.leaving] == [newer]

    asyncio.run(play())


def test_files_of_former_models_go_when_nobody_can_read_them_any_more(
    artifact: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        served, told, following = follower(artifact)
        told.target = Target(newer, None, "2")
        await following.step()
        await following.step()
        assert (served.version, told.forgotten) == ("2", [])
        ended = time.monotonic() + following_module.PROBATION_SECONDS + 1
        monkeypatch.setattr(following_module.time, "monotonic", lambda: ended)
        await following.step()
        assert (following.before, told.forgotten) == (None, [artifact])
        told.target = Target(artifact, None, "3")
        await following.step()
        told.target = Target(newer, None, "4")
        await following.step()
        assert [*following.leaving] == [artifact]

    asyncio.run(play())


def test_a_place_names_its_artifact_by_a_file(artifact: Path, newer: Path, tmp_path: Path) -> None:
    for name, one in (("7", artifact), ("8", newer)):
        shutil.copytree(one, tmp_path / "place" / name)
    pointer = tmp_path / "place" / "champion"
    assert isinstance(source_of(tmp_path / "place" / "7"), LinkedDirectory)
    pointer.write_text("7\n")
    place = source_of(tmp_path / "place")
    assert (place.digest(), place.fetch().artifact.name) == (artifact_digest(artifact), "7")
    pointer.with_name("next").write_text("8")
    pointer.with_name("next").rename(pointer)
    assert place.digest() == artifact_digest(newer)
    place.forget(place.fetch().artifact)
    assert place.fetch().artifact.exists()
    for wrong in ("", "9", "..", f"{artifact}", "8/card.json"):
        pointer.write_text(wrong)
        with pytest.raises(SourceError, match="which is no folder beside it"):
            place.digest()


def test_networks_may_differ_in_what_is_their_own(artifact: Path) -> None:
    now, new = opened(Target(artifact, None)), opened(Target(artifact, None))
    sizes = {"embedding": (-1, 64), "cam": (-1, 3, 8, 8)}
    new.outputs = tuple(replace(o, shape=sizes.get(o.name, o.shape)) for o in new.outputs)
    require_alike(now, new)


def test_no_request_is_lost_while_a_link_moves(artifact: Path, newer: Path, tmp_path: Path) -> None:
    link, following = tmp_path / "current", tmp_path / "next"
    link.symlink_to(artifact)
    assert LinkedDirectory(link).fetch() == Target(artifact.resolve(), None)
    log, counts, lost, stop = tmp_path / "log", Counter(), [], threading.Event()
    running = start_server(link, log, {"UNSTAINED_ARTIFACT_DIGEST": None}, ("--follow",))
    tensor = {"name": "pixels", "shape": list(CELLS.shape), "datatype": "UINT16"}
    tensor["data"] = CELLS.ravel().tolist()
    asked = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    body = json.dumps(asked).encode()

    def ask() -> None:
        address = f"{running.url}/v2/models/unstained-toy/infer"
        while not stop.is_set():
            try:
                with urllib.request.urlopen(address, body, timeout=30) as answer:
                    content = json.load(answer)
            except OSError as error:
                lost.append(error)
                return
            told = (content["model_version"], content["parameters"]["artifact_digest"])
            counts[told] += 1

    def changed() -> bool:
        return (artifact_digest(newer)[:12], artifact_digest(newer)) in counts

    threads = [threading.Thread(target=ask) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        following.symlink_to(newer)
        following.rename(link)
        wait_until(changed, running.process, log)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        running.stop()
    digests = {artifact_digest(one)[:12]: artifact_digest(one) for one in (artifact, newer)}
    assert (lost, dict(counts.keys())) == ([], digests)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["event"] for one in lines] == [
        *("unsigned", "ready", "unsigned", "changed", "draining", "stopped")
    ]
