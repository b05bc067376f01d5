"""Stage `report`: the pages of a study from the files of earlier stages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.leaderboards import leaderboard
from tests.learning.cases import STUDY as DATA
from tests.registered import fresh_registry, register
from tests.stages.evaluated import COMMON, EVALUATE, MODELS, Evaluated, make_inputs
from tests.stages.studies import REGISTER, make_job
from unstained.config.report import ReportParams
from unstained.data.store.cell_store import CellStore
from unstained.files import read_json, write_json
from unstained.pipeline.contract import Job, Report
from unstained.registry.registry import Registry
from unstained.stages.report import STAGE, ReportStageParams, run

PARAMS = ReportStageParams(
    common=COMMON,
    data=DATA,
    evaluate=EVALUATE,
    register_=REGISTER,
    report=ReportParams(examples_per_class=2),
)
STUDY = "toy"
CRITERION = {"name": "better", "passed": True, "value": None, "limit": 0.05}
DECISION: dict[str, Any] = {
    "challenger": 2,
    "model": "m2",
    "champion": 2,
    "replaced": None,
    "promoted": True,
    "criteria": [{**CRITERION, "sentence": "there is no champion to beat"}],
    "sentence": "v2 (m2) is champion: gate passed",
}
LEADERBOARD = leaderboard({"version": 1, "value": 0.9, "new": True}, {"version": 2, "model": "m2"})


class Project:
    """Everything that the stage reads."""

    def __init__(self, folder: Path) -> None:
        inputs = make_inputs(folder)
        evaluated = Evaluated(inputs, folder / "runs")
        self.registry = fresh_registry(folder)
        for number, model in enumerate(MODELS):
            version = register(self.registry, folder / "in", float(number), model=model).version
            place = folder / "register" / model
            place.mkdir(parents=True)
            write_json(place / "registration.json", {"version": version})
        write_json(folder / "leaderboard.json", LEADERBOARD)
        write_json(folder / "decision.json", DECISION)
        quarantine = folder / "quarantine.csv"
        quarantine.write_text("source_file,reason,kind\nx/deck.czi,is not read,not read\n")
        self.inputs = {
            "store": inputs["store"],
            "quarantine": quarantine,
            "audit": inputs["audit"],
            "trained": inputs["trained"],
            "results": evaluated.evaluate,
            "predictions": evaluated.evaluate,
            "evaluation": evaluated.of_all("evaluation"),
            "registrations": folder / "register",
            "leaderboard": folder / "leaderboard.json",
            "decision": folder / "decision.json",
        }
        assert set(self.inputs) == set(STAGE.inputs)

    @property
    def job(self) -> Job:
        return make_job(self.registry.root, self.registry, models=MODELS)

    def pages(self, folder: Path, **changes: Path) -> Pages:
        outputs = {key: folder / output.path for key, output in STAGE.outputs.items()}
        report = run(PARAMS, {**self.inputs, **changes}, outputs, self.job)
        return Pages(report, {key: p.read_text(encoding="utf-8") for key, p in outputs.items()})


class Pages:
    """A finished run of the stage."""

    def __init__(self, report: Report, html: Mapping[str, str]) -> None:
        self.report, self.html = report, html


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def pages(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return project.pages(tmp_path_factory.mktemp("pages"))


def visible(html: str) -> str:
    """What a reader sees: no markup, white space as one blank."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<body>")[2]).split())


def test_the_report_names_what_it_is_made_of(project: Project, pages: Pages) -> None:
    digest = CellStore.open(project.inputs["store"]).digest
    html = pages.html["report"]
    for word in ("trees", "untrained", "features control", "abc", digest, "External cells"):
        assert word in html
    assert "What untrained looks at" in html
    assert "Acquisitions beside each other" in html
    assert "x/deck.czi" in html
    assert "SIMULATED" not in html
    assert len(html) < 3_000_000


def test_pages_need_nothing_from_elsewhere_and_repeat(
    project: Project, pages: Pages, tmp_path: Path
) -> None:
    for html in pages.html.values():
        assert not re.search(r"""(src|href)=["']?(https?:|//|/)""", html)
    assert project.pages(tmp_path).html == pages.html


def test_simulated_cells_are_called_so_everywhere(project: Project, tmp_path: Path) -> None:
    content = read_json(project.inputs["evaluation"])
    write_json(tmp_path / "evaluation.json", {**content, "simulated": True})
    found = project.pages(tmp_path, evaluation=tmp_path / "evaluation.json")
    assert "SIMULATED CELLS" in found.html["report"]
    assert any("simulated" in note for note in found.report.notes)


def test_the_leaderboard_names_the_champion_of_this_promotion_and_why(pages: Pages) -> None:
    text = visible(pages.html["leaderboard"])
    assert "champion v2 m2, serves predictions" in text
    assert "v2 (m2) is champion: gate passed." in text
    assert "better passed there is no champion to beat" in text
    assert "v2 m2 champion 0.800" in text
    assert "v1 m new 0.900" in text
    assert pages.report.metrics["champion"] == 2
    assert pages.report.notes[-1] == DECISION["sentence"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"champion": 1, "replaced": None, "promoted": False}, "champion v1 m, serves"),
        ({"champion": None, "promoted": False}, "champion none no version serves predictions"),
        ({"champion": 2, "replaced": 1}, "v1 m champion before, new"),
    ],
)
def test_whoever_is_champion_stands_there(
    project: Project, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    table = {**LEADERBOARD, "champion": changes.get("replaced")}
    write_json(tmp_path / "leaderboard.json", table)
    write_json(tmp_path / "decision.json", {**DECISION, **changes})
    found = project.pages(
        tmp_path, leaderboard=tmp_path / "leaderboard.json", decision=tmp_path / "decision.json"
    )
    assert said in visible(found.html["leaderboard"])


def test_promotion_that_is_off_is_said(project: Project, tmp_path: Path) -> None:
    sentence = "promotion is off (promote.mode): nothing was decided"
    write_json(tmp_path / "decision.json", {"promoted": False, "sentence": sentence})
    found = project.pages(tmp_path, decision=tmp_path / "decision.json")
    text = visible(found.html["leaderboard"])
    assert "Promotion is off (promote.mode): nothing was decided." in text
    assert "The gate" not in text


def test_versions_of_this_run_carry_the_pages(project: Project, pages: Pages) -> None:
    client = Registry(None, project.registry.root).client
    for version in project.registry.versions("unstained-toy"):
        held = client.list_artifacts(version.run_id, "report")
        assert {file.path for file in held} == {"report/report.html", "report/leaderboard.html"}


def test_numbers_are_read_and_not_computed_anew(project: Project, tmp_path: Path) -> None:
    results = tmp_path / "evaluate"
    shutil.copytree(project.inputs["results"], results)
    content = read_json(results / "trees" / "result.json")
    overall = content["parts"]["test"]["scores"]["overall"]["macro_f1"]
    overall.update(value=0.1234, low=0.0, high=0.99)
    write_json(results / "trees" / "result.json", content)
    found = project.pages(tmp_path, results=results)
    assert "0.12 0.00 to 0.99" in visible(found.html["report"])
