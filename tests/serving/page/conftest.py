"""The page of a real artifact, answered by a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
from unstained.serving.judging import Uploads
from unstained.serving.limits import Limits
from unstained.serving.page.api import PageApi
from unstained.serving.page.routes import page_routes
from unstained.serving.predictor import Predictor
from unstained.serving.served import Promotion, Served, serve_predictor
from unstained.serving.tracing import Tracing
from unstained.summaries.telling import Narrator

CELLS = 24


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


def shown(artifact: Path, **limits: int) -> Shown:
    predictor = Predictor(artifact, threads=1)
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
    found = shown(artifact)
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
