"""What should be served, and who tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from unstained.artifact.artifact import artifact_digest
from unstained.errors import SourceError
from unstained.serving.served import Promotion

POINTER: Final = "champion"
"""File of a place whose one line names the folder beside it that is to be served."""


@dataclass(frozen=True)
class Target:
    """What should be served.

    Attributes:
        artifact: its directory, whose content does not change any more.
        digest: recorded of it; None where nobody recorded one.
        version: number in the registry, where it is known.
        promotion: how it became champion, where that is known.
    """

    artifact: Path
    digest: str | None
    version: str | None = None
    promotion: Promotion | None = None


class Source(Protocol):
    """Where it is told what should be served."""

    def digest(self) -> str:
        """Of what should be served now; asked every few seconds. Raises: UnstainedError."""

    def fetch(self) -> Target:
        """What should be served now. Raises: UnstainedError."""

    def forget(self, artifact: Path) -> None:
        """An artifact that was fetched is not needed any more."""


class LinkedDirectory:
    """An artifact's directory, reached by a symbolic link that is moved to the next one.

    Args:
        path: the link. `ln -s NEW next && mv -T next PATH` moves it at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self) -> str:
        """Of the artifact that the link leads to."""
        return artifact_digest(self._path)

    def fetch(self) -> Target:
        """The directory that the link leads to."""
        return Target(self._path.resolve(), None)

    def forget(self, artifact: Path) -> None:
        """Leave it: it is not the server's."""


class Place:
    """A directory of artifacts and a file that names one of them, where links are not to be had.

    Args:
        path: holds a folder an artifact, and the file POINTER. `cp -r NEW PATH/8`, then
            `echo 8 > PATH/next && mv PATH/next PATH/champion` names the next one at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self) -> str:
        """Of the artifact that is named."""
        return artifact_digest(self._named())

    def fetch(self) -> Target:
        """The folder that is named."""
        return Target(self._named(), None)

    def forget(self, artifact: Path) -> None:
        """Leave it: it is not the server's."""

    def _named(self) -> Path:
        """The folder. Raises: SourceError: none beside the file is named."""
        name = (self._path / POINTER).read_text("utf-8", errors="replace").strip()
        found = self._path / name
        if name in ("", ".", "..") or "/" in name or not found.is_dir():
            raise SourceError(
                f"{self._path / POINTER} names {name!r:.80}, which is no folder beside it",
                f"copy the artifact to a folder in {self._path} first, then write its name there",
            )
        return found.resolve()


def source_of(path: Path) -> Source:
    """Who tells which artifact is to be served: a file in a place of several, or a link."""
    return Place(path) if (path / POINTER).is_file() else LinkedDirectory(path)
