"""What INT8 loses of every kind of task, beside scikit-learn; and that such a variant can ship."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from tests.artifact.test_tasks_export import SEVERAL, SHARE, VALUES, model_of
from tests.exported import export_params, raw_cells
from tests.synthetic import tasks
from unstained.artifact.artifact import INT8_FILE, MODEL_FILE
from unstained.artifact.inference import open_session
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.quantise import Known, make_variant, said
from unstained.artifact.serving_graph import ServingGraph
from unstained.artifact.variant_loss import losses
from unstained.tasks.study import Tasks

CELLS = 30
EASY = {"quantise": True, "quantise_min_speedup": 1e-9, "quantise_max_loss": 10.0}


def outputs(rng: np.random.Generator) -> dict[str, np.ndarray]:
    names = {"logits_phase": 3, "logits_alive": 2, "proportions": 3, "targets": 2}
    found = {name: rng.normal(size=(CELLS, width)) for name, width in names.items()}
    shares = np.exp(found["proportions"])
    return found | {"proportions": shares / shares.sum(axis=1, keepdims=True)}


def test_each_task_is_judged_by_its_own_metric_where_its_truth_is_known() -> None:
    rng = np.random.default_rng(1)
    exact, variant = outputs(rng), outputs(rng)
    phase, stain = rng.integers(-1, 3, CELLS), outputs(rng)["proportions"]
    stain[:4] = np.nan
    dna = rng.normal(size=CELLS)
    dna[::5] = np.nan
    truth = {
        "DNA": dna,
        "age": np.full(CELLS, np.nan),
        "phase": phase,
        "stain": stain,
        "alive": np.full(CELLS, -1),
    }
    found = losses(Tasks.of(tasks(SEVERAL)), truth, exact, variant)

    def lost(score: Any, told: np.ndarray, name: str, pick: Any) -> float:
        first, second = (score(told, pick(one[name])) for one in (exact, variant))
        return float(first - second)

    known, named = ~np.isnan(dna), phase >= 0
    assert found == pytest.approx(
        {
            "DNA R²": lost(r2_score, dna[known], "targets", lambda o: o[known, 0]),
            "phase macro F1": lost(
                lambda t, p: f1_score(t, p, average="macro"),
                phase[named],
                "logits_phase",
                lambda o: o[named].argmax(axis=1),
            ),
            "stain mean absolute error": -lost(
                mean_absolute_error, stain[4:], "proportions", lambda o: o[4:]
            ),
        }
    )


@pytest.mark.parametrize(
    ("asking", "name", "words"),
    [(VALUES, "targets", "DNA R²"), (SHARE, "proportions", "mix mean absolute error")],
    ids=["values", "share"],
)
def test_a_variant_of_a_study_without_classes_ships_or_not_by_its_answers(
    asking: Any, name: str, words: str, tmp_path: Path
) -> None:
    trained, cells = model_of(asking), raw_cells(CELLS)
    graph, params = ServingGraph(trained, {}), export_params(**EASY, exporters=("legacy",))
    path = tmp_path / MODEL_FILE
    export_with_parity(graph, path, cells, dtype=np.dtype("uint16"), channels=1, params=params)
    answer = said(open_session(path), cells)[name].astype(np.float64)  # right by definition
    columns = {task: answer[:, k] for k, task in enumerate(asking)} if name == "targets" else {}
    known = Known(trained.spec.asked, columns or {"mix": answer})
    shipped = make_variant(tmp_path, cells, cells, known, params)
    assert shipped.shipped
    assert words in shipped.losses
    assert shipped.loss is not None
    assert shipped.loss > 0
    assert (tmp_path / INT8_FILE).exists()
    strict = export_params(**{**EASY, "quantise_max_loss": shipped.loss / 2})
    refused = make_variant(tmp_path, cells, cells, known, strict)
    assert not refused.shipped
    assert "loses more than" in refused.reason
    assert not (tmp_path / INT8_FILE).exists()
    nothing = {task: np.full_like(told, np.nan) for task, told in known.truth.items()}
    unknown = make_variant(tmp_path, cells, cells, Known(known.tasks, nothing), params)
    assert "nothing is known" in unknown.reason
