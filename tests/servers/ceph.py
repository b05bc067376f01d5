"""A real S3 server: one monitor, one storage daemon in memory and Ceph's RADOS gateway."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import answers, free_port, running, wait_until

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "radosgw")

CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {home}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
osd crush update on start = false
run dir = {home}
admin socket = {home}/$name.asok
log file = {home}/$name.log
pid file = {home}/$name.pid
mon data = {home}/mon
mon data avail crit = 1
mon data avail warn = 2
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd memory target = 939524096
auth allow insecure global id reclaim = false
[client.rgw.a]
rgw data = {home}/rgw
rgw frontends = beast endpoint=127.0.0.1:{http}
rgw dynamic resharding = false
rgw override bucket index max shards = 1
"""

CAPABILITIES = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
    "client.rgw.a": ("mon", "allow *", "osd", "allow *"),
}


@dataclass(frozen=True)
class S3Server:
    """Where an S3 server listens and who may use it."""

    endpoint: str
    access_key: str = "testkey0000000000000"
    secret_key: str = "testsecret"
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3, DVC and MLflow find the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self) -> Any:
        """A boto3 client."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
        )

    def new_bucket(self) -> str:
        """Create a bucket of a new name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """All objects of a bucket."""
        pages = self.client().get_paginator("list_objects_v2")
        return [
            entry["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=prefix)
            for entry in page.get("Contents", ())
        ]


def available() -> str:
    """Why the server cannot run here; '' where it can."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return (
            f"no {', '.join(missing)}: apt-get install ceph-mon ceph-osd ceph-common radosgw "
            "for tests against a real S3 server"
        )
    return ""


@contextmanager
def ceph_gateway() -> Iterator[S3Server]:
    """Start the three daemons on loopback; ready in about ten seconds."""
    with ExitStack() as stack:
        # A socket's path is limited to 107 characters: no long name below pytest's directories.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ceph-")))
        port = free_port()
        _prepare(home, port)
        for words in ((("ceph-mon", "-i", "a")), (("ceph-osd", "-i", "0"))):
            if words[0] == "ceph-osd":
                _add_storage(home)
            process = stack.enter_context(running(_daemon(home, *words), home / "daemons.out"))
        wait_until(lambda: "1 up" in _ceph(home, "osd", "stat"), process, home / "daemons.out")
        gateway = _daemon(home, "radosgw", "-n", "client.rgw.a")
        process = stack.enter_context(running(gateway, home / "daemons.out"))
        wait_until(lambda: answers(port), process, home / "daemons.out")
        server = S3Server(f"http://127.0.0.1:{port}")
        keys = ("--access-key", server.access_key, "--secret-key", server.secret_key)
        user = ("user", "create", "--uid=test", "--display-name=test", *keys)
        _run("radosgw-admin", "-c", home / "ceph.conf", *user)
        yield server


def _prepare(home: Path, port: int) -> None:
    """Configuration, keys and the monitor's first map."""
    for name in ("mon", "osd", "rgw"):
        (home / name).mkdir()
    fsid, v2, v1 = str(uuid.uuid4()), free_port(), free_port()
    text = CONFIG.format(home=home, fsid=fsid, v2=v2, v1=v1, http=port)
    (home / "ceph.conf").write_text(text)
    keyring = home / "keyring"
    for entity, grants in CAPABILITIES.items():
        pairs = zip(grants[::2], grants[1::2], strict=True)
        caps = [word for kind, grant in pairs for word in ("--cap", kind, grant)]
        new = () if keyring.exists() else ("--create-keyring",)
        _run("ceph-authtool", *new, keyring, "--gen-key", "-n", entity, *caps)
    places = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", places, home / "monmap")
    first = ("--mkfs", "-i", "a", "--monmap", home / "monmap", "--keyring", keyring)
    _run("ceph-mon", "-c", home / "ceph.conf", *first)


def _add_storage(home: Path) -> None:
    """Make the monitor know the keys and the only storage daemon."""
    number = str(uuid.uuid4())
    _ceph(home, "auth", "import", "-i", str(home / "keyring"))
    _ceph(home, "osd", "new", number, "0")
    _ceph(home, "osd", "crush", "add", "osd.0", "1.0", "host=h", "root=default")
    _run("ceph-osd", "-c", home / "ceph.conf", "-i", "0", "--mkfs", "--osd-uuid", number)


def _daemon(home: Path, program: str, *words: str) -> list[str]:
    return [program, "-f", "-c", str(home / "ceph.conf"), *words]


def _ceph(home: Path, *words: str) -> str:
    limit = ("--connect-timeout", "60")
    return _run("ceph", "-c", home / "ceph.conf", *limit, *words)


def _run(*words: str | Path) -> str:
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr[-2000:]}")
    return done.stdout
