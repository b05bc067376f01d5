"""Lets Ray answer on the loopback interface alone, to who knows a token of this run.

By its arguments Ray can do neither: it takes 127.0.0.1 for the machine's address in the network,
where every server of it then listens, and keeps one token for all runs in ~/.ray/auth_token, which
everybody may read who may enter the home folder. Both are set here in Ray 2.60 and proven by
tests/learning/test_tuning_ray.py.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # compiled

TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105  a name

AUTHENTICATION: Final = ("RAY_AUTH_MODE", TOKEN, "RAY_AUTH_TOKEN_PATH")


@contextmanager
def for_this_user_alone() -> Iterator[None]:
    """What is started in the block listens on loopback, and asks for a token made here.

    A token or a mode that the user has set stays.
    """
    own = not any(name in os.environ for name in AUTHENTICATION)
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    if own:
        os.environ[TOKEN] = secrets.token_hex(32)
    AuthenticationTokenLoader.instance().reset_cache()
    ray_constants.ENABLE_RAY_CLUSTER = False  # as where Ray knows no networks: macOS, Windows
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name in AUTHENTICATION if own else ():  # Ray sets the mode
            os.environ.pop(name, None)
        AuthenticationTokenLoader.instance().reset_cache()
