"""Connection to MLflow: quiet, without pickles, and with errors that say what to do."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from unstained.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment variables of MLflow, where the user has set none."""

SQLITE: Final = "sqlite:///"

REFUSED: Final = re.compile(r"\b40[13]\b")
"""HTTP's status where a server takes no name, password or token; not within a run's number."""

HALF_MADE: Final = re.compile(
    r"_alembic_tmp_|(table|relation) \S+ already exists|duplicate column", re.IGNORECASE
)
"""What MLflow's migrations say where another of its processes was killed within one."""

PROBE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8"}
"""The first request: whether a server is there at all is known within seconds."""

QUIET: Final = {
    "mlflow": "WARNING",
    "mlflow.utils.environment": "ERROR",  # it misses pip, which needs no record
    "mlflow.store.db.utils": "CRITICAL",  # what it raises it prints before, with a traceback
    "alembic": "WARNING",
    "urllib3": "ERROR",  # what a retried connection says is said once, by the error
}


def connect(uri: str) -> MlflowClient:
    """A client of the server or database at `uri`, known to answer.

    Raises:
        RegistryError: the server is unreachable or refuses, or `uri` is no place that MLflow 3
            keeps a registry in.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    probe = {name: v for name, v in PROBE.items() if os.environ[name] == DEFAULTS[name]}
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    with explained(uri):
        for library, level in QUIET.items():
            logging.getLogger(library).setLevel(level)
        with environment(probe):
            _create_database(uri)
            return _asked(uri)


def _asked(uri: str) -> MlflowClient:
    """A client that has had an answer; MLflow makes the tables of an empty database for it."""
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    client.search_experiments(max_results=1)
    return client


def _create_database(uri: str) -> None:
    """Make an SQLite database whole or not at all, and once.

    Processes that start together would make its tables at the same time, and one that is killed on
    the way would leave a half that MLflow cannot go on from.
    """
    from filelock import FileLock

    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or path.exists() or not os.access(path.parent, os.W_OK):
        return
    with FileLock(f"{path}.lock"):
        if not path.exists():
            for left in path.parent.glob(f".{path.name}.new*"):  # and journals beside it
                left.unlink()
            # Another name each time: MLflow keeps its connection to one that failed here.
            fresh = path.with_name(f".{path.name}.new.{uuid4().hex}")
            _asked(f"{SQLITE}{fresh}")
            fresh.rename(path)


@contextmanager
def explained(uri: str, if_gone: str = "") -> Iterator[None]:
    """Turn what MLflow raises into a RegistryError that names the server and a remedy.

    Args:
        uri: of MLflow.
        if_gone: what to do where MLflow answers, and what was asked for is not there any more.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        text = _first(error).replace(uri, public(uri))
        said = f"MLflow at {public(uri)}: {text}"
        raise RegistryError(said, _remedy(error, uri, if_gone)) from error
    except ModuleNotFoundError as error:  # a database's driver
        raise RegistryError(
            f"MLflow at {public(uri)} needs the Python package {error.name}, which is not there",
            "install it; or name another driver, as in postgresql+psycopg2://; or run an MLflow "
            "server on that database, and set MLFLOW_TRACKING_URI to its address",
        ) from error


@contextmanager
def global_uri(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's process-wide address for a while.

    MLflow resolves `models:/` sources at this address even when a client has another one.
    """
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # MLflow's own way to unset it
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def public(uri: str) -> str:
    """An address without its user name and password, for messages and records."""
    scheme, mark, rest = uri.partition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _first(error: Exception) -> str:
    """The first line, with the two after it where it only announces them; no advice to coders."""
    said = str(error).strip().splitlines()
    lines = [one for one in said if "autoflush" not in one] or [type(error).__name__]
    return " ".join(lines[: 3 if lines[0].endswith(":") else 1])[:400]


def _remedy(error: Exception, uri: str, if_gone: str) -> str:
    text = str(error)
    code = getattr(error, "error_code", "")
    if code == "RESOURCE_DOES_NOT_EXIST" and if_gone:
        return if_gone
    if "disk is full" in text or "No space left" in text:
        return "the disk is full: free some space and run the same command again"
    if "filesystem tracking backend" in text or "FILE_STORE" in text:
        return (
            "MLflow 3 keeps no registry in plain files: set MLFLOW_TRACKING_URI to a server or "
            "sqlite:///PATH; `mlflow migrate-filestore --source DIRECTORY --target sqlite:///PATH` "
            "moves old runs there"
        )
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or REFUSED.search(text):
        return "check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN"
    if HALF_MADE.search(text):
        database = uri.removeprefix(SQLITE)
        move = "move the database away" if database == uri else f"`mv {database} {database}.old`"
        return (
            "its tables are half made or half upgraded, by a process that was killed: restore the "
            f"database from a backup, or {move} where nothing was registered in it yet, and run "
            "the same command again"
        )
    if "database is locked" in text:
        return "another process writes to this database: wait, or use an MLflow server"
    return (
        "check that MLFLOW_TRACKING_URI names a running MLflow 3 server or a writable database, "
        "then run the same command again"
    )


def unless_it_exists(create: Callable[[], object]) -> None:
    """Create something; another process may have been faster, or it was there before."""
    from mlflow.exceptions import MlflowException

    try:
        create()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def overwrite(write: Callable[..., object], *arguments: str) -> None:
    """Set a tag or an alias, which MLflow adds where a look says that there is none.

    Who is told that somebody else added it between look and write writes once more, over it.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*arguments)
    except MlflowException as error:
        if "unique constraint" not in str(error).lower():
            raise
        write(*arguments)


def is_there(uri: str) -> bool:
    """Whether there is anybody to ask: a database that nobody has made yet is not made for it."""
    return not uri.startswith(SQLITE) or Path(uri.removeprefix(SQLITE)).exists()


def database_stamp(uri: str) -> str:
    """Size and time of a database's file, by which a change of it is seen; '' of a server."""
    database = Path(uri.removeprefix(SQLITE))
    try:
        found = database.stat()
    except OSError:
        return ""
    return f"{database} {found.st_size} {found.st_mtime_ns}"
