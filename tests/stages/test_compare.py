"""The stage compare and `unstained compare`: versions of a real registry on the same cells."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, recall_score
from statsmodels.stats.multitest import multipletests

from tests.registered import (
    CLASSES,
    NAME,
    REPLICATE,
    STUDY,
    fresh_registry,
    make_predictions,
    register,
    standing_of,
)
from tests.stages.studies import (
    add_toy_study,
    compare_params,
    make_job,
    no_cells,
    write_registrations,
)
from unstained.errors import IntegrityError, ParameterError, RegistryError
from unstained.files import read_json
from unstained.operations import compare_study
from unstained.registry.registry import Registry
from unstained.registry.standings import Leaderboard, find_entry, find_test, findings
from unstained.stages.compare import STAGE, run

GROUPS = 36


def predictions(skill: float, seed: int) -> pd.DataFrame:
    return make_predictions(skill=skill, seed=seed, groups=GROUPS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 3 on the same cells, 4 on another split; 1 is champion."""
    root = tmp_path_factory.mktemp("compare")
    registry = fresh_registry(root)
    for bias, skill, model in ((0.0, 0.6, "features"), (1.0, 0.95, "cg_recnet")):
        register(
            registry, root / "in", bias, model=model, predictions=predictions(skill, int(bias))
        )
    register(registry, root / "in", 2.0, model="resnet50", predictions=predictions(0.94, 2))
    register(registry, root / "in", 3.0, model="old", split="6" * 64)
    registry.set_alias(NAME, "champion", 1)
    return root


@pytest.fixture(scope="module")
def table(home: Path) -> Leaderboard:
    return standing_of(Registry(None, home), compare_params(), (2, 3))


def test_entries_are_ranked_and_others_are_named(table: Leaderboard) -> None:
    values = [entry["value"] for entry in table["entries"]]
    assert values == sorted(values, reverse=True)
    assert {entry["version"] for entry in table["entries"]} == {1, 2, 3}
    assert table["leader"] == table["entries"][0]["version"] != 1
    assert table["champion"] == 1
    assert [entry["version"] for entry in table["entries"] if entry["new"]] == [
        entry["version"] for entry in table["entries"] if entry["version"] != 1
    ]
    (other,) = table["not_comparable"]
    assert (other["version"], other["reason"]) == (4, "other test cells: the split changed")
    assert table["simulated"] is True


def test_numbers_equal_scikit_learn_and_scipy(table: Leaderboard) -> None:
    frame = predictions(0.95, 1)
    test, val = frame[frame.part == "test"], frame[frame.part == "val"]
    entry = find_entry(table, 2)
    assert entry is not None
    assert entry["value"] == pytest.approx(f1_score(test.label, test.predicted, average="macro"))
    assert entry["tasks"]["blob"]["accuracy"] == pytest.approx(
        accuracy_score(test.label, test.predicted)
    )
    assert entry["validation"] == pytest.approx(f1_score(val.label, val.predicted, average="macro"))
    recalls = recall_score(test.label, test.predicted, average=None)
    assert list(entry["recalls"].values()) == pytest.approx(list(recalls))
    assert list(entry["recalls"]) == list(CLASSES)
    assert entry["min_class_recall"] == pytest.approx(recalls.min())
    known = test[test.target_DNA.notna()]
    assert entry["tasks"]["DNA"]["r"] == pytest.approx(
        pearsonr(known.target_DNA, known.predicted_DNA)[0]
    )
    assert entry["ece"] == pytest.approx(expected_calibration_error(test, bins=15))
    assert entry["latency_ms"] == 3.5
    assert entry["low"] < entry["value"] < entry["high"]


def expected_calibration_error(table: pd.DataFrame, bins: int) -> float:
    """Naive: bins of equal numbers of cells by confidence."""
    probability = table[[f"probability_{k}" for k in range(3)]].to_numpy()
    cells = sorted(zip(probability.max(1), probability.argmax(1) == table.label, strict=True))
    size = len(cells) / bins
    total = 0.0
    for number in range(bins):
        part = cells[round(number * size) : round((number + 1) * size)]
        total += abs(sum(c for c, _ in part) - sum(right for _, right in part))
    return total / len(cells)


def test_a_clear_loser_is_significantly_worse_and_a_twin_is_not(table: Leaderboard) -> None:
    loser = find_entry(table, 1)
    twin = find_entry(table, ({2, 3} - {table["leader"]}).pop())
    assert loser is not None
    assert twin is not None
    assert loser["versus_leader"] is not None
    assert loser["versus_leader"]["p_adjusted"] < 0.05
    assert loser["versus_champion"] is None
    assert twin["versus_leader"] is not None
    assert twin["versus_leader"]["p_adjusted"] > 0.05
    assert twin["versus_champion"] is not None
    assert twin["versus_champion"]["difference"] > 0


@pytest.mark.parametrize(
    ("correction", "name"), [("holm", "holm"), ("fdr_bh", "fdr_bh"), ("bonferroni", "bonferroni")]
)
def test_adjusted_p_values_equal_statsmodels(home: Path, correction: str, name: str) -> None:
    table = standing_of(Registry(None, home), compare_params(correction=correction), ())
    found = [entry["versus_leader"] for entry in table["entries"] if entry["versus_leader"]]
    expected = multipletests([versus["p"] for versus in found], method=name)[1]
    assert [versus["p_adjusted"] for versus in found] == pytest.approx(list(expected))


def test_newest_version_decides_what_is_comparable(home: Path) -> None:
    table = standing_of(Registry(None, home), compare_params(), ())
    assert [entry["version"] for entry in table["entries"]] == [4]
    assert {other["version"] for other in table["not_comparable"]} == {1, 2, 3}


def test_replicates_are_left_out_and_counted(tmp_path: Path) -> None:
    """Neither the leader, nor the newest version, nor one more comparison to adjust p for."""
    registry, folder = fresh_registry(tmp_path), tmp_path / "in"
    for bias, skill in ((0.0, 0.7), (1.0, 0.8), (2.0, 0.75)):
        register(registry, folder, bias, predictions=predictions(skill, int(bias)))
    before = standing_of(registry, compare_params(), ())
    for bias in (20.0, 21.0):
        better = predictions(1.0, 9)
        register(registry, folder, bias, tags=REPLICATE, split="8" * 64, predictions=better)
    table = standing_of(registry, compare_params(), ())
    assert table == {**before, "replicates": 2}
    (line,) = [line for line in findings(table) if "replicates" in line]
    assert line.startswith("2 other versions are left out of this table")
    assert not any("replicates" in line for line in findings(before))


def test_every_new_version_is_tested_against_every_other(tmp_path: Path) -> None:
    """The gate needs its test whoever is champion by then."""
    registry = fresh_registry(tmp_path)
    for number in range(4):
        frame = predictions(0.7 + 0.05 * number, number)
        register(registry, tmp_path / "in", float(number), predictions=frame)
    table = standing_of(registry, compare_params(), (1,))
    assert all(find_test(table, 1, other) for other in (2, 3, 4))
    assert len(table["tests"]) == 5  # also leader 4 against 2 and 3, but not 2 against 3


def test_stage_writes_json_and_csv_and_tags_the_versions(home: Path, tmp_path: Path) -> None:
    registry = Registry(None, home)
    inputs = {
        "registrations": write_registrations(
            tmp_path / "register", registry.version(NAME, 2), registry.version(NAME, 3)
        )
    } | no_cells(tmp_path)
    outputs = {key: tmp_path / output.path for key, output in STAGE.outputs.items()}
    report = run(compare_params(), inputs, outputs, make_job(tmp_path, registry))
    table = read_json(outputs["leaderboard"])
    assert report.metrics["leader"] == table["leader"]
    assert report.metrics["versions"] == 3
    assert any("leads with macro F1" in note for note in report.notes)
    assert len(outputs["table"].read_text().splitlines()) == 4
    tag = registry.version(NAME, 1).tags["leaderboard"]
    assert tag.startswith("3 of 3: macro F1 ")
    assert f"to leader v{table['leader']} (p = " in tag
    first = {key: path.read_bytes() for key, path in outputs.items()}
    run(compare_params(), inputs, outputs, make_job(tmp_path, registry))
    assert {key: path.read_bytes() for key, path in outputs.items()} == first


def test_page_is_self_contained_and_says_what_the_table_says(home: Path, tmp_path: Path) -> None:
    add_params(home, tmp_path)
    registry = Registry(None, home)
    table = compare_study(tmp_path, STUDY, registry)
    page = (tmp_path / "runs" / STUDY / "leaderboard" / "leaderboard.html").read_text()
    assert not re.search(r"""(src|href)=["']?(https?:|//|/)""", page)
    assert f"v{table['leader']}" in page
    assert "SIMULATED CELLS" in page
    assert "the split changed" in page
    assert read_json(tmp_path / "runs" / STUDY / "leaderboard" / "leaderboard.json") == table


def add_params(home: Path, root: Path) -> None:
    from tests.conftest import ROOT

    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    add_toy_study(root / "params.yaml")


def test_unknown_study_and_empty_registry(tmp_path: Path) -> None:
    add_params(tmp_path, tmp_path)
    registry = fresh_registry(tmp_path)
    with pytest.raises(ParameterError, match="no study 'nope'"):
        compare_study(tmp_path, "nope", registry)
    register(registry, tmp_path / "in", 0.0, tags=REPLICATE)
    with pytest.raises(RegistryError, match="holds no version of unstained-toy that is a cand"):
        compare_study(tmp_path, STUDY, registry)


def test_version_that_the_registry_lacks_is_named(home: Path) -> None:
    with pytest.raises(RegistryError, match="lacks version 9"):
        standing_of(Registry(None, home), compare_params(), (2, 9))


def test_models_of_one_run_on_different_cells_are_refused(home: Path) -> None:
    with pytest.raises(RegistryError, match="different cells"):
        standing_of(Registry(None, home), compare_params(), (3, 4))


def test_predictions_for_other_cells_or_labels_are_left_out(tmp_path: Path) -> None:
    """The digests agree, but the predictions do not."""
    registry = fresh_registry(tmp_path)
    swapped = make_predictions()
    swapped["label"] = (swapped["label"] + 1) % 3
    fewer = make_predictions().iloc[:-1]
    for bias, frame in ((0.0, swapped), (1.0, fewer), (2.0, make_predictions())):
        register(registry, tmp_path / "in", bias, predictions=frame)
    table = standing_of(registry, compare_params(), ())
    assert [entry["version"] for entry in table["entries"]] == [3]
    assert [other["version"] for other in table["not_comparable"]] == [1, 2]
    assert "other cells or other true classes and values" in table["not_comparable"][0]["reason"]


def test_order_of_cells_does_not_matter(tmp_path: Path) -> None:
    registry = fresh_registry(tmp_path)
    shuffled = make_predictions().sample(frac=1, random_state=np.random.RandomState(3))
    register(registry, tmp_path / "in", 0.0, predictions=shuffled)
    register(registry, tmp_path / "in", 1.0)
    table = standing_of(registry, compare_params(), ())
    assert table["tests"][0]["difference"] == 0
    assert table["tests"][0]["n_discordant"] == 0


def test_version_of_another_tool_is_left_out(tmp_path: Path) -> None:
    registry = fresh_registry(tmp_path)
    version = register(registry, tmp_path / "in", 0.0)
    register(registry, tmp_path / "in", 1.0)
    registry.client.delete_model_version_tag(NAME, str(version.version), "latency_ms")
    table = standing_of(registry, compare_params(), ())
    assert "no tag latency_ms" in table["not_comparable"][0]["reason"]


def test_changed_predictions_stop_the_comparison(tmp_path: Path) -> None:
    registry = fresh_registry(tmp_path)
    register(registry, tmp_path / "in", 0.0)
    (path,) = (tmp_path / "mlartifacts").rglob("predictions.parquet")
    make_predictions(skill=1.0).to_parquet(path)
    with pytest.raises(IntegrityError):
        standing_of(registry, compare_params(), ())
