"""Plain image files as a request: what is answered, what is refused before it costs."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

from tests.data.cif_writer import Object, write_cif
from tests.exported import raw_cells
from unstained.artifact.artifact import artifact_digest
from unstained.serving import judging
from unstained.serving.access import Access
from unstained.serving.app import application
from unstained.serving.limits import Limits
from unstained.serving.predictor import Predictor
from unstained.serving.receiving import UploadError, place_of
from unstained.serving.served import Served, serve_predictor
from unstained.summaries.telling import Narrator

ROUTE = "/v2/models/unstained-toy/images"
CELLS = [cell[0] for cell in raw_cells(4)]


def served_with(predictor: Predictor, **limits: int) -> Served:
    return serve_predictor(predictor, replace(Limits(), **limits), Narrator(None), lanes=1)


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> Predictor:
    return Predictor(artifact, threads=1)


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[TestClient]:
    with TestClient(application(served_with(predictor), Access(None))) as found:
        yield found


def tiff(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, metadata=None)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def send(client: TestClient, files: dict[str, bytes]) -> Any:
    return client.post(ROUTE, files=[("file", (name, one)) for name, one in files.items()])


def rows(client: TestClient, files: dict[str, bytes]) -> list[dict[str, Any]]:
    answer = send(client, files)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def test_files_are_answered_as_the_artifact_answers_their_pixels(
    client: TestClient, predictor: Predictor, artifact: Path
) -> None:
    """Of any size and format, and of several folders."""
    encoded = [tiff(CELLS[0]), imagecodecs.png_encode(CELLS[1]), tiff(CELLS[2])]
    files = dict(zip(("a/0.tif", "a/1.png", "b/2.tif"), encoded, strict=True))
    answer = send(client, files).json()
    assert answer["model_name"] == predictor.name
    assert answer["parameters"]["artifact_digest"] == artifact_digest(artifact)
    found = predictor.predict([image[None] for image in CELLS[:3]])
    for row, chances, value in zip(
        answer["rows"], found["probabilities"], found["targets"][:, 0], strict=True
    ):
        assert [row[f"probability_{name}"] for name in "abc"] == pytest.approx(chances, abs=1e-5)
        assert row["predicted"] == "abc"[chances.argmax()]
        assert row["predicted_DNA"] == pytest.approx(value, rel=1e-4)
    assert [(row["acquisition"], row["source_file"]) for row in answer["rows"]] == [
        ("a", "a/0.tif"),
        ("a", "a/1.png"),
        ("b", "b/2.tif"),
    ]


def test_an_archive_a_table_and_a_cif_are_read_as_predict_reads_them(
    client: TestClient, tmp_path: Path
) -> None:
    files = {f"cells/{n}.tif": tiff(image) for n, image in enumerate(CELLS)}
    assert len(rows(client, {"all.zip": zipped(files)})) == len(CELLS)
    listed = "id;where\n7;2.tif\n9;0.tif\n8;gone.tif\n"
    table = {"list.csv": listed.encode()} | {
        name.removeprefix("cells/"): content for name, content in files.items()
    }
    found = {row["source_file"]: row["reason"] for row in rows(client, table)}
    assert set(found) == {"2.tif", "0.tif", "gone.tif"}
    assert "it is not there" in found["gone.tif"]
    own = "acquisition;object;source_file\nnoon;30;2.tif\nnoon;10;0.tif\n"
    kept = rows(client, {**table, "list.csv": own.encode()})
    assert {(row["acquisition"], row["object"], row["source_file"]) for row in kept} == {
        ("noon", 30, "2.tif"),
        ("noon", 10, "0.tif"),
    }
    twice = rows(client, {**table, "list.csv": own.replace("30", "10").encode()})
    assert sorted(row["object"] for row in twice) == [0, 1]
    ones = np.ones((1, *CELLS[0].shape), np.uint8)
    write_cif(tmp_path / "tube.cif", [Object(n, CELLS[0][None], ones) for n in (3, 7)])
    cif = rows(client, {"tube.cif": (tmp_path / "tube.cif").read_bytes()})
    assert [row["object"] for row in cif] == [3, 7]


def test_a_file_that_cannot_be_judged_is_a_row_that_says_why(client: TestClient) -> None:
    files = {
        "0.tif": tiff(CELLS[0]),
        "1.tif": tiff(CELLS[0].astype(np.uint8)),
        "2.png": b"no picture",
        "3.tif": tiff(np.stack(CELLS[:1] * 2)),
        "4.tif": tiff(np.zeros((30, 30), np.uint16)),
    }
    good, *bad = rows(client, files)
    assert good["predicted"] in "abc"
    for row, said in zip(
        bad, ("1 image of uint8", "corrupt", "holds 2 images", "0 in every pixel"), strict=True
    ):
        assert row["predicted"] is None
        assert row["probability_a"] is None
        assert row["abstains"]
        assert said in row["reason"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"notes.txt": b"hello"}, "no cell was found"),
        ({"../a.png": b"x"}, "is no name that is taken"),
        ({f"{'n' * 200}.png": b"x"}, "is too long: 204 bytes, at most 200 are taken"),
        ({"a.zip": b"PK no archive"}, "no archive that can be unpacked"),
        ({"a.zip": zipped({"../../b.png": b"x"})}, "is no name that is taken"),
        ({"a.png": b"x", "./a.png": b"x"}, "two files are named a.png"),
    ],
)
def test_what_is_no_upload_is_refused_in_words_and_leaves_nothing(
    client: TestClient,
    files: dict[str, bytes],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answer = send(client, files)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert str(tmp_path) not in answer.json()["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_is_no_form_is_refused(client: TestClient) -> None:
    assert client.post(ROUTE, content=b"x").status_code == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post(ROUTE, content=b"--x\r\nbad", headers=broken).status_code == 400
    nothing = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    assert client.post(ROUTE, content=nothing, headers=broken).status_code == 400


def test_too_much_is_refused_however_it_is_packed(predictor: Predictor) -> None:
    served = served_with(predictor, upload_bytes=200_000, upload_files=3, upload_cells=2)
    zeros = zipped({"zeros.tif": bytes(10_000_000)})
    assert len(zeros) < 200_000
    cells = {f"{n}.tif": tiff(image) for n, image in enumerate(CELLS)}
    with TestClient(application(served, Access(None))) as client:
        for files, said in (
            ({"a.tif": bytes(300_000)}, "MiB were sent"),
            ({"a.zip": zeros}, "MiB were sent"),
            (cells, "more than 3 files"),
            ({"all.zip": zipped(cells)}, "more than 3 files"),
            (dict(list(cells.items())[:3]), "3 cells were sent, at most 2"),
        ):
            answer = send(client, files)
            assert answer.status_code == 413, answer.text
            assert said in answer.json()["error"]


def test_more_uploads_than_there_is_room_for_are_told_to_come_later(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(client, {"0.tif": tiff(CELLS[0])}).status_code == 200
    monkeypatch.setattr(judging, "MOST", 0)
    answer = send(client, {"0.tif": tiff(CELLS[0])})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert send(client, {"0.tif": tiff(CELLS[0])}).status_code == 200


@pytest.mark.parametrize(
    "name", ["", "/", "..", "a/../b", "C:\\x.tif", "a\nb", "/".join("a" * 20), "\ufffd"]
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UploadError, match=re.escape("no name that is taken")):
        place_of(tmp_path, name)


def test_names_of_folders_stay_below_the_folder(tmp_path: Path) -> None:
    assert place_of(tmp_path, "/day 1/é.tif") == tmp_path / "day 1" / "é.tif"
    assert place_of(tmp_path, "day\\1.tif") == tmp_path / "day" / "1.tif"
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(UploadError, match="lies below a file"):
        place_of(tmp_path, "a/b.tif")
