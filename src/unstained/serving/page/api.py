"""What the page asks of the server: samples, their pictures, files and labels."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from unstained.errors import UnstainedError
from unstained.imaging.evidence import png
from unstained.prediction.answers import Answers
from unstained.serving.image_files import refusal, take
from unstained.serving.judging import Uploads
from unstained.serving.page import labels, pictures
from unstained.serving.page.beside import ChallengerApi
from unstained.serving.page.composition import composition
from unstained.serving.page.examples import example_cells
from unstained.serving.page.exports import KINDS, export
from unstained.serving.page.facts import CAM, facts, known_confusion, look_of, maps_of, seen_side
from unstained.serving.page.messages import (
    Tell,
    body_of,
    cells_of,
    columns_of,
    followed,
    json_of,
    png_of,
)
from unstained.serving.page.samples import Sample, Samples
from unstained.serving.refusals import RequestError
from unstained.serving.served import Model
from unstained.wording import counted


class PageApi:
    """Handlers of the page's requests.

    Args:
        uploads: judges cells.

    Attributes:
        samples: that were judged.
    """

    def __init__(self, uploads: Uploads) -> None:
        predictor = uploads.served.predictor
        self._uploads = uploads
        self._look = look_of(predictor.card, uploads.study)
        most = uploads.limits.sample_bytes
        self.samples = Samples(predictor.input.dtype, predictor.input.shape[1], most)

    def routes(self) -> list[BaseRoute]:
        """Relative to where the page's data lie."""
        one = "/samples/{sample}"
        return [
            Route("/model", self.model, methods=["GET"]),
            Route("/samples", self.create, methods=["POST"]),
            Route("/examples", self.examples, methods=["POST"]),
            Route(one, self.rows, methods=["GET"]),
            Route(one, self.forget, methods=["DELETE"]),
            Route(f"{one}/atlas/{{block:int}}", self.atlas, methods=["GET"]),
            Route(f"{one}/cells/{{cell:int}}", self.cell, methods=["GET"]),
            Route(f"{one}/composition", self.composition, methods=["POST"]),
            Route(f"{one}/export", self.export, methods=["POST"]),
            Route(f"{one}/labels", self.labels, methods=["GET"]),
            Route(f"{one}/labels", self.label, methods=["PUT"]),
            Route(f"{one}/labels.zip", self.labelled, methods=["GET"]),
            *ChallengerApi(self._uploads, self.samples).routes(),
        ]

    async def model(self, request: Request) -> Response:
        """The model's card and what its rows hold."""
        return json_of(facts(self._uploads, self._look))

    async def create(self, request: Request) -> Response:
        """Judge uploaded files; a line of JSON for each step, the last one names the sample."""
        stack = ExitStack()
        try:
            folder = stack.enter_context(self._uploads.room())
            files = await take(request, folder, self._uploads)
        except UnstainedError as error:
            stack.close()
            raise refusal(error) from None
        except BaseException:
            stack.close()
            raise

        model = self._uploads.served.model

        def work(answers: Answers, tell: Tell) -> str:
            cells = self._uploads.open(folder)
            with self.samples.new(answers.schema, model) as (name, writer):
                done = 0
                for some, rows in self._uploads.judged(cells, answers):
                    writer.add(some, rows)
                    done += len(some)
                    tell({"done": done, "total": max(done, len(cells))})
                writer.finish(counted(files, "file"), tuple(cells.others.notes(listed="")))
            return name

        return followed(self._uploads, work, stack, model)

    async def examples(self, request: Request) -> Response:
        """Judge the example cells, answered as `create` does."""
        model = self._uploads.served.model

        def work(answers: Answers, tell: Tell) -> str:
            cells = list(example_cells(model.predictor))
            with self.samples.new(answers.schema, model) as (name, writer):
                writer.add(cells, answers.rows(cells))
                writer.finish("example cells", ())
            return name

        return followed(self._uploads, work, ExitStack(), model)

    async def rows(self, request: Request) -> Response:
        """Everything that is known of a sample's cells, by columns."""
        sample = self._sample(request)
        content = await asyncio.to_thread(columns_of, sample.rows)
        there = np.flatnonzero(sample.places[:, 1] == 0)
        told = {**sample.told, "blocks": pictures.block_count(sample), "unseen": there}
        return json_of({**told, "compared": sample.challenger is not None, "columns": content})

    async def forget(self, request: Request) -> Response:
        """Remove a sample."""
        self.samples.forget(request.path_params["sample"])
        return Response(status_code=204)

    async def atlas(self, request: Request) -> Response:
        """Thousands of cells as one PNG."""
        sample, block = self._sample(request), request.path_params["block"]
        view, stretch = self._shown(request)
        if block >= pictures.block_count(sample):
            raise RequestError(404, f"there is no atlas {block}")

        def draw() -> bytes:
            limits = pictures.limits_of(sample, self._look, view, stretch)
            return pictures.atlas(sample, self._look, block, view, limits)

        return png_of(await asyncio.to_thread(draw))

    async def cell(self, request: Request) -> Response:
        """One cell as PNG, with the evidence of a map over it where one is asked for."""
        sample, cell = self._sample(request), request.path_params["cell"]
        view, stretch = self._shown(request)
        asked = request.query_params.get("map")
        points = await self._evidence(sample.model, sample.require(cell), asked)

        def draw() -> bytes:
            limits = pictures.limits_of(sample, self._look, view, stretch)
            shown = pictures.picture(sample, self._look, cell, view, limits)
            if points is not None:
                side = seen_side(sample.model.predictor.card)
                shown = pictures.with_evidence(shown, points, side)
            return png(shown)

        return png_of(await asyncio.to_thread(draw))

    async def _evidence(
        self, model: Model, pixels: np.ndarray, asked: str | None
    ) -> np.ndarray | None:
        """The activation map (h, w) that is asked for by number."""
        if asked is None:
            return None
        if not asked.isdecimal() or int(asked) >= len(maps_of(model.predictor.outputs)):
            raise RequestError(404, f"there is no map {asked!r:.20}")
        found = await model.batcher.judge(np.ascontiguousarray(pixels[None]), [CAM])
        return np.asarray(found[CAM][0, int(asked)])

    async def composition(self, request: Request) -> Response:
        """Shares of classes among some cells."""
        sample, asked = self._sample(request), await body_of(request)
        question = str(asked.get("question", ""))
        known = known_confusion(sample.model.predictor)
        if question not in known:
            raise RequestError(404, f"no question {question!r:.60} is answered by classes")
        rows = sample.rows.select([f"predicted{question}", "acquisition"])
        if (cells := asked.get("cells")) is not None:
            rows = rows.take(cells_of(cells, len(rows)))
        columns = (column.to_pylist() for column in rows.columns)
        return json_of(await asyncio.to_thread(composition, *known[question], *columns))

    async def export(self, request: Request) -> Response:
        """Rows as a file."""
        sample, asked = self._sample(request), await body_of(request)
        kind, gates = str(asked.get("kind")), asked.get("gates", {})
        cells = asked.get("cells")
        if not isinstance(gates, dict):
            raise RequestError(400, "`gates` says cells by name")
        checked = None if cells is None else cells_of(cells, len(sample.rows))
        inside = {str(name): cells_of(some, len(sample.rows)) for name, some in gates.items()}
        try:
            content = await asyncio.to_thread(export, sample, kind, checked, inside, _notes(sample))
        except UnstainedError as error:
            raise refusal(error) from None
        return Response(content, media_type=KINDS[kind])

    async def labels(self, request: Request) -> Response:
        """Which cells are asked about, what was said, and how far people agree."""
        return json_of(self._said(self._sample(request)))

    async def label(self, request: Request) -> Response:
        """Keep what a person says, then answer as `labels` does."""
        sample, asked = self._sample(request), await body_of(request)
        given = asked.get("labels")
        if not isinstance(given, dict):
            raise RequestError(400, "`labels` says a class by cell")
        labels.say(sample, str(asked.get("person", "")), given, self._classes())
        return json_of(self._said(sample))

    def _said(self, sample: Sample) -> dict[str, Any]:
        found = labels.said(sample)
        return {
            "cells": labels.cells_to_label(sample),
            "people": [
                {"name": name, "labels": {str(cell): label for cell, label in of.items()}}
                for name, of in found.items()
            ],
            "agreement": labels.agreement(found, self._classes()),
        }

    async def labelled(self, request: Request) -> Response:
        """The labelled cells as a folder that ingest reads."""
        sample = self._sample(request)
        content = await asyncio.to_thread(
            labels.labelled_folder, sample, self._uploads.study, self._classes()
        )
        return Response(content, media_type="application/zip")

    def _classes(self) -> list[str]:
        """Of the first classes task. Raises: RequestError: the model tells none (404)."""
        for task in self._uploads.served.predictor.card["tasks"]:
            if task["kind"] == "classes":
                return list(task["classes"])
        raise RequestError(404, "this model tells no classes, so there is nothing to label")

    def _sample(self, request: Request) -> Sample:
        return self.samples.find(request.path_params["sample"])

    def _shown(self, request: Request) -> tuple[int, str]:
        """View and stretch that a picture is asked for in."""
        view = request.query_params.get("view", "0")
        stretch = request.query_params.get("stretch", "normal")
        known = view.isdecimal() and int(view) < len(self._look.views)
        if not known or stretch not in pictures.STRETCHES:
            raise RequestError(404, f"cells are not shown in {view!r:.20}, {stretch!r:.20}")
        return int(view), stretch


def _notes(sample: Sample) -> dict[str, str]:
    """Which model judged a sample."""
    models = {"model": sample.model, "challenger": sample.challenger}
    return {
        f"{name}_{what}": said
        for name, model in models.items()
        if model is not None
        for what, said in (("version", model.version), ("digest", model.predictor.digest))
    }
