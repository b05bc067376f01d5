"""The ledger's copy in a real S3 server tells what was taken away here and in the registry."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.servers.ceph import S3Server
from unstained.errors import IntegrityError, StoreError
from unstained.registry.agreement import pull
from unstained.registry.promotion import settled_champion
from unstained.registry.records import SUFFIX

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture
def bucket(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    name = s3_environment.new_bucket()
    monkeypatch.setenv("UNSTAINED_MODEL_STORE", f"s3://{name}/models")
    return name


def settle(home: Home) -> int | None:
    return settled_champion(home.registry, home.ledger, STUDY, NAME).number


def take_away(home: Home, lines: int) -> None:
    """From the file and from the registry, with all that told of it."""
    kept = home.ledger.path.read_text().splitlines(keepends=True)[:-lines]
    home.ledger.path.write_text("".join(kept))
    home.registry.client.delete_registered_model(NAME + SUFFIX)
    home.registry.client.delete_registered_model_tag(NAME, "ledger_head")


def test_what_was_taken_away_everywhere_else_is_told_and_put_back(
    promoted: Home, bucket: str, s3: S3Server
) -> None:
    """Entries from before the store was configured are copied by the first command."""
    assert settle(promoted) == 2
    promoted.refuse(4, 2)
    entries, whole = promoted.ledger.entries(), promoted.ledger.path.read_bytes()
    names = [f"models/toy/ledger/{e.sequence:08d}-{e.sha256}.json" for e in entries]
    assert sorted(s3.names(bucket)) == names
    take_away(promoted, 1)
    with pytest.raises(IntegrityError, match=r"lacks entry 3, which is at s3://") as error:
        settle(promoted)
    (address,) = re.findall(rf"`aws s3 cp s3://{bucket}/(\S+) - >> ", error.value.remedy)
    line = s3.client().get_object(Bucket=bucket, Key=address)["Body"].read()
    with promoted.ledger.path.open("ab") as file:
        file.write(line)
    assert settle(promoted) == 2
    assert promoted.ledger.path.read_bytes() == whole
    promoted.ledger.path.unlink()
    assert pull(promoted.registry, promoted.ledger, NAME) == tuple(entries)


def add_later(home: Home, environment: pytest.MonkeyPatch) -> int:
    """What the cluster's restore does after database and ledgers are back; its status."""
    environment.setenv("UNSTAINED_LEDGER", str(home.ledger.path.parent))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "k8s" / "jobs" / "restore" / "ledgers.py"))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_ledger_from_a_backup_gets_what_was_decided_after_it(
    promoted: Home, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the registry is refused; a champion that the backup lacks is rolled back."""
    assert settle(promoted) == 2
    promoted.promote(3, 2)
    whole = promoted.ledger.path.read_bytes()
    take_away(promoted, 1)
    with pytest.raises(IntegrityError, match="lacks entry 3"):
        settle(promoted)
    for _ in range(2):
        assert add_later(promoted, monkeypatch) == 0
        assert promoted.ledger.path.read_bytes() == whole
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("toy: 1 entry from after")
    assert second.startswith("toy: 0 entries from after")
    assert settle(promoted) == 3
    promoted.registry.client.delete_model_version(NAME, "3")
    assert settle(promoted) is None
    promoted.rollback()
    assert settle(promoted) == 2
    promoted.ledger.path.unlink()
    assert add_later(promoted, monkeypatch) == 0
    assert settle(promoted) == 2


def test_what_does_not_follow_a_ledger_is_not_added_to_it(
    promoted: Home,
    bucket: str,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert settle(promoted) == 2
    before = promoted.ledger.path.read_bytes()
    key = f"models/toy/ledger/00000003-{'0' * 64}.json"
    s3.client().put_object(Bucket=bucket, Key=key, Body=before.splitlines()[0])
    assert add_later(promoted, monkeypatch) == IntegrityError.exit_code
    assert "does not follow entry 2 of the ledger" in capsys.readouterr().err
    assert promoted.ledger.path.read_bytes() == before


def test_a_ledger_made_anew_is_told(promoted: Home, bucket: str) -> None:
    assert settle(promoted) == 2
    take_away(promoted, 2)
    promoted.ledger.path.unlink()
    with pytest.raises(IntegrityError, match=r"lacks entry 1, which is at s3://"):
        promoted.promote(4, None)
    assert not promoted.ledger.path.exists()


def test_a_rewritten_ledger_is_told(promoted: Home, bucket: str, s3: S3Server) -> None:
    assert settle(promoted) == 2
    (old,) = (name for name in s3.names(bucket) if "/00000002-" in name)
    other = old.replace(old[-20:-5], "0" * 15)
    s3.client().put_object(Bucket=bucket, Key=other, Body=b"{}")
    with pytest.raises(IntegrityError, match="rewritten here and in the registry"):
        settle(promoted)


def test_a_store_that_is_away_is_told(
    promoted: Home, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNSTAINED_MODEL_STORE", "s3://nobodys/models")
    with pytest.raises(StoreError, match="no bucket 'nobodys'"):
        settle(promoted)
