"""A real PostgreSQL server with a password, run by an unprivileged account."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

from tests.servers.process import answers, free_port, running, wait_until

ACCOUNTS = ("postgres", "nobody")
"""Accounts to run as where we are root, whom PostgreSQL refuses."""


@dataclass(frozen=True)
class PostgresServer:
    """Where a PostgreSQL server listens and who may use it."""

    port: int
    password: str
    user: str = "unstained"
    host: str = "127.0.0.1"

    def uri(self, database: str) -> str:
        """Address of a database, with user and password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def sqlalchemy_uri(self, database: str) -> str:
        """Address of a database as MLflow takes it: SQLAlchemy is told which driver is there."""
        return self.uri(database).replace("postgresql:", "postgresql+psycopg2:")

    def new_database(self, name: str) -> str:
        """Create an empty database; its address for SQLAlchemy."""
        import psycopg2

        connection = psycopg2.connect(self.uri("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return self.sqlalchemy_uri(name)


def available() -> str:
    """Why the server cannot run here; '' where it can."""
    if _programs() is None:
        return "no PostgreSQL server: apt-get install postgresql for tests against a real one"
    try:
        _account()
    except KeyError:
        return f"PostgreSQL refuses root, and there is no account {' or '.join(ACCOUNTS)}"
    return ""


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server on loopback with an empty cluster; ready in about three seconds."""
    programs, account = _programs(), _account()
    assert programs is not None
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postgres-")))
        server = PostgresServer(free_port(), secrets.token_hex(12))
        secret = home / "password"
        secret.write_text(server.password)
        if account is not None:
            for path in (home, secret):
                shutil.chown(path, account, account_group(account))
        first = ("-U", server.user, f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync")
        done = subprocess.run(
            [programs / "initdb", "-D", home / "data", "-E", "UTF8", "--locale=C", *first],
            cwd=home,
            capture_output=True,
            text=True,
            user=account,
            group=account and account_group(account),
            extra_groups=None if account is None else [],
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr[-2000:]}")
        settings = {
            "listen_addresses": server.host,
            "port": str(server.port),
            "unix_socket_directories": str(home),
            "fsync": "off",
        }
        words = [w for name, value in settings.items() for w in ("-c", f"{name}={value}")]
        log = home / "server.out"
        command = [programs / "postgres", "-D", home / "data", *words]
        place = running(command, log, cwd=home, user=account, stop=SIGINT)
        process = stack.enter_context(place)
        wait_until(lambda: answers(server.port), process, log)
        wait_until(lambda: _accepts(server), process, log)
        yield server


def account_group(account: str) -> int:
    """An account's own group."""
    return pwd.getpwnam(account).pw_gid


def _programs() -> Path | None:
    """Where the newest server's programs are."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return places[-1].parent if places else None


def _account() -> str | None:
    """Whom to run as; None means ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise KeyError(ACCOUNTS)


def _accepts(server: PostgresServer) -> bool:
    import psycopg2

    try:
        psycopg2.connect(server.uri("postgres")).close()
    except psycopg2.OperationalError:
        return False
    return True
