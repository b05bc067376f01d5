"""What the page is told of its samples, against the artifact and independent references."""

from __future__ import annotations

import io
import json
import os
import socket
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML
from sklearn.metrics import cohen_kappa_score
from starlette.testclient import TestClient

from tests.prediction.fcs import read_fcs
from tests.serving.page.conftest import CELLS, Shown, images, shown
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.imaging.background import border_background
from unstained.imaging.evidence import enlarge, evidence_picture
from unstained.prediction.answers import Answers
from unstained.serving.page import facts, samples
from unstained.serving.page.composition import composition
from unstained.serving.page.examples import example_cells
from unstained.serving.page.samples import GONE, Samples
from unstained.serving.receiving import TooMuchError
from unstained.serving.refusals import RequestError

API = "/ui/api"


@pytest.fixture(scope="module")
def client(page: Shown) -> Iterator[TestClient]:
    """Of an application of its own: a batcher belongs to one event loop."""
    with TestClient(shown(page.predictor.directory).app) as found:
        yield found


def judged(client: TestClient, files: list[Path]) -> list[dict[str, Any]]:
    """The lines that an upload is answered with."""
    parts = [("file", (path.name, path.read_bytes())) for path in files]
    answer = client.post(f"{API}/samples", files=parts)
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture(scope="module")
def sample(client: TestClient, files: list[Path]) -> str:
    return f"{API}/samples/{judged(client, files)[-1]['sample']}"


def grey(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def column(told: dict[str, Any], name: str) -> list[str]:
    found = told["columns"][name]
    return [found["texts"][code] if code >= 0 else "" for code in found["codes"]]


def test_an_upload_is_followed_to_its_end_and_its_rows_are_the_artifacts(
    client: TestClient, files: list[Path], page: Shown
) -> None:
    *steps, last = judged(client, files)
    assert [step["done"] for step in steps] == [CELLS + 1]
    told = client.get(f"{API}/samples/{last['sample']}").json()
    assert told["cells"] == CELLS + 1
    assert told["title"] == f"{CELLS + 1} files"
    found = page.predictor.predict(images())
    for number, name in enumerate("abc"):
        shares = told["columns"][f"probability_{name}"]
        np.testing.assert_allclose(shares[:CELLS], found["probabilities"][:, number], atol=1e-5)
        assert shares[CELLS] is None
    assert column(told, "predicted")[:-1] == ["abc"[n] for n in found["probabilities"].argmax(1)]
    assert told["unseen"] == [CELLS]
    assert "corrupt" in column(told, "reason")[-1]


def test_examples_are_the_golden_cells(client: TestClient, page: Shown) -> None:
    name = json.loads(client.post(f"{API}/examples").text)["sample"]
    told = client.get(f"{API}/samples/{name}").json()
    assert column(told, "source_file") == page.predictor.card["golden"]["cells"]


def test_an_atlas_shows_each_cell_as_the_model_sees_it(client: TestClient, sample: str) -> None:
    """Its contrast, centred on the canvas and stretched alike for all."""
    sheet = grey(client.get(f"{sample}/atlas/0").content).astype(float)
    side, contrasts = 32, []
    for image in images():
        pixels = image[0] / border_background(image)[0] - 1.0
        place = [size // 2 - side // 2 for size in pixels.shape]
        full = np.pad(pixels, side)[place[0] + side :, place[1] + side :][:side, :side]
        contrasts.append(full)
    low, high = np.percentile(contrasts, [0.2, 99.8])
    expected = 255 * np.clip((np.array(contrasts) - low) / (high - low), 0, 1)
    for number, square in enumerate(expected):
        assert np.abs(sheet[:32, number * 32 : (number + 1) * 32] - square).max() <= 1
    assert (sheet[:, (CELLS + 1) * 32 :] == 255).all()
    alone = grey(client.get(f"{sample}/cells/5").content)
    assert np.array_equal(alone, sheet[:32, 5 * 32 : 6 * 32])
    assert not np.array_equal(grey(client.get(f"{sample}/cells/5?stretch=hard").content), alone)


def test_evidence_is_the_graphs_own_map(
    client: TestClient, sample: str, page: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(f"{sample}/cells/5?map=1").status_code == 404  # of one point
    monkeypatch.setattr(facts, "FEWEST_POINTS", 1)
    shown = grey(client.get(f"{sample}/cells/5?map=1").content)
    points = page.predictor.predict([images()[5]], ["cam"])["cam"][:, 1].astype(np.float64)
    plain = grey(client.get(f"{sample}/cells/5").content)
    assert np.array_equal(shown, evidence_picture(plain, enlarge(points, 32)[0]))


def test_composition_counts_classes_and_resamples_what_was_recorded_together(
    client: TestClient, sample: str
) -> None:
    called = column(client.get(sample).json(), "predicted")
    whole = client.post(f"{sample}/composition", json={"question": ""}).json()
    assert whole["cells"] == CELLS
    assert whole["corrected"]
    for one in whole["shares"]:
        assert one["count"] == called.count(one["name"])
        assert one["predicted"] == pytest.approx(one["count"] / CELLS)
        assert one["low"] <= one["share"] <= one["high"]
    assert sum(one["share"] for one in whole["shares"]) == pytest.approx(1)
    some = client.post(f"{sample}/composition", json={"question": "", "cells": [0, 1, CELLS]})
    assert some.json()["cells"] == 2
    assert client.post(f"{sample}/composition", json={"question": ":x"}).status_code == 404


def test_composition_is_corrected_by_how_validation_cells_were_called() -> None:
    """Decisions of another mix, made with the known errors, lead back to that mix."""
    names = ["rare", "common"]
    confusion = [[80, 20], [10, 90]]
    cells = 0.5 * np.array([0.8 + 0.1, 0.2 + 0.9])  # what half of each is called
    called = [name for name, n in zip(names, 1000 * cells, strict=True) for _ in range(int(n))]
    days = [f"day {n % 20}" for n in range(len(called))]
    found = composition(names, confusion, called, days)
    assert [one["predicted"] for one in found["shares"]] == pytest.approx([0.45, 0.55])
    assert [one["share"] for one in found["shares"]] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert found["shares"][0]["low"] < 0.45 < 0.55 < found["shares"][0]["high"]
    plain = composition(names, [[80, 20], [0, 0]], called, days)
    assert not plain["corrected"]
    assert [one["share"] for one in plain["shares"]] == pytest.approx([0.45, 0.55])


def test_few_cells_that_are_called_alike_leave_doubt() -> None:
    """One of one says little; the interval is Wilson's, here as statsmodels has it."""
    from statsmodels.stats.proportion import proportion_confint

    for count in (1, 5):
        found = composition(["a", "b"], [[9, 0], [0, 9]], ["a"] * count, ["day"] * count)
        first, second = found["shares"]
        low, high = proportion_confint(count, count, 0.05, "wilson")
        assert (first["low"], first["high"]) == pytest.approx((low, high))
        assert (second["low"], second["high"]) == pytest.approx((1 - high, 1 - low))


def test_files_hold_the_rows_the_gates_and_the_model(
    client: TestClient, sample: str, tmp_path: Path, page: Shown
) -> None:
    asked = {"cells": [7, 2, 4], "gates": {"big, round": [2, 9]}}
    answer = client.post(f"{sample}/export", json={"kind": ".csv", **asked})
    frame = pd.read_csv(io.BytesIO(answer.content))
    assert list(frame["source_file"]) == ["07.tif", "02.tif", "04.tif"]
    assert list(frame["gate_big, round"]) == [0, 1, 0]
    assert set(frame["model_digest"]) == {page.predictor.digest}
    fcs = client.post(f"{sample}/export", json={"kind": ".fcs", **asked})
    (tmp_path / "cells.fcs").write_bytes(fcs.content)
    found = read_fcs(tmp_path / "cells.fcs")
    assert list(found.events["gate_big_ round"]) == [0, 1, 0]
    np.testing.assert_allclose(found.events["probability_a"], frame["probability_a"], rtol=1e-6)
    whole = client.post(f"{sample}/export", json={"kind": ".csv"})
    assert len(pd.read_csv(io.BytesIO(whole.content))) == CELLS + 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": ".exe"}, "is none of"),
        ({"kind": ".csv", "cells": []}, "no cell is chosen"),
        ({"kind": ".csv", "cells": [99]}, "whole numbers below"),
        ({"kind": ".csv", "cells": "all"}, "whole numbers"),
        ({"kind": ".csv", "gates": {"a": [-1]}}, "whole numbers below"),
        ({"kind": ".csv", "gates": [1]}, "`gates`"),
        ({"kind": ".fcs", "cells": [CELLS]}, "no cell could be judged"),
        ([], "no JSON object"),
    ],
)
def test_files_that_cannot_be_are_refused(
    client: TestClient, sample: str, asked: object, said: str
) -> None:
    answer = client.post(f"{sample}/export", json=asked)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_people_are_asked_the_same_and_their_agreement_is_cohens(
    client: TestClient, sample: str, tmp_path: Path
) -> None:
    """And what they said is a folder that ingest's reader `table` reads, pixels and all."""
    cells = client.get(f"{sample}/labels").json()["cells"]
    assert sorted(cells) == list(range(CELLS))
    rng = np.random.default_rng(0)
    ada = ["abc"[n] for n in rng.integers(0, 3, 20)]
    bob = [one if rng.random() < 0.6 else "a" for one in ada]
    for person, labels in (("Ada", ada), ("Bob", bob)):
        said = {str(cell): label for cell, label in zip(cells[:20], labels, strict=True)}
        told = client.put(f"{sample}/labels", json={"person": person, "labels": said}).json()
    assert client.get(f"{sample}/labels").json() == told
    (pair,) = told["agreement"]
    assert pair["people"] == ["Ada", "Bob"]
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(ada, bob))
    assert pair["same"] == sum(one == other for one, other in zip(ada, bob, strict=True))

    folder = tmp_path / "labelled"
    zipfile.ZipFile(io.BytesIO(client.get(f"{sample}/labels.zip").content)).extractall(folder)
    section = YAML(typ="safe").load((folder / "study.yaml").read_text())["labelled"]["data"]
    reader = open_reader(StudyData.model_validate(section | {"source": str(folder)}), folder)
    (acquisition,) = reader.acquisitions()
    items = reader.items(acquisition).items
    for item, cell in zip(items, reader.decode(acquisition, items), strict=True):
        at = cells.index(item.object_index)
        agreed = ada[at] if ada[at] == bob[at] else None
        assert dict(item.told)["label"] == agreed
        assert np.array_equal(cell.pixels[0], images()[item.object_index])
    assert len(items) == 20


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"person": "", "labels": {}}, "give a name"),
        ({"person": "x" * 41, "labels": {}}, "give a name"),
        ({"person": "Eve", "labels": {"999": "a"}}, "cannot be labelled"),
        ({"person": "Eve", "labels": {"1": "d"}}, "cannot be labelled"),
        ({"person": "Eve", "labels": {"1": ["a"]}}, "cannot be labelled"),
        ({"person": "Eve", "labels": [1]}, "a class by cell"),
    ],
)
def test_labels_that_are_none_are_refused(
    client: TestClient, sample: str, said: dict[str, Any], words: str
) -> None:
    answer = client.put(f"{sample}/labels", json=said)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_sample_is_there_for_who_knows_its_name_until_it_is_forgotten(
    client: TestClient, files: list[Path]
) -> None:
    path = f"{API}/samples/{judged(client, files[:2])[-1]['sample']}"
    assert client.get(path).status_code == 200
    assert client.delete(path).status_code == 204
    for gone in (path, f"{API}/samples/..%2f", f"{API}/samples/{'a' * 22}"):
        assert client.get(gone).status_code == 404
    assert client.get(path).json()["error"] == GONE
    for wrong in ("cells/999", "cells/0?view=9", "cells/0?stretch=x", "atlas/9"):
        whole = f"{API}/samples/{judged(client, files[:1])[-1]['sample']}"
        assert client.get(f"{whole}/{wrong}").status_code == 404


def test_old_samples_make_room(page: Shown) -> None:
    """Those that nobody asked for, and the oldest where all take too much."""
    ours = shown(page.predictor.directory, sample_bytes=100_000)
    kept = ours.api.samples
    first = ours.sample()
    assert kept.find(first).told["cells"] == CELLS
    os.utime(kept.find(first).folder, (0, time.time() - samples.IDLE_SECONDS - 1))
    second = ours.sample()
    with pytest.raises(RequestError, match="not here any more"):
        kept.find(first)
    third = ours.sample()
    size = (kept.find(third).folder / samples.PIXELS).stat().st_size
    assert size < 100_000 < 3 * size
    fourth = ours.sample()
    with pytest.raises(RequestError, match="not here any more"):
        kept.find(second)
    assert {kept.find(name).folder.name for name in (third, fourth)} == {third, fourth}


def test_a_sample_that_fails_leaves_nothing(page: Shown) -> None:
    kept = Samples("uint16", 1, most_bytes=10)
    cells = list(example_cells(page.predictor))
    rows = Answers(page.predictor, embedding=False).rows(cells)
    with pytest.raises(TooMuchError), kept.new(rows.schema, page.served.model) as (_, writer):
        writer.add(cells, rows)
    assert list(kept._root.iterdir()) == []


def test_who_leaves_in_the_middle_of_an_upload_leaves_nothing_behind(
    page: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    address = page.url.removeprefix("http://").partition("/")[0].split(":")
    head = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999999"
    part = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.tif"\r\n\r\n'
    with socket.create_connection((address[0], int(address[1]))) as client:
        client.sendall(f"POST {API}/samples HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{part}".encode())
        client.sendall(bytes(3 << 20))
        assert _soon(lambda: bool(list(tmp_path.rglob("a.tif"))))
    assert _soon(lambda: not list(tmp_path.iterdir()))


def _soon(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()
