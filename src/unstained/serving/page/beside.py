"""What the page asks of the challenger: the cells of a sample once more, and how far both agree."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from unstained.prediction.answers import Answers
from unstained.serving.judging import Uploads
from unstained.serving.page.comparing import Questions, ask, comparison
from unstained.serving.page.facts import known_confusion
from unstained.serving.page.messages import Tell, body_of, cells_of, columns_of, followed, json_of
from unstained.serving.page.samples import CHALLENGER_ROWS, Samples
from unstained.serving.refusals import RequestError
from unstained.serving.served import Model


class ChallengerApi:
    """Handlers of requests about the challenger.

    Args:
        uploads: judges cells, as few at a time as those of uploads.
        samples: whose cells are asked about.
    """

    def __init__(self, uploads: Uploads, samples: Samples) -> None:
        self._uploads = uploads
        self._samples = samples

    def routes(self) -> list[BaseRoute]:
        """Relative to where the page's data lie."""
        one = "/samples/{sample}"
        return [
            Route(f"{one}/challenger", self.ask, methods=["POST"]),
            Route(f"{one}/challenger", self.rows, methods=["GET"]),
            Route(f"{one}/comparison", self.comparison, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Have the challenger judge a sample's cells; a line of JSON for each step."""
        name = request.path_params["sample"]
        sample, model = self._samples.find(name), self._challenger()
        questions = questions_of(sample.model)
        stack = ExitStack()
        folder = stack.enter_context(self._uploads.room())

        def work(answers: Answers, tell: Tell) -> str:
            total = len(sample.places)
            found = folder / CHALLENGER_ROWS
            ask(sample, questions, answers, found, lambda n: tell({"done": n, "total": total}))
            self._samples.challenge(name, model, found)
            return str(name)

        return followed(self._uploads, work, stack, model)

    async def rows(self, request: Request) -> Response:
        """What the challenger says of a sample's cells, by columns."""
        sample = self._samples.find(request.path_params["sample"])
        second, model = sample.challenger_rows, sample.challenger
        content = await asyncio.to_thread(columns_of, second)
        told = {} if model is None else {"version": model.version, "digest": model.predictor.digest}
        return json_of({**told, "columns": content})

    async def comparison(self, request: Request) -> Response:
        """How far both agree on some cells."""
        sample = self._samples.find(request.path_params["sample"])
        asked, questions = await body_of(request), questions_of(sample.model)
        end = str(asked.get("question", ""))
        if end not in questions:
            raise RequestError(404, f"no question {end!r:.60} is answered by classes")
        first, second = sample.rows, sample.challenger_rows
        if (cells := asked.get("cells")) is not None:
            some = cells_of(cells, len(first))
            first, second = first.take(some), second.take(some)
        return json_of(await asyncio.to_thread(comparison, first, second, questions[end], end))

    def _challenger(self) -> Model:
        """The challenger. Raises: RequestError: there is none that answers (409)."""
        beside = self._uploads.served.challenger
        if beside is None:
            raise RequestError(
                409, "this server has no challenger: start it with --challenger VERSION"
            )
        if beside.out:
            raise RequestError(409, "the challenger failed and was taken out: the log says why")
        return beside.model


def questions_of(model: Model) -> Questions:
    """Classes by the end of a question's columns."""
    known = known_confusion(model.predictor)
    return {end: classes for end, (classes, _) in known.items()} or {"": []}
