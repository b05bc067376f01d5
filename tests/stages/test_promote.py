"""The stage promote: from leaderboard and registrations to a champion, a ledger and a decision."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.registered import (
    NAME,
    REPLICATE,
    STUDY,
    fresh_registry,
    make_predictions,
    register,
)
from tests.stages.studies import (
    add_toy_study,
    compare_params,
    make_job,
    no_cells,
    promote_params,
    write_registrations,
)
from unstained.errors import IntegrityError, ParameterError, RegistryError
from unstained.files import read_json, write_json
from unstained.operations import rollback_study
from unstained.pipeline.contract import Job, Report
from unstained.registry.ledger import Ledger
from unstained.registry.registry import Registry
from unstained.registry.submission import RegisteredVersion
from unstained.stages import compare, promote

GROUPS = 36
"""Half of them are test groups: enough for a significant difference."""


class Pipeline:
    """Registers pairs of models, compares, promotes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = fresh_registry(root)
        self.bias = 0.0

    @property
    def job(self) -> Job:
        return make_job(self.root, self.registry)

    def register(self, *skills: float, **changes: Any) -> list[RegisteredVersion]:
        versions = []
        for skill in skills:
            frame = make_predictions(skill=skill, seed=int(self.bias), groups=GROUPS)
            folder = self.root / "in"
            versions.append(
                register(self.registry, folder, self.bias, predictions=frame, **changes)
            )
            self.bias += 1
        self.directory = write_registrations(self.root / "register", *versions)
        return versions

    def compare(self) -> None:
        outputs = {key: self.root / out.path for key, out in compare.STAGE.outputs.items()}
        inputs = {"registrations": self.directory} | no_cells(self.root)
        compare.run(compare_params(), inputs, outputs, self.job)

    def promote(self, **changes: object) -> tuple[Mapping[str, Any], Report]:
        inputs = {"leaderboard": self.root / "leaderboard.json", "registrations": self.directory}
        outputs = {name: self.root / out.path for name, out in promote.STAGE.outputs.items()}
        report = promote.run(promote_params(**changes), inputs, outputs, self.job)
        return read_json(outputs["decision"]), report

    def round(self, *skills: float, **changes: Any) -> Mapping[str, Any]:
        self.register(*skills, **changes)
        self.compare()
        return self.promote()[0]

    @property
    def aliases(self) -> dict[str, int]:
        return self.registry.aliases(NAME)

    @property
    def actions(self) -> list[str]:
        return [entry.action for entry in Ledger(self.root / "ledger/toy.jsonl").entries()]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_first_better_and_worse_rounds(pipeline: Pipeline) -> None:
    first = pipeline.round(0.70, 0.75)
    assert first["promoted"] is True
    assert first["champion"] == 2
    assert first["sentence"] == (
        "v2 (cg_recnet) is champion: best of the new versions on the validation cells, "
        "no champion before, gate passed"
    )

    better = pipeline.round(0.97, 0.72)
    assert better["promoted"] is True
    assert (better["champion"], better["replaced"]) == (3, 2)
    assert "in place of v2" in better["sentence"]
    assert pipeline.aliases == {"champion": 3, "previous": 2}

    worse = pipeline.round(0.80, 0.82)
    assert worse["promoted"] is False
    assert worse["champion"] == 3
    assert (
        "v3 stays champion: v6 (cg_recnet) was refused, because its macro F1 is"
        in (worse["sentence"])
    )
    assert pipeline.aliases == {"champion": 3, "previous": 2, "challenger": 6}
    assert pipeline.actions == ["promote", "promote", "refuse"]


def test_promoting_again_changes_nothing(pipeline: Pipeline) -> None:
    """`dvc repro` runs promote alone when a limit changed; the leaderboard has no champion yet."""
    pipeline.round(0.7, 0.8)
    decision, _ = pipeline.promote(max_ece=0.4)
    assert decision["promoted"] is False
    assert "stays champion" in decision["sentence"]
    assert pipeline.actions == ["promote"]


@pytest.mark.parametrize("skills", [(0.97, 0.72), (0.60, 0.55)])
def test_a_kill_before_the_decision_was_written_changes_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, skills: tuple[float, float]
) -> None:
    """The next run says what the killed one would have said, and writes no second entry."""
    pipeline.round(0.70, 0.75)
    pipeline.register(*skills)
    pipeline.compare()
    ledger, killed = Ledger(pipeline.root / "ledger/toy.jsonl"), pipeline.root / "killed.json"

    def kill(path: Path, content: object) -> None:
        write_json(killed, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(promote, "write_json", kill)
    with pytest.raises(KeyboardInterrupt):
        pipeline.promote()
    monkeypatch.undo()
    entries, aliases = ledger.entries(), pipeline.aliases
    again, _ = pipeline.promote()
    assert again == read_json(killed)
    assert again["promoted"] is (skills[0] > 0.9)
    assert (ledger.entries(), pipeline.aliases) == (entries, aliases)


def test_what_was_promoted_from_another_table_stays_champion(pipeline: Pipeline) -> None:
    """A new leaderboard has the champion in it: there is nothing to decide."""
    assert pipeline.round(0.7, 0.8)["promoted"] is True
    pipeline.compare()
    decision, _ = pipeline.promote()
    assert (decision["promoted"], decision["champion"]) == (False, 2)
    assert "stays champion" in decision["sentence"]
    assert pipeline.promote(mode="dry-run")[0]["promoted"] is False
    assert pipeline.actions == ["promote"]


def test_a_dry_run_is_recorded_once(pipeline: Pipeline) -> None:
    pipeline.register(0.7, 0.8)
    pipeline.compare()
    first, _ = pipeline.promote(mode="dry-run")
    assert pipeline.promote(mode="dry-run")[0] == first
    assert pipeline.actions == ["dry-run"]
    pipeline.promote(mode="dry-run", max_ece=0.4)
    assert pipeline.actions == ["dry-run", "dry-run"]


def test_leaderboard_older_than_a_champion_from_elsewhere_is_refused(pipeline: Pipeline) -> None:
    pipeline.register(0.7, 0.8)
    pipeline.compare()
    late = register(
        pipeline.registry, pipeline.root / "in", 9.0, predictions=make_predictions(groups=GROUPS)
    )
    pipeline.registry.set_alias(NAME, "champion", late.version)
    with pytest.raises(RegistryError, match="v3 became champion after the leaderboard"):
        pipeline.promote()


def test_every_criterion_is_written_down(pipeline: Pipeline) -> None:
    decision = pipeline.round(0.7, 0.8)
    assert [criterion["name"] for criterion in decision["criteria"]] == [
        "better",
        "calibrated",
        "parity",
        "rare class",
        "latency",
        "not withdrawn",
    ]
    tags = pipeline.registry.version(NAME, 2).tags
    assert tags["gate"] == "passed"


def test_modes(pipeline: Pipeline) -> None:
    pipeline.register(0.7, 0.8)
    pipeline.compare()
    decision, report = pipeline.promote(mode="off")
    assert decision["promoted"] is False
    assert not (pipeline.root / "ledger").exists()
    decision, report = pipeline.promote(mode="dry-run")
    assert decision["promoted"] is False
    assert report.notes[-1].startswith("dry run, nothing changed; would be: v2 (cg_recnet) is")
    assert pipeline.aliases == {}
    assert pipeline.promote(mode="enforce")[0]["promoted"] is True
    assert pipeline.actions == ["dry-run", "promote"]


def test_rolled_back_version_is_not_promoted_again(pipeline: Pipeline) -> None:
    pipeline.round(0.7, 0.75)
    pipeline.round(0.97, 0.72)
    shutil.copy(Path(__file__).parents[2] / "params.yaml", pipeline.root / "params.yaml")
    add_toy_study(pipeline.root / "params.yaml")
    said = rollback_study(pipeline.root, STUDY, "wrong on new donors", pipeline.registry)
    assert said == ("v2 (cg_recnet) is champion of toy again in place of v3: wrong on new donors")
    pipeline.compare()
    decision, _ = pipeline.promote()
    assert decision["promoted"] is False
    assert "it was rolled back: wrong on new donors" in decision["sentence"]
    assert pipeline.aliases["champion"] == 2
    with pytest.raises(ParameterError, match="no study"):
        rollback_study(pipeline.root, "nope", "why", pipeline.registry)


def test_a_replicate_is_never_champion(pipeline: Pipeline) -> None:
    """Not by the gate, not by an alias set by hand, not by a rollback."""
    pipeline.round(0.7, 0.8)
    pipeline.round(0.97, 0.72)
    best = make_predictions(skill=1.0, seed=9, groups=GROUPS)
    late = register(pipeline.registry, pipeline.root / "in", 9.0, predictions=best, tags=REPLICATE)
    pipeline.compare()
    decision, _ = pipeline.promote()
    assert (decision["champion"], decision["challenger"]) == (3, 3)
    pipeline.registry.set_alias(NAME, "champion", late.version)
    pipeline.registry.set_alias(NAME, "previous", late.version)
    shutil.copy(Path(__file__).parents[2] / "params.yaml", pipeline.root / "params.yaml")
    add_toy_study(pipeline.root / "params.yaml")
    said = rollback_study(pipeline.root, STUDY, "why", pipeline.registry)
    moved, done = said.splitlines()
    assert "champion was v5); set back to v3" in moved
    assert done.startswith("v2 (cg_recnet) is champion of toy again in place of v3")
    assert pipeline.aliases == {"champion": 2}


def test_a_replicate_is_not_adopted_as_champion(pipeline: Pipeline) -> None:
    """An alias set by hand before there is a ledger."""
    (late,) = [register(pipeline.registry, pipeline.root / "in", 9.0, tags=REPLICATE)]
    pipeline.registry.set_alias(NAME, "champion", late.version)
    pipeline.register(0.7, 0.8)
    pipeline.compare()
    with pytest.raises(RegistryError, match=r"v1 \(cg_recnet, fold 0, seed 42\) .* no candidate"):
        pipeline.promote()
    assert pipeline.actions == []


@pytest.mark.parametrize("tag", ["artifact_digest", "predictions_digest"])
def test_a_challenger_that_was_rewritten_in_mlflow_is_neither_compared_nor_promoted(
    pipeline: Pipeline, tag: str
) -> None:
    """Whoever writes bytes and digest.json, or predictions, anew writes their digest, too."""
    pipeline.register(0.7, 0.8)
    pipeline.compare()
    pipeline.registry.tag_version(NAME, 2, {tag: "6" * 64})
    key = {"artifact_digest": "digest"}.get(tag, tag)
    said = rf"v2 \(cg_recnet\) .* was registered with {key} \w{{12}} \(now 666666666666\)"
    for ask in (pipeline.compare, pipeline.promote):
        with pytest.raises(IntegrityError, match=said) as error:
            ask()
        assert f"delete version 2 of {NAME} in MLflow; `dvc repro`" in error.value.remedy
    assert pipeline.actions == []
    assert "champion" not in pipeline.aliases


def test_repair_is_told(pipeline: Pipeline) -> None:
    pipeline.round(0.7, 0.8)
    pipeline.registry.set_alias(NAME, "champion", 1)
    _, report = pipeline.promote()
    assert "changed outside of the ledger" in report.notes[0]
    assert pipeline.aliases == {"champion": 2}


def test_registry_is_asked_only_when_needed(tmp_path: Path) -> None:
    """`promote.mode: off` needs no server."""
    pipeline = Pipeline(tmp_path)
    pipeline.registry = Registry("http://127.0.0.1:9", tmp_path)
    pipeline.directory = tmp_path
    assert pipeline.promote(mode="off")[0]["promoted"] is False
