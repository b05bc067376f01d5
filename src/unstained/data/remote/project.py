"""What a project's git history and DVC say of a study's packed store; nothing is checked out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from unstained.data.remote.object_store import is_s3
from unstained.errors import StoreError
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from dvc.config import Config
    from dvc.fs import FileSystem
    from scmrepo.git import Git

TRACK: Final = "run `dvc repro ingest`, commit dvc.lock and run `dvc push`"


@dataclass(frozen=True)
class Project:
    """A project at a revision.

    Attributes:
        name: how messages call it.
        files: the file system that holds it.
        root: its directory there.
        config: DVC's configuration.
        revision: the git commit; '' means the working tree.
        cache: DVC's cache; None where the project is a clone, which has none.
    """

    name: str
    files: FileSystem
    root: str
    config: Config
    revision: str
    cache: Path | None

    def tracked_store(self, study: str) -> Mapping[str, Any]:
        """The entry of a study's packed store in dvc.lock: md5, size, nfiles.

        With it, as `quarantine`, the md5 of the list of what ingest left out; '' without one.

        Raises:
            StoreError: dvc.lock is missing or unreadable, or does not name the store.
        """
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        home = f"runs/{study}/ingest"
        path = f"{home}/store"
        try:
            with self.files.open(self.files.join(self.root, "dvc.lock"), "r") as file:
                lock = YAML(typ="safe", pure=True).load(file) or {}
        except FileNotFoundError as error:
            raise StoreError(f"{self.name} has no dvc.lock", TRACK) from error
        except YAMLError as error:
            raise StoreError(f"dvc.lock of {self.name} is no YAML: {error}", TRACK) from error
        outputs = [out for stage in lock["stages"].values() for out in stage.get("outs", ())]
        found = [out for out in outputs if out["path"] == path]
        if not found or not str(found[0].get("md5", "")).endswith(".dir"):
            raise StoreError(f"dvc.lock of {self.name} has no packed store {path}", TRACK)
        beside = [out["md5"] for out in outputs if out["path"] == f"{home}/quarantine.csv"]
        return {**found[0], "quarantine": beside[0] if beside else ""}

    def remote(self, wanted: str | None) -> str:
        """Address of the data remote.

        Args:
            wanted: an address, or the name of a DVC remote; None means DVC's default remote and,
                where a project on this machine has no remote at all, its DVC cache.

        Raises:
            StoreError: there is no such remote, or DVC knows another endpoint than this process.
        """
        remotes = self.config["remote"]
        if wanted is not None and wanted not in remotes:
            if is_s3(wanted) or Path(wanted).is_absolute():
                return wanted
            known = ", ".join(sorted(remotes)) or "none"
            raise StoreError(
                f"{self.name} has no DVC remote {wanted!r} (it has: {known})",
                "name one of these, or an address: s3://bucket/prefix or an absolute path",
            )
        if not remotes and self.cache is not None:
            return str(self.cache)
        name = wanted or self.config["core"].get("remote")
        if name not in remotes:
            raise StoreError(
                f"{self.name} has no default DVC remote",
                "run `dvc remote add -d NAME s3://bucket/prefix` and commit .dvc/config",
            )
        _same_endpoint(name, remotes[name])
        return str(remotes[name]["url"])


@contextmanager
def open_project(repository: str, revision: str) -> Iterator[Project]:
    """Open a project: a directory on this machine, or a git address, which is cloned for a while.

    Args:
        repository: path of a working tree, or an address that git can clone.
        revision: commit, branch or tag; '' means the working tree, or an address's default branch.

    Raises:
        StoreError: there is no such repository or revision, or DVC does not keep it.
    """
    from dvc.config import ConfigError
    from pygit2 import GitError

    try:
        if Path(repository).is_dir():
            yield _local(Path(repository).resolve(), revision)
        else:
            with temporary_folder() as place:
                yield _cloned(repository, revision or "HEAD", str(place))
    except ConfigError as error:
        raise StoreError(
            f"DVC's configuration of {repository} is wrong: {error}", "correct .dvc/config"
        ) from error
    except GitError as error:
        raise StoreError(
            f"git refuses {_public(repository)}: {error}",
            "work as its owner, run `git config --global --add safe.directory PATH`, or name an "
            "address that can be cloned, e.g. file://PATH",
        ) from error


def _local(root: Path, revision: str) -> Project:
    from dvc.config import Config
    from dvc.fs import GitFileSystem, localfs
    from scmrepo.exceptions import SCMError
    from scmrepo.git import Git

    if not (root / ".dvc").is_dir():
        raise StoreError(
            f"{root} is no project of DVC's: it has no .dvc directory",
            "name the directory that holds dvc.yaml",
        )
    # The configuration of today, also for an old commit: it is where the data lie now.
    config = Config(str(root / ".dvc"))
    cache = Path(config["cache"].get("dir") or root / ".dvc" / "cache")
    if not revision:
        return Project(str(root), localfs, str(root), config, "", cache)
    try:
        git = Git(str(root))
    except SCMError as error:
        raise StoreError(
            f"{root} is no git repository, so it has no revision {revision}",
            "leave the revision empty for the working tree",
        ) from error
    commit = _commit(git, revision, str(root))
    inside = PurePosixPath("/") / root.relative_to(Path(git.root_dir).resolve()).as_posix()
    files = GitFileSystem(scm=git, rev=commit)
    return Project(f"{root} at {revision}", files, str(inside), config, commit, cache)


def _cloned(address: str, revision: str, place: str) -> Project:
    from dvc.config import Config
    from dvc.fs import GitFileSystem
    from scmrepo.exceptions import SCMError
    from scmrepo.git import Git

    try:
        with _somebody():
            git = Git.clone(address, place, bare=True)
    except (SCMError, OSError) as error:
        raise StoreError(
            f"{_public(address)} cannot be cloned: {error.__cause__ or error}",
            "check the address and the credentials, or name a directory on this machine",
        ) from error
    commit = _commit(git, revision, _public(address))
    files = GitFileSystem(scm=git, rev=commit)
    if not files.exists("/.dvc"):
        raise StoreError(
            f"{_public(address)} at {revision} is no project of DVC's",
            "name the repository that holds dvc.yaml and .dvc",
        )
    config = Config("/.dvc", fs=files)
    return Project(f"{_public(address)} at {revision}", files, "/", config, commit, None)


@contextmanager
def _somebody() -> Iterator[None]:
    """Give the user a name: a clone is signed, and a container's random user id has none."""
    if "LOGNAME" in os.environ:
        yield
        return
    os.environ["LOGNAME"] = "unstained"
    try:
        yield
    finally:
        del os.environ["LOGNAME"]


def _commit(git: Git, revision: str, name: str) -> str:
    from scmrepo.exceptions import SCMError

    try:
        return str(git.resolve_commit(git.resolve_rev(revision)).hexsha)
    except SCMError as error:
        raise StoreError(
            f"{name} has no revision {revision!r}",
            "name a commit, branch or tag that is there; push it first where it is only local",
        ) from error


def _same_endpoint(name: str, remote: Mapping[str, Any]) -> None:
    """Refuse a remote whose endpoint this process would not use."""
    endpoint = remote.get("endpointurl")
    ours = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and endpoint.rstrip("/") != (ours or "").rstrip("/"):
        raise StoreError(
            f"the DVC remote {name!r} is at {endpoint}, this process uses {ours or 'AWS'}",
            f"set AWS_ENDPOINT_URL={endpoint}, or remove endpointurl from .dvc/config",
        )


def _public(address: str) -> str:
    """An address without user name and password."""
    scheme, mark, rest = address.partition("://")
    return scheme + mark + rest.rpartition("@")[2] if mark else address
