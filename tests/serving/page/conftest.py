"""The page of a real artifact, answered by a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.exported import raw_cells
from tests.serving.conftest import free_ports
from tests.synthetic import write_image
from unstained.prediction.answers import Answers
from unstained.prediction.source import Seen
from unstained.serving.access import Access
from unstained.serving.app import Gate
from unstained.serving.challenging import Challenger
from unstained.serving.judging import Uploads
from unstained.serving.limits import Limits
from unstained.serving.page.api import PageApi
from unstained.serving.page.routes import page_routes
from unstained.serving.predictor import Predictor
from unstained.serving.served import Promotion, Served, serve_predictor
from unstained.serving.tracing import Tracing
from unstained.summaries.telling import Narrator

CELLS = 24
OTHER = "_other"
"""End of the names of a second question's outputs."""


@dataclass(frozen=True)
class Shown:
    """A page that is served.

    Attributes:
        app: what serves it.
        api: its data.
        predictor: whose answers it shows.
        url: of the page, where a server runs.
    """

    app: Starlette
    api: PageApi
    served: Served
    url: str = ""

    @property
    def predictor(self) -> Predictor:
        return self.served.predictor

    @property
    def both(self) -> tuple[Predictor, Predictor]:
        """Champion and challenger."""
        assert self.served.challenger is not None
        return self.predictor, self.served.challenger.model.predictor

    def sample(self, count: int = CELLS) -> str:
        """A sample of `count` cells, of which few are different."""
        cells = [Seen(f"day {n % 3}", n, f"{n}.tif", image) for n, image in enumerate(images())]
        rows = Answers(self.predictor, embedding=False).rows(cells)
        with self.api.samples.new(rows.schema, self.served.model) as (name, writer):
            for start in range(0, count, CELLS):
                some = min(CELLS, count - start)
                objects = pa.array(np.arange(start, start + some))
                place = rows.schema.get_field_index("object")
                writer.add(cells[:some], rows.slice(0, some).set_column(place, "object", objects))
            writer.finish("some cells", ("One file was no image.",))
        return name


PROMOTION = Promotion(
    action="promote",
    time="2026-11-03T02:17:04+00:00",
    actor="ada@lab",
    reason="v7 is better in balanced accuracy by 0.031",
    replaced=5,
    gate=(
        {"name": "better", "passed": True, "sentence": "balanced accuracy 0.912 against 0.881"},
        {"name": "parity", "passed": True, "sentence": "its graph decides as the network"},
    ),
)


def images() -> list[np.ndarray]:
    return raw_cells(CELLS, seed=4)


class Turned:
    """A graph that names the next class for cells of an even maximum, and values 1 more for all."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """As onnxruntime's session."""
        (pixels,) = feed.values()
        even = pixels.max(axis=(1, 2, 3)) % 2 == 0
        found = dict(zip(names, self._session.run(names, feed), strict=True))
        for name in {"probabilities", "logits"} & found.keys():
            found[name] = np.where(even[:, None], np.roll(found[name], 1, axis=1), found[name])
        if "targets" in found:
            found["targets"] = found["targets"] + np.float32(1)
        return [found[name] for name in names]


def challenger_of(artifact: Path, served: Served) -> Challenger:
    """One that disagrees with an artifact on some cells."""
    predictor = Predictor(artifact, threads=1)
    predictor._session = Turned(predictor._session)
    return Challenger(served.model_of(predictor, "8"), 0.0, served.metrics)


class Doubled:
    """A graph that answers a second question by the next class of the first one."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """As onnxruntime's session."""
        found = self._session.run([name.removesuffix(OTHER) for name in names], feed)
        return [
            np.roll(values, 1, axis=1) if name.endswith(OTHER) else values
            for name, values in zip(names, found, strict=True)
        ]


def asked_twice(artifact: Path) -> Predictor:
    """An artifact's predictor with a second classes task, of which validation cells were called
    right always."""
    predictor = Predictor(artifact, threads=1)
    predictor._session = Doubled(predictor._session)
    (made,) = (made for made in predictor._made.values() if made.source == "probabilities")
    outputs = []
    for tensor in predictor.outputs:
        if tensor.name not in ("probabilities", made.tensor.name):
            outputs.append(tensor)
            continue
        for end, task in (("", "blob"), (OTHER, "other")):
            notes = {**tensor.notes, "task": task}
            outputs.append(replace(tensor, name=f"{tensor.name}{end}", notes=notes))
    other = f"{made.tensor.name}{OTHER}"
    predictor._made[other] = replace(made, source=f"probabilities{OTHER}")
    predictor.outputs = tuple(outputs)
    (blob,) = (task for task in predictor.card["tasks"] if task["kind"] == "classes")
    predictor.card["tasks"].append({**blob, "name": "other"})
    predictor.card["calibration"]["tasks"]["other"] = {"confusion": np.diag([9, 9, 9]).tolist()}
    return predictor


def shown(artifact: Path, challenger: Path | None = None, **limits: int) -> Shown:
    found = shown_by(Predictor(artifact, threads=1), **limits)
    if challenger is not None:
        found.served.challenge(challenger_of(challenger, found.served))
    return found


def shown_by(predictor: Predictor, **limits: int) -> Shown:
    """The page of a predictor."""
    served = serve_predictor(
        predictor, Limits(**limits), Narrator(None), lanes=1, version="7", promotion=PROMOTION
    )
    api = PageApi(Uploads(served))
    app = Starlette(routes=[Mount("/ui", routes=page_routes(api))])
    app.add_middleware(Gate, served=served, access=Access(None), tracing=Tracing())
    return Shown(app, api, served)


@pytest.fixture(scope="package")
def page(artifact: Path) -> Iterator[Shown]:
    """The page with a server."""
    with online(shown(artifact)) as found:
        yield found


@pytest.fixture(scope="package")
def two(artifact: Path, newer: Path) -> Iterator[Shown]:
    """The page of a server with a challenger."""
    with online(shown(artifact, newer)) as found:
        yield found


@contextmanager
def online(found: Shown) -> Iterator[Shown]:
    """Answered by a thread."""
    (port,) = free_ports(1)
    config = uvicorn.Config(found.app, port=port, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    yield Shown(found.app, found.api, found.served, f"http://127.0.0.1:{port}/ui/")
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of the cells, and one that is none."""
    folder = tmp_path_factory.mktemp("cells")
    for number, image in enumerate(images()):
        write_image(folder / f"{number:02d}.tif", image[0])
    (folder / "broken.png").write_bytes(b"no picture")
    return sorted(folder.iterdir())
