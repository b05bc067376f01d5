"""Pointers to packed stores, with directories as remotes; DVC's own commands are the reference."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
from pathlib import Path

import pytest

from tests.synthetic import make_store
from tests.tracked import STORE, STUDY, command, make_project, save, set_remote
from unstained.data.remote.pointers import (
    StorePointer,
    locate_store,
    pull_quarantine,
    pull_store,
    push_store,
)
from unstained.data.store.cell_store import CellStore
from unstained.errors import IntegrityError, StoreError
from unstained.files import file_sha256, tree_sha256


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("template") / "project")


@pytest.fixture
def tracked(template: Path, tmp_path: Path) -> Path:
    """A project that tracks a store; only DVC's cache holds its objects."""
    return Path(shutil.copytree(template, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "store", cells_per_group=4).path


def objects(remote: Path) -> dict[str, str]:
    """Every file of a remote and its digest."""
    return {
        path.relative_to(remote).as_posix(): file_sha256(path)
        for path in sorted(remote.rglob("*"))
        if path.is_file()
    }


def test_a_pointer_says_what_the_store_is(tracked: Path, tmp_path: Path) -> None:
    pointer = locate_store(str(tracked), "", STUDY)
    store = CellStore.open(tracked / STORE)
    files = [path for path in store.path.rglob("*") if path.is_file()]
    assert (pointer.rows, pointer.data_digest) == (len(store), store.digest)
    assert (pointer.files, pointer.size_bytes) == (len(files), sum(p.stat().st_size for p in files))
    assert pointer.manifest_sha256 == file_sha256(store.path / "manifest.json")
    assert pointer.revision == ""
    assert StorePointer.from_dict(json.loads(json.dumps(pointer.to_dict()))) == pointer
    pulled = pull_store(pointer, tmp_path / "pulled")
    assert tree_sha256(pulled) == tree_sha256(store.path)


def test_what_was_left_out_travels_with_the_store(store: Path, tmp_path: Path) -> None:
    listed, remote = tmp_path / "quarantine.csv", tmp_path / "remote"
    listed.write_text(
        "source_file,reason,kind\na.tif,it is no TIFF,quarantined\n", encoding="utf-8"
    )
    pointer = push_store(store, str(remote), "synthetic", listed)
    pull_quarantine(pointer, tmp_path / "pulled.csv")
    assert (tmp_path / "pulled.csv").read_bytes() == listed.read_bytes()
    (held,) = remote.rglob(f"{pointer.quarantine[:2]}/{pointer.quarantine[2:]}")
    held.chmod(0o644)
    held.write_text("source_file,reason,kind\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match="damaged"):
        pull_quarantine(pointer, tmp_path / "again.csv")
    held.unlink()
    with pytest.raises(StoreError, match="does not hold"):
        pull_quarantine(pointer, tmp_path / "again.csv")
    with pytest.raises(StoreError, match="nothing tells what was left out"):
        pull_quarantine(push_store(store, str(remote), "synthetic"), tmp_path / "again.csv")
    assert not (tmp_path / "again.csv").exists()


@pytest.mark.parametrize(
    "change",
    [{"md5": "../../etc/passwd"}, {"colour": "red"}, {"rows": -1}, {"manifest_sha256": ""}],
)
def test_a_malformed_pointer_is_refused(change: dict[str, object]) -> None:
    content = {
        **{"study": STUDY, "md5": f"{'a' * 32}.dir", "remote": "/data", "rows": 1, "files": 1},
        **{"size_bytes": 1, "manifest_sha256": "b" * 64, "data_digest": "c" * 64},
    }
    StorePointer.from_dict(content)
    with pytest.raises(StoreError, match=f"no pointer.*{next(iter(change))}"):
        StorePointer.from_dict(content | change)


def test_each_revision_has_its_own_store(tracked: Path, tmp_path: Path) -> None:
    before = tree_sha256(tracked / STORE)
    first = command(tracked, "git", "rev-parse", "one").stdout.strip()
    shutil.rmtree(tracked / STORE)
    make_store(tracked / STORE, cells_per_group=5)
    second = save(tracked, "two")
    old, new = (locate_store(str(tracked), tag, STUDY) for tag in ("one", "main"))
    assert (old.revision, new.revision) == (first, second)
    assert new.rows > old.rows
    assert tree_sha256(pull_store(old, tmp_path / "old")) == before
    bare = tmp_path / "bare.git"
    command(tmp_path, "git", "clone", "-q", "--bare", str(tracked), str(bare))
    cache = str(tracked / ".dvc" / "cache")
    assert locate_store(f"file://{bare}", "one", STUDY, cache) == old
    assert locate_store(f"file://{bare}", "", STUDY, cache) == new
    with pytest.raises(StoreError, match="no default DVC remote"):
        locate_store(f"file://{bare}", "one", STUDY)


def test_a_user_without_a_name_clones(
    tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers run as a random user id, which no list of accounts holds."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    cache = str(tracked / ".dvc" / "cache")
    assert locate_store(f"file://{tracked}", "one", STUDY, cache).revision
    assert "LOGNAME" not in os.environ


def test_the_remote_is_the_projects_own(tracked: Path, tmp_path: Path) -> None:
    set_remote(tracked, "../storage")
    with pytest.raises(StoreError, match="does not exist"):
        locate_store(str(tracked), "", STUDY)
    command(tracked, "dvc", "push", "-q")
    pointers = [
        locate_store(str(tracked), "", STUDY),
        locate_store(str(tracked), "", STUDY, "data"),
        locate_store(str(tracked), "", STUDY, str(tmp_path / "storage")),
    ]
    assert {pointer.remote for pointer in pointers} == {str(tmp_path / "storage")}
    with pytest.raises(StoreError, match=r"no DVC remote 'elsewhere'.*data"):
        locate_store(str(tracked), "", STUDY, "elsewhere")


def test_an_endpoint_that_only_dvc_knows_is_refused(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_remote(tracked, "s3://bucket/data")
    command(tracked, "dvc", "remote", "modify", "data", "endpointurl", "http://there:9000")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(StoreError, match="AWS_ENDPOINT_URL=http://there:9000"):
        locate_store(str(tracked), "", STUDY)


def test_what_is_not_there_is_named(tracked: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no revision 'nowhere'"):
        locate_store(str(tracked), "nowhere", STUDY)
    with pytest.raises(StoreError, match="runs/other/ingest/store") as caught:
        locate_store(str(tracked), "one", "other")
    assert "dvc repro ingest" in caught.value.remedy
    with pytest.raises(StoreError, match="cannot be cloned"):
        locate_store(f"file://{tmp_path / 'nothing'}", "", STUDY)
    with pytest.raises(StoreError, match="no project of DVC"):
        locate_store(str(tmp_path), "", STUDY)
    (tracked / "dvc.lock").unlink()
    with pytest.raises(StoreError, match=r"no dvc\.lock"):
        locate_store(str(tracked), "", STUDY)


def test_an_object_that_was_not_pushed_is_named(tracked: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="does not hold the whole") as caught:
        locate_store(str(tracked), "", STUDY, str(tmp_path / "empty"))
    assert "dvc push" in caught.value.remedy
    pointer = locate_store(str(tracked), "", STUDY)
    table = hashlib.md5((tracked / STORE / "cells.parquet").read_bytes()).hexdigest()
    (Path(pointer.remote) / "files" / "md5" / table[:2] / table[2:]).unlink()
    for cache in (None, tmp_path / "cache"):
        with pytest.raises(StoreError, match=table[2:]):
            pull_store(pointer, tmp_path / "pulled", cache)
    assert not (tmp_path / "pulled").exists()


def test_pushing_gives_what_dvc_pushes(tracked: Path, tmp_path: Path) -> None:
    set_remote(tracked, str(tmp_path / "theirs"))
    command(tracked, "dvc", "push", "-q")
    pushed = push_store(tracked / STORE, str(tmp_path / "ours"), STUDY)
    assert objects(tmp_path / "ours") == objects(tmp_path / "theirs")
    located = locate_store(str(tracked), "", STUDY)
    assert pushed == located.model_copy(update={"remote": str(tmp_path / "ours")})


def test_pushing_again_adds_only_what_is_missing(store: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    pointer = push_store(store, str(remote), STUDY)
    whole = objects(remote)
    files = sorted(path for path in remote.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].chmod(0o644)
    files[1].write_bytes(b"half of i")
    kept = {path: path.stat().st_ino for path in files[2:]}
    assert push_store(store, str(remote), STUDY) == pointer
    assert objects(remote) == whole
    assert {path: path.stat().st_ino for path in files[2:]} == kept


def test_only_a_finished_store_of_the_study_is_pushed(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds the study synthetic, not nsc"):
        push_store(store, str(tmp_path / "remote"), "nsc")
    broken = Path(shutil.copytree(store, tmp_path / "broken"))
    (broken / "manifest.json").unlink()
    with pytest.raises(StoreError, match="no complete store"):
        push_store(broken, str(tmp_path / "remote"), STUDY)
    assert objects(tmp_path / "remote") == {}
    with pytest.raises(StoreError, match="no data remote"):
        push_store(store, "gopher://remote", STUDY)


def test_a_cache_is_asked_first(store: Path, tmp_path: Path) -> None:
    remote, cache = tmp_path / "remote", tmp_path / "cache"
    pointer = push_store(store, str(remote), STUDY)
    pull_store(pointer, tmp_path / "one", cache)
    for path in remote.rglob("*"):
        if path.is_file() and path.suffix != ".dir":
            path.unlink()
    assert tree_sha256(pull_store(pointer, tmp_path / "two", cache)) == tree_sha256(store)


@pytest.mark.parametrize("with_cache", [False, True])
def test_damage_is_found_and_nothing_is_left(store: Path, tmp_path: Path, with_cache: bool) -> None:
    cache = tmp_path / "cache" if with_cache else None
    pointer = push_store(store, str(tmp_path / "remote"), STUDY)
    victim = sorted((tmp_path / "remote").rglob("*[!r]"), key=lambda p: p.stat().st_size)[-1]
    content = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IntegrityError, match="damaged"):
        pull_store(pointer, tmp_path / "pulled", cache)
    assert [path.name for path in tmp_path.iterdir() if "pulled" in path.name] == []
    victim.write_bytes(content)
    assert tree_sha256(pull_store(pointer, tmp_path / "pulled", cache)) == tree_sha256(store)


def test_a_damaged_cache_heals(store: Path, tmp_path: Path) -> None:
    pointer = push_store(store, str(tmp_path / "remote"), STUDY)
    pull_store(pointer, tmp_path / "one", tmp_path / "cache")
    victim = next(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    victim.unlink()
    victim.write_bytes(b"other bytes")
    victim.chmod(0o444)
    with pytest.raises(IntegrityError, match="damaged"):
        pull_store(pointer, tmp_path / "two", tmp_path / "cache")
    pulled = pull_store(pointer, tmp_path / "two", tmp_path / "cache")
    assert tree_sha256(pulled) == tree_sha256(store)


def test_another_stores_manifest_is_refused(store: Path, tmp_path: Path) -> None:
    pointer = push_store(store, str(tmp_path / "remote"), STUDY)
    wrong = pointer.model_copy(update={"manifest_sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="not the one of the pointer"):
        pull_store(wrong, tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_a_listing_cannot_write_outside(store: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    pointer = push_store(store, str(remote), STUDY)
    folder = remote / "files" / "md5"
    listing = json.loads((folder / pointer.md5[:2] / pointer.md5[2:]).read_text())
    listing[0]["relpath"] = "../outside"
    forged = json.dumps(listing).encode()
    name = f"{hashlib.md5(forged).hexdigest()}.dir"
    (folder / name[:2]).mkdir(exist_ok=True)
    (folder / name[:2] / name[2:]).write_bytes(forged)
    with pytest.raises(IntegrityError, match=r"\.\./outside"):
        pull_store(pointer.model_copy(update={"md5": name}), tmp_path / "pulled")
    assert not (tmp_path / "outside").exists()
    (folder / name[:2] / name[2:]).write_bytes(b"[]")
    with pytest.raises(IntegrityError, match=r"is damaged"):
        pull_store(pointer.model_copy(update={"md5": name}), tmp_path / "pulled")
