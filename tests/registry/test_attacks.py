"""What was done to ledger, registry or artifact is refused by all who ask for the champion."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.stages.studies import add_toy_study, compare_params, make_job
from unstained import answering, summary
from unstained.answering import Champions, explain_cell, predict_study, sign_model
from unstained.artifact.keys import SIGN, make_keys
from unstained.errors import IntegrityError
from unstained.external import evaluate_external
from unstained.files import write_json
from unstained.operations import (
    compare_study,
    deployment_study,
    history_of,
    rollback_study,
)
from unstained.prediction import source
from unstained.publishing.package import export_package
from unstained.publishing.people import People
from unstained.registry.entries import Entry
from unstained.registry.records import ENTRY, SUFFIX
from unstained.stages import compare, monitor


@pytest.fixture
def project(promoted: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """v2 is champion in place of v1, and v4 was refused."""
    promoted.refuse(4, 2)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(answering, "elsewhere", lambda function, *given: function(*given))
    monkeypatch.setattr(source, "open_cells", lambda *_: None)  # read before the champion is asked
    shutil.copy(ROOT / "params.yaml", promoted.root)
    add_toy_study(promoted.root / "params.yaml")
    return promoted


def rewritten(home: Home, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """A ledger that was changed, with seals and a chain that are right."""
    contents = [json.loads(entry.line) for entry in home.ledger.entries()]
    change(contents)
    entries: list[Entry] = []
    for number, content in enumerate(contents, start=1):
        before = {"previous_sha256": entries[-1].sha256} if entries else {}
        entries.append(Entry(**content | before | {"sequence": number}).sealed())
    home.ledger.path.write_text("".join(f"{entry.line}\n" for entry in entries))


def cut(home: Home, lines: int) -> None:
    kept = home.ledger.path.read_text().splitlines(keepends=True)[:-lines]
    home.ledger.path.write_text("".join(kept))


def change_a_line(home: Home) -> None:
    text = home.ledger.path.read_text()
    home.ledger.path.write_text(text.replace('"version": 2', '"version": 4'))


def move_alias_and_take_the_ledger(home: Home) -> None:
    home.registry.set_alias(NAME, "champion", 4)
    home.registry.client.delete_registered_model_tag(NAME, "ledger_head")
    home.ledger.path.unlink()


def rewrite_record(home: Home) -> None:
    forged = json.loads(home.ledger.entries()[-1].line) | {"action": "promote"}
    forged |= {"digests": {"artifact": "6" * 64}}
    line = Entry(**forged).sealed().line
    home.registry.tag_version(NAME + SUFFIX, 3, {ENTRY: line})


def rewrite_version(home: Home) -> None:
    """Whoever writes bytes and digest.json anew writes the digest that they have."""
    home.registry.tag_version(NAME, 2, {"artifact_digest": "6" * 64})


def rewrite_predictions(home: Home) -> None:
    """A champion that is made to look worse is easily beaten."""
    home.registry.tag_version(NAME, 2, {"predictions_digest": "6" * 64})


def record_another(home: Home) -> None:
    """Somebody without the file promotes by writing into the registry alone."""
    last = home.ledger.entries()[-1]
    content = {"action": "promote", "version": 4, "digests": {"artifact": "6" * 64}}
    content |= {"sequence": 4, "previous_sha256": last.sha256, "actor": "mallory@x"}
    forged = Entry(**json.loads(last.line) | content).sealed()
    home.registry.client.create_model_version(NAME + SUFFIX, "x:/y", tags={ENTRY: forged.line})


ATTACKS: dict[str, tuple[Callable[[Home], None], str]] = {
    "the refusal at the end is cut": (
        lambda home: cut(home, 1),
        r"lacks entry 3, which the registry recorded, such as refuse v4",
    ),
    "a promotion is cut": (
        lambda home: cut(home, 2),
        r"lacks entries 2 to 3, which the registry recorded, such as promote v2",
    ),
    "the ledger is gone": (
        lambda home: home.ledger.path.unlink(),
        r"lacks entries 1 to 3, which the registry recorded, such as promote v2",
    ),
    "the ledger and the tag are gone, the alias moved": (
        move_alias_and_take_the_ledger,
        r"lacks entries 1 to 3, which the registry recorded, such as promote v2",
    ),
    "a line is changed": (change_a_line, r"line 2 of .*toy\.jsonl was changed"),
    "the chain is made anew": (
        lambda home: rewritten(home, lambda lines: lines[1].update(version=4)),
        r"entry 2 of .* is promote v4 by .* the registry recorded promote v2",
    ),
    "an entry is left out, and the chain made anew": (
        lambda home: rewritten(home, lambda lines: lines.pop(1)),
        r"entry 2 of .* is refuse v4 by .* the registry recorded promote v2",
    ),
    "the record is rewritten": (
        rewrite_record,
        r"entry 3 of .* is refuse v4 by .* the registry recorded promote v4",
    ),
    "an entry is recorded that the file lacks": (
        record_another,
        r"lacks entry 4, .* such as promote v4 by mallory@x",
    ),
    "the champion's version is rewritten": (
        rewrite_version,
        r"v2 says now that its artifact is 666666666666, so it was rewritten",
    ),
    "the champion's predictions are rewritten": (
        rewrite_predictions,
        r"v2 .* was promoted with predictions \w{12}, .* now that they are 666666666666",
    ),
}


def readers(home: Home, folder: Path) -> dict[str, Callable[[], object]]:
    """All that ask who is champion."""
    root, registry = home.root, home.registry
    job, inputs = make_job(root, registry), {"registrations": folder, "store": root, "split": root}
    for model in job.models:
        write_json(folder / model / "registration.json", {"version": 3})
    return {
        "deployment": lambda: deployment_study(root, STUDY, registry),
        "serve": lambda: Champions(root, STUDY, None, folder).fetch(),
        "serve --alias": lambda: Champions(root, STUDY, "champion", folder).fetch(),
        "predict": lambda: predict_study(root, STUDY, folder, registry=registry),
        "explain-cell": lambda: explain_cell(root, STUDY, "a", registry=registry),
        "evaluate-external": lambda: evaluate_external(root, STUDY, folder, registry=registry),
        "export-package": lambda: export_package(
            root, STUDY, folder / "package", People(), registry=registry
        ),
        "sign": lambda: sign_model(root, STUDY, None, registry),
        "compare": lambda: compare_study(root, STUDY, registry),
        "stage compare": lambda: compare.run(compare_params(), inputs, {}, job),
        "stage monitor": lambda: monitor._champion(job, compare_params()),
        "promote": lambda: home.promote(3, 2),
        "rollback": lambda: rollback_study(root, STUDY, "why", registry),
    }


@pytest.mark.parametrize("attack", ATTACKS)
def test_everybody_who_asks_for_the_champion_refuses(
    project: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str
) -> None:
    private, _ = make_keys(tmp_path / "keys", project.root / "elsewhere")
    deed, said = ATTACKS[attack]
    deed(project)
    before = project.ledger.path.read_bytes() if project.ledger.path.exists() else b""
    aliases = project.aliases
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, ask in readers(project, folder).items():
        with monkeypatch.context() as patch:
            if name == "sign":
                patch.setenv(SIGN, str(private))
            with pytest.raises(IntegrityError, match=said):
                ask()
                pytest.fail(f"{name} did not refuse")
    told = summary._standing(project.root, STUDY, {"sentence": "s", "mode": "enforce"})
    assert re.search(said, told[1])
    with pytest.raises(IntegrityError, match=said):
        if broken := history_of(project.root, STUDY, project.registry).broken:
            raise broken
    after = project.ledger.path.read_bytes() if project.ledger.path.exists() else b""
    assert (after, project.aliases) == (before, aliases), "nothing was changed"
