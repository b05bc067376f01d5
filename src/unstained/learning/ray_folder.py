"""Ray's folder: for this user alone, and swept with the processes that still write there.

Ray opens the folder that it is given to everybody (mode 0777), with sockets that run code for
whoever writes to them: it is given one within a folder of mode 0700.
"""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from unstained.learning.orphans import clear
from unstained.temporary import temporary_folder

PREFIX: Final = "unstained-ray-"

LONGEST: Final = 38
"""Of the folder's path: Ray's sockets lie 69 characters below it, and a socket's path has 107 at
the most."""

RANDOM: Final = 8
"""Characters that `tempfile.mkdtemp` adds to a name."""


def ray_folder() -> AbstractContextManager[Path]:
    """An empty folder for one Ray, see `temporary_folder`; its path has room for sockets."""
    place = Path(tempfile.gettempdir()).resolve()
    if len(str(place / PREFIX)) + RANDOM > LONGEST:
        place = Path("/tmp").resolve()  # noqa: S108
    return temporary_folder(PREFIX, place, clear)
