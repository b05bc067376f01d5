"""Promotion signs, whoever fetches gets the signature, and rollback looks at it again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT
from tests.registered import NAME
from tests.registry.homes import Home
from tests.signatures import deployment_keys
from tests.stages.studies import add_toy_study
from unstained.answering import sign_model
from unstained.artifact.artifact import SIGNATURE_FILE
from unstained.artifact.keys import SIGN, VERIFY, fingerprint, make_keys, public_keys
from unstained.artifact.signing import REQUIRE, verify_signed
from unstained.errors import IntegrityError, ParameterError, UnstainedError
from unstained.registry.signatures import FOLDER, SIGNED
from unstained.registry.wrapping import WRAPPING, WRAPPING_SIGNATURE, wrapping_digest


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    return deployment_keys(tmp_path / "keys", monkeypatch)


def fetched(home: Home, version: int, folder: Path) -> Path:
    return home.registry.download(home.registry.version(NAME, version), folder)


def test_promotion_signs_and_a_fetched_artifact_brings_its_signature(
    home: Home, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    assert home.promote(1, None).notes == ()
    version = home.registry.version(NAME, 1)
    assert version.tags[SIGNED] == fingerprint(public_keys()[0])
    found = verify_signed(fetched(home, 1, tmp_path / "fetched"), version.digest)[1]
    assert found.by == version.tags[SIGNED]
    assert not (fetched(home, 2, tmp_path / "other") / SIGNATURE_FILE).exists()


def test_the_signature_covers_mlflows_own_files(
    home: Home, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """Whoever may change artifacts and tags is found by the signature."""
    home.promote(1, None)
    place = home.registry.client.get_model_version_download_uri(NAME, "1")
    model = Path(unquote(urlsplit(place).path))
    added = model / "loader.py"  # homes share their artifacts: it goes again
    try:
        added.touch()
        home.registry.tag_version(NAME, 1, {WRAPPING: wrapping_digest(model)})
        with pytest.raises(IntegrityError, match="mlflow_digest is not what was signed"):
            fetched(home, 1, tmp_path / "fetched")
    finally:
        added.unlink()


def test_promotion_without_a_key_is_told_or_refused(
    home: Home, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SIGN)
    with pytest.raises(IntegrityError, match="is not signed, and signatures are required"):
        home.promote(1, None)
    assert (home.aliases, home.actions) == ({}, [])
    monkeypatch.setenv(REQUIRE, "0")
    assert (
        home.promote(1, None).notes[0].endswith("is not signed: UNSTAINED_SIGNING_KEY names no key")
    )


def test_promotion_with_a_key_that_servers_do_not_trust_is_refused(
    home: Home, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGN, str(make_keys(tmp_path / "other", tmp_path / "project")[0]))
    with pytest.raises(IntegrityError, match="not made by a key that is trusted here"):
        home.promote(1, None)
    assert home.aliases == {}


def test_rollback_verifies_again(
    home: Home, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.promote(1, None)
    home.promote(3, 1)
    _, other = make_keys(tmp_path / "other", tmp_path / "project")
    monkeypatch.setenv(VERIFY, str(other))
    with pytest.raises(IntegrityError, match="not made by a key that is trusted here"):
        home.rollback()
    assert home.aliases["champion"] == 3
    monkeypatch.setenv(VERIFY, str(keys[1]))
    home.rollback()
    assert home.aliases["champion"] == 1


def test_what_was_promoted_without_a_key_is_signed_by_hand(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", home.root)
    add_toy_study(home.root / "params.yaml")
    assert "is not signed" in home.promote(1, None).notes[0]
    with pytest.raises(UnstainedError, match="names no key to sign with"):
        sign_model(home.root, "toy", "1", home.registry)
    deployment_keys(tmp_path / "keys", monkeypatch)
    assert "v1 (cg_recnet) of toy is signed by key" in sign_model(
        home.root, "toy", "1", home.registry
    )
    artifact = fetched(home, 1, tmp_path / "fetched")
    assert verify_signed(artifact)[1].by
    (artifact / SIGNATURE_FILE).unlink()
    assert "is signed by key" in sign_model(home.root, None, artifact)
    assert verify_signed(artifact)[1].by
    for study, which in ((None, None), ("toy", artifact)):
        with pytest.raises(ParameterError, match="a study's champion or version"):
            sign_model(home.root, study, which, home.registry)


def test_a_signature_of_another_version_is_found_out(
    home: Home, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    first = fetched(home, 1, tmp_path / "first")
    second = fetched(home, 2, tmp_path / "second")
    (second / SIGNATURE_FILE).write_bytes((first / SIGNATURE_FILE).read_bytes())
    with pytest.raises(IntegrityError, match="are not what was signed"):
        verify_signed(second)


def exchange_for_another(place: Path, other: Path) -> None:
    for name in (SIGNATURE_FILE, WRAPPING_SIGNATURE):
        shutil.copy(other / name, place / name)


def write_garbage(place: Path, other: Path) -> None:
    (place / WRAPPING_SIGNATURE).write_text("{}")


def take_half(place: Path, other: Path) -> None:
    (place / WRAPPING_SIGNATURE).unlink()


def take_all(place: Path, other: Path) -> None:
    shutil.rmtree(place)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (exchange_for_another, "models:/unstained-toy/1 does not hold: mlflow_digest is not"),
        (write_garbage, "models:/unstained-toy/1 does not hold: mlflow.sig is no signature"),
        (take_half, "is not signed, and signatures are required"),
        (take_all, "is not signed, and signatures are required"),
    ],
)
def test_a_signature_that_does_not_hold_is_refused_and_made_anew(
    home: Home,
    keys: tuple[Path, Path],
    tmp_path: Path,
    deed: Callable[[Path, Path], None],
    said: str,
) -> None:
    """Signatures lie in MLflow, where whoever may write to it may take or exchange them."""
    shutil.copy(ROOT / "params.yaml", home.root)
    add_toy_study(home.root / "params.yaml")
    places = []
    for version in (1, 2):
        sign_model(home.root, "toy", str(version), home.registry)
        run = home.registry.client.get_run(home.registry.version(NAME, version).run_id)
        places.append(Path(unquote(urlsplit(run.info.artifact_uri).path)) / FOLDER)
    deed(*places)
    with pytest.raises(IntegrityError, match=re.escape(said)) as error:
        verify_signed(fetched(home, 1, tmp_path / "fetched"))
    assert "`unstained sign" in error.value.remedy
    sign_model(home.root, "toy", "1", home.registry)
    assert verify_signed(fetched(home, 1, tmp_path / "anew"))[1].by


def test_keys_are_exchanged_by_signing_anew(
    home: Home, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.promote(1, None)
    deployment_keys(tmp_path / "new", monkeypatch)
    with pytest.raises(IntegrityError, match="not made by a key that is trusted here"):
        fetched(home, 1, tmp_path / "fetched")
    shutil.copy(ROOT / "params.yaml", home.root)
    add_toy_study(home.root / "params.yaml")
    sign_model(home.root, "toy", "1", home.registry)
    assert verify_signed(fetched(home, 1, tmp_path / "fetched"))[1].by
