"""`unstained explain-cell`: a real artifact in a real registry, cells of a real store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.registered import STUDY, fresh_registry
from tests.summaries.llm_server import completion, llm, says
from unstained.cli import app
from unstained.data.store.cell_store import CellStore
from unstained.errors import RegistryError, StageInputError, UnstainedError
from unstained.registry.registry import Registry
from unstained.registry.summaries import SUMMARIES
from unstained.serving.predictor import Predictor
from unstained.summaries.template import template

pytestmark = pytest.mark.xdist_group("champion")

PROJECT = ("UNSTAINED_LLM_URL", "UNSTAINED_LLM_MODEL", "MLFLOW_TRACKING_URI")


@pytest.fixture(autouse=True)
def here(champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(champion)
    for name in PROJECT:
        monkeypatch.delenv(name, raising=False)


def explain(*words: str) -> tuple[str, str]:
    """Output and errors of the command; what it raises is raised."""
    done = CliRunner().invoke(app, ["explain-cell", *words], catch_exceptions=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout, done.stderr


def test_a_cell_of_the_store_is_told(champion: Path, artifact: Path) -> None:
    store = CellStore.open(champion / "runs" / STUDY / "ingest" / "store")
    cell = str(store.table["cell_id"][7])
    predictor = Predictor(artifact)
    facts = predictor.facts(predictor.predict(store.images([7])), 0)
    said, note = explain(STUDY, cell)
    assert said == f"{template(facts)}\n"
    assert note == "note: written by the template\n"
    content = json.loads(explain(STUDY, cell, "--json")[0])
    assert (content["cell"], content["prediction"]) == (cell, facts.as_json())


def test_prompt_text_and_reason_are_traced_in_mlflow(
    champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CellStore.open(champion / "runs" / STUDY / "ingest" / "store")
    cell = str(store.table["cell_id"][0])
    with llm(says("Treat the patient at once.")) as running:
        monkeypatch.setenv("UNSTAINED_LLM_URL", running.url)
        monkeypatch.setenv("UNSTAINED_LLM_MODEL", "small")
        said, note = explain(STUDY, cell, "--log")
        running.server.behaviour = lambda handler: handler.answer(
            completion(json.loads(handler.asked["messages"][1]["content"])["example"])
        )
        again, by = explain(STUDY, cell, "--log")
    assert said == again
    assert note == "note: the text of small is not told (advice: 'treat')\n"
    assert by == "note: written by small\n"
    client = Registry(None, champion).client
    experiment = client.get_experiment_by_name(SUMMARIES)
    assert experiment is not None
    traces = client.search_traces([experiment.experiment_id], order_by=["timestamp_ms ASC"])
    first, second = (trace.data.spans[0] for trace in traces)
    assert [trace.info.tags["cell"] for trace in traces] == [cell, cell]
    assert first.inputs["messages"][1]["role"] == "user"
    assert first.outputs["answer"] == "Treat the patient at once."
    assert (first.outputs["by"], first.outputs["refused"]) == ("template", "advice")
    assert (second.outputs["by"], second.outputs["text"]) == ("llm", said.strip())


def test_what_cannot_be_told_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageInputError, match="holds no cell 'nobody'") as unknown:
        explain(STUDY, "nobody")
    assert "such as '" in str(unknown.value)
    monkeypatch.setenv("UNSTAINED_LLM_URL", "http://localhost/v1")
    with pytest.raises(UnstainedError, match="UNSTAINED_LLM_MODEL is not"):
        explain(STUDY, "nobody")


def test_without_a_champion_there_is_nothing_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_registry(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match="nsc has no champion"):
        explain("nsc", "a/1")
