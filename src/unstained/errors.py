"""Errors that say what to do next.

Every failure a user can cause is an `UnstainedError` with a message (what is wrong, where) and a
remedy (what to do). Only the command line turns them into text and an exit status; everything else
lets them pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MADE_AGAIN: Final = "`dvc repro` makes it again, and `unstained grid` what is a replicate's"
"""What to do about something in runs/ that is missing, damaged or not of this run."""


class UnstainedError(Exception):
    """A failure with a remedy.

    Args:
        message: what is wrong, naming the file, row or parameter.
        remedy: what the user should do about it.
        absent: columns or channels that were asked of a source and that it lacks, by its own names;
            who can do without them goes on.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str, absent: Iterable[str] = ()) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy
        self.absent = tuple(absent)

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}"


class ParameterError(UnstainedError):
    """params.yaml holds an unknown key, a wrong type or an impossible combination."""

    exit_code = 2


class SourceError(UnstainedError):
    """Raw data are missing, malformed or not what the manifest promises."""

    exit_code = 3


class StoreError(UnstainedError):
    """A packed store is missing, incomplete or inconsistent."""

    exit_code = 4


class ValidationError(UnstainedError):
    """Data broke an expectation or an audit rule that stops the pipeline."""

    exit_code = 5


class SplitError(UnstainedError):
    """No partition satisfies the requested strategy."""

    exit_code = 6


class TrainingError(UnstainedError):
    """Training or tuning cannot start or go on."""

    exit_code = 7


class ExportError(UnstainedError):
    """An exported model does not reproduce the trained one, or cannot be written."""

    exit_code = 8


class RegistryError(UnstainedError):
    """The MLflow server refuses, is unreachable or holds something else than expected."""

    exit_code = 9


class NoCandidateError(RegistryError):
    """No version is a candidate; there may be replicates."""


class OvertakenError(RegistryError):
    """Somebody else decided while this process was about to; nothing of it was kept."""


class IntegrityError(RegistryError):
    """An artifact's digest is not the recorded one."""

    exit_code = 10


class StageInputError(UnstainedError):
    """A stage's input is missing or was not written by a finished stage."""

    exit_code = 11
