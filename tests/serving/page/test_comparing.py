"""The challenger beside the champion: what the page is told, against independent references."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from starlette.testclient import TestClient

from tests.prediction.fcs import read_fcs
from tests.serving.page.conftest import CELLS, Shown, images, shown
from unstained.serving.page.comparing import comparison, disagreement

API = "/ui/api"


@pytest.fixture(scope="module")
def ours(artifact: Path, newer: Path) -> Shown:
    return shown(artifact, newer)


@pytest.fixture(scope="module")
def client(ours: Shown) -> Iterator[TestClient]:
    with TestClient(ours.app) as found:
        yield found


@pytest.fixture(scope="module")
def sample(client: TestClient, files: list[Path]) -> str:
    """Cells of which one could not be read, both models asked."""
    parts = [("file", (path.name, path.read_bytes())) for path in files]
    lines = client.post(f"{API}/samples", files=parts).text.splitlines()
    path = f"{API}/samples/{json.loads(lines[-1])['sample']}"
    assert not client.get(path).json()["compared"]
    assert client.get(f"{path}/challenger").status_code == 409
    *steps, last = map(json.loads, client.post(f"{path}/challenger").text.splitlines())
    assert steps[-1] == {"done": CELLS + 1, "total": CELLS + 1}
    assert path.endswith(last["sample"])
    assert client.get(path).json()["compared"]
    return path


def test_the_challenger_is_asked_about_the_same_pixels(
    client: TestClient, sample: str, ours: Shown
) -> None:
    told = client.get(f"{sample}/challenger").json()
    champion, challenger = ours.both
    assert (told["version"], told["digest"]) == ("8", challenger.digest)
    one, two = (model.predict(images())["probabilities"] for model in ours.both)
    for number, name in enumerate("abc"):
        shares = told["columns"][f"probability_{name}"]
        np.testing.assert_allclose(shares[:CELLS], two[:, number], atol=1e-5)
    apart = told["columns"]["disagreement"]
    assert apart[CELLS] is None
    other = one.argmax(axis=1) != two.argmax(axis=1)
    assert 0 < other.sum() < CELLS
    assert [found > 1 for found in apart[:CELLS]] == list(other)
    sure = np.minimum(one.max(axis=1), two.max(axis=1))[other]
    np.testing.assert_allclose(np.array(apart[:CELLS])[other], 1 + sure, atol=1e-5)
    facts = client.get(f"{API}/model").json()
    assert facts["digest"] == champion.digest
    assert facts["challenger"]["card"]["git_commit"] == "later"


def test_agreement_is_counted_like_sklearns(client: TestClient, sample: str, ours: Shown) -> None:
    called = [model.predict(images())["probabilities"].argmax(axis=1) for model in ours.both]
    told = client.post(f"{sample}/comparison", json={"question": ""}).json()
    found = told["agreement"]
    assert told["cells"] == CELLS
    assert found["confusion"] == confusion_matrix(*called, labels=range(3)).tolist()
    assert found["kappa"] == pytest.approx(cohen_kappa_score(*called))
    assert found["value"] == pytest.approx(found["same"] / CELLS)
    assert found["low"] < found["value"] < found["high"]
    (value,) = told["values"]
    assert value["name"] == "DNA"
    assert value["value"] == pytest.approx(1, abs=1e-4)
    same = np.flatnonzero(called[0] == called[1])[:4].tolist()
    some = client.post(f"{sample}/comparison", json={"question": "", "cells": [*same, CELLS]})
    agreement = some.json()["agreement"]
    assert (agreement["same"], agreement["high"]) == (4, 1)
    assert agreement["low"] < 0.6  # four cells that agree show little
    none = client.post(f"{sample}/comparison", json={"question": "", "cells": [CELLS]}).json()
    assert (none["cells"], none["agreement"]) == (0, None)
    assert client.post(f"{sample}/comparison", json={"question": ":x"}).status_code == 404


def test_files_hold_what_both_say(client: TestClient, sample: str, tmp_path: Path) -> None:
    content = client.post(f"{sample}/export", json={"kind": ".csv"}).content
    frame = pd.read_csv(io.BytesIO(content)).iloc[:CELLS]
    np.testing.assert_allclose(frame["challenger_predicted_DNA"], frame["predicted_DNA"] + 1)
    assert set(frame["challenger_version"]) == {8}
    assert "challenger_acquisition" not in frame
    (tmp_path / "cells.fcs").write_bytes(
        client.post(f"{sample}/export", json={"kind": ".fcs"}).content
    )
    events = read_fcs(tmp_path / "cells.fcs").events
    for name, numbers in (("predicted", "class"), ("challenger_predicted", "challenger_class")):
        assert ["abc"[int(n) - 1] for n in events[numbers]] == list(frame[name])
    assert list(events["Challenger_abstains"]) == list(frame["challenger_abstains"])


def test_without_a_challenger_it_is_refused_in_words(artifact: Path, newer: Path) -> None:
    alone = shown(artifact)
    with TestClient(alone.app) as client:
        answer = client.post(f"{API}/samples/{alone.sample()}/challenger")
        assert client.get(f"{API}/model").json()["challenger"] is None
    assert answer.status_code == 409
    assert "start it with --challenger" in answer.json()["error"]
    failed = shown(artifact, newer)
    assert failed.served.challenger is not None
    failed.served.challenger.close()
    with TestClient(failed.app) as client:
        answer = client.post(f"{API}/samples/{failed.sample()}/challenger")
    assert "was taken out" in answer.json()["error"]


def test_models_without_classes_are_ordered_by_how_far_they_are_apart() -> None:
    values = pa.table({"predicted_a": [1.0, 2.0, None], "predicted_b": [0.0, 0.0, None]})
    others = pa.table({"predicted_a": [4.0, 1.5, None], "predicted_b": [9.0, 0.0, None]})
    np.testing.assert_equal(disagreement(values, others, [], ""), [3, 0.5, np.nan])
    shares = pa.table({"share_x:mix": [0.25, 1.0], "share_y:mix": [0.75, 0.0]})
    turned = pa.table({"share_x:mix": [0.75, 1.0], "share_y:mix": [0.25, 0.0]})
    np.testing.assert_equal(disagreement(shares, turned, [], ""), [0.5, 0])
    where = {"acquisition": ["d", "d", "d"], "abstains": [True, False, False]}
    first, second = pa.table({**where, **_named(values)}), pa.table({**where, **_named(others)})
    second = second.append_column("disagreement", pa.array([3, 0.5, np.nan]))
    told = comparison(first, second, [], "")
    assert (told["cells"], told["agreement"], told["abstain"]["both"]) == (2, None, 1)
    assert [one["value"] for one in told["values"]] == [1.25, 4.5]


def _named(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.schema.names, table.columns, strict=True))
