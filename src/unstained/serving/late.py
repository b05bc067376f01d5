"""What only people and programs with files ask for, imported when the first of them comes.

The readers of image files take a second to import and room in memory, which a server of tensors
does not need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from unstained.serving.served import Served

if TYPE_CHECKING:
    from unstained.serving.judging import Uploads


class Late:
    """An application that is made when it is first asked.

    Args:
        make: makes it, in a thread.
    """

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it, or wait until it is made, and answer."""
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(self._make)
        await self._app(scope, receive, send)


def file_routes(served: Served) -> list[BaseRoute]:
    """The page at /ui, and the route for image files."""

    @cache
    def uploads() -> Uploads:
        from unstained.serving.judging import Uploads

        return Uploads(served)

    def page() -> ASGIApp:
        from unstained.serving.page.api import PageApi
        from unstained.serving.page.routes import page_routes

        return Router(page_routes(PageApi(uploads())))

    def images() -> ASGIApp:
        from unstained.serving.image_files import images_of

        return images_of(uploads())

    async def front_door(request: Request) -> Response:
        return RedirectResponse("/ui/", 307)

    return [
        Route("/", front_door, methods=["GET"]),
        Route(f"/v2/models/{served.predictor.name}/images", Late(images), methods=["POST"]),
        Mount("/ui", Late(page)),
    ]
