"""Replicates of two models on two folds, and the tables made of them."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, precision_recall_fscore_support
from typer.testing import CliRunner

from tests.config.test_config import edit
from tests.replicates import FOLDS, SEED, another, home, replicate
from tests.replicates import MODELS as CONTENDERS
from unstained.cli import app
from unstained.config.project import load_params
from unstained.errors import ParameterError
from unstained.files import read_json, tree_sha256
from unstained.pipeline.catalogue import SHIPPING
from unstained.pipeline.contract import Replicate
from unstained.pipeline.plan import plan
from unstained.pipeline.runner import run_stage
from unstained.report.baselines.plots import frontier
from unstained.report.leaderboard.folds import across_folds, render_folds

pytestmark = [pytest.mark.xdist_group("replicates"), pytest.mark.usefixtures("quick_exporter")]

EXPERIMENT = {
    "question": "Other split",
    "usual": "resnet50",
    "changed": "resnet50_other_split",
}
MODELS = (*CONTENDERS, EXPERIMENT["changed"])


@pytest.fixture(scope="module")
def grown(replicated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all replicates and their tables."""
    root = another(replicated, tmp_path_factory.mktemp("baselines") / "project")
    params = root / "params.yaml"
    variant = {"of": "resnet50", "partition": "reference"}
    edit(params, "variants", EXPERIMENT["changed"], value=variant)
    edit(params, "baselines", "experiments", value=[EXPERIMENT])
    edit(params, "baselines", "models", value=list(MODELS))
    for fold in FOLDS:
        replicate(root, EXPERIMENT["changed"], Replicate(fold, SEED))
    for model in MODELS:
        for fold in FOLDS:
            for stage in SHIPPING:
                run_stage(stage, "nsc", model, root=root, replicate=Replicate(fold, SEED))
    run_stage("baselines", "nsc", root=root)
    return root


def predictions(root: Path, model: str, fold: int) -> pd.DataFrame:
    return pd.read_parquet(home(root, model, fold) / "predictions.parquet")


def test_the_test_cells_are_fixed_and_the_fold_is_held_out(grown: Path) -> None:
    split = pd.read_parquet(grown / "runs/nsc/split/split.parquet").set_index("cell_id")
    for fold in (0, 2):
        found = predictions(grown, "resnet50", fold)
        parts = {part: set(rows["cell_id"]) for part, rows in found.groupby("part")}
        assert parts["test"] == set(split.index[split["part"] == "test"])
        inner = split["part"].isin(["train", "val"])
        assert parts["val"] == set(split.index[inner & (split["fold"] == fold)])
        numbers = read_json(home(grown, "resnet50", fold) / "metrics.json")
        assert numbers["training_cells"] == int((inner & (split["fold"] != fold)).sum())


def test_the_tables_are_means_over_replicates(grown: Path) -> None:
    models = pd.read_csv(grown / "runs/nsc/baselines/models.csv").set_index("model")
    classes = pd.read_csv(grown / "runs/nsc/baselines/classes.csv").set_index(["model", "class"])
    names = load_params(grown / "params.yaml").studies["nsc"].data.class_names
    assert set(models.index) == set(CONTENDERS)
    for model in CONTENDERS:
        macro, per_class = [], []
        for fold in (0, 2):
            found = predictions(grown, model, fold)
            found = found[found["part"] == "test"]
            called = found.filter(regex=r"^probability_\d").to_numpy().argmax(axis=1)
            macro.append(f1_score(found["label"], called, average="macro"))
            per_class.append(
                precision_recall_fscore_support(
                    found["label"], called, labels=range(3), zero_division=0
                )[2]
            )
        assert models.loc[model, "macro_f1"] == pytest.approx(np.mean(macro), abs=1e-5)
        assert models.loc[model, "macro_f1_sd"] == pytest.approx(np.std(macro, ddof=1), abs=1e-5)
        for k, name in enumerate(names):
            expected = np.mean([scores[k] for scores in per_class])
            assert classes.loc[(model, name), "f1"] == pytest.approx(expected, abs=1e-5)
    assert models.loc["resnet50", "gmacs"] > 0
    assert np.isnan(models.loc["features_boosting", "gmacs"])


def test_markers_are_correlated_with_what_was_measured(grown: Path) -> None:
    models = pd.read_csv(grown / "runs/nsc/baselines/models.csv").set_index("model")
    for model in CONTENDERS:
        for name in load_params(grown / "params.yaml").studies["nsc"].data.target_names:
            r = []
            for fold in (0, 2):
                table = predictions(grown, model, fold).query("part == 'test'")
                pair = table[[f"target_{name}", f"predicted_{name}"]].dropna()
                r.append(stats.pearsonr(*pair.to_numpy().T).statistic)
            assert models.loc[model, f"{name}_r"] == pytest.approx(np.mean(r), abs=1e-4)


def test_controls_are_trained_on_the_cells_of_each_fold(grown: Path) -> None:
    controls = pd.read_csv(grown / "runs/nsc/baselines/controls.csv").set_index("control")
    assert set(controls.index) == {"majority", "background", "brightness", "size", "features"}
    split = pd.read_parquet(grown / "runs/nsc/split/split.parquet")
    label = split["cell_id"].str.split("_").str[0]
    test, inner = split["part"] == "test", split["part"].isin(["train", "val"])
    accuracy = []
    for fold in (0, 2):
        train = label[inner & (split["fold"] != fold)]
        dummy = DummyClassifier(strategy="most_frequent").fit(train, train)
        accuracy.append(dummy.score(label[test], label[test]))
    assert controls.loc["majority", "accuracy"] == pytest.approx(np.mean(accuracy), abs=1e-6)
    assert controls.loc["features", "macro_f1"] > controls.loc["majority", "macro_f1"]
    assert controls.loc["features", "GFAP_r"] > controls.loc["size", "GFAP_r"]


def test_the_page_shows_every_model_and_says_simulated(grown: Path) -> None:
    page = (grown / "runs/nsc/baselines/baselines.html").read_text(encoding="utf-8")
    for text in (
        *MODELS,
        "simulated",
        "brightness control",
        "within classes",
        "McNemar",
        "94.58\u00a0±\u00a00.08\u00a0%",
        "225.0",
    ):
        assert text in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    before = tree_sha256(grown / "runs/nsc/baselines/baselines.html")
    run_stage("baselines", "nsc", root=grown)
    assert tree_sha256(grown / "runs/nsc/baselines/baselines.html") == before


def plots(page: str) -> dict[str, str]:
    """Alternative text -> SVG, of all plots of a page."""
    pattern = r'src="data:image/svg\+xml;base64,([^"]+)"[^>]* alt="([^"]+)"'
    return {alt: base64.b64decode(code).decode() for code, alt in re.findall(pattern, page)}


def test_plots_show_all_models_but_for_epochs_of_trees(grown: Path) -> None:
    shown = plots((grown / "runs/nsc/baselines/baselines.html").read_text(encoding="utf-8"))
    roc = next(svg for alt, svg in shown.items() if alt.startswith("ROC curves of"))
    named = re.findall(r">(\w+), \d\.\d\d</text>", roc)
    assert named == list(CONTENDERS)
    (loss,) = (svg for alt, svg in shown.items() if alt.startswith("validation loss over epochs"))
    assert "resnet50</text>" in loss
    assert "boosting" not in loss


def test_the_comparison_tests_across_folds(grown: Path) -> None:
    table = across_folds(grown, "nsc")
    assert table is not None
    scores, train = {}, []
    for model in CONTENDERS:
        numbers = [read_json(home(grown, model, fold) / "metrics.json") for fold in (0, 2)]
        scores[model] = np.array([n["macro_f1"] for n in numbers])
        train = [n["training_cells"] for n in numbers]
    differences = scores[MODELS[0]] - scores[MODELS[1]]
    test = len(predictions(grown, "resnet50", 0).query("part == 'test'"))
    variance = (1 / 2 + test / np.mean(train)) * differences.var(ddof=1)
    p = 2 * stats.t.sf(abs(differences.mean()) / np.sqrt(variance), 1)
    assert table.pairs[0].p == pytest.approx(p)
    console = Console(width=120, file=io.StringIO())
    console.print(render_folds(table))
    assert "leader" in console.file.getvalue()


def test_replicates_alone_are_compared_on_the_command_line(
    grown: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grown)
    found = CliRunner().invoke(app, ["compare", "nsc"])
    assert found.exit_code == 0, found.output
    assert "no version of unstained-nsc that is a candidate" in found.output
    for text in ("across 2 folds", "v1-v2", "leader", *CONTENDERS):
        assert text in found.output
    assert EXPERIMENT["changed"] not in found.output


def test_without_replicates_nothing_is_tested_across_folds(grown: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((grown / "params.yaml").read_text())
    assert across_folds(tmp_path, "nsc") is None


def test_the_plan_counts_what_is_left(grown: Path) -> None:
    edit(grown / "params.yaml", "baselines", "seeds", value=[42, 123])
    try:
        shares = {s.model: s for s in plan(grown, load_params(grown / "params.yaml"))}
    finally:
        edit(grown / "params.yaml", "baselines", "seeds", value=[42])
    share = shares["resnet50"]
    assert (share.done, share.left) == (2, 2)
    assert share.seconds is not None
    models = pd.read_csv(grown / "runs/nsc/baselines/models.csv").set_index("model")
    cells = read_json(home(grown, "resnet50", 0) / "metrics.json")["training_cells"]
    expected = 6 * models.loc["resnet50", "gmacs"] * 1e9 * cells * 2
    assert share.operations == pytest.approx(expected, rel=0.25)
    assert shares["features_boosting"].operations is None


def test_the_other_partition_is_trained_and_tested_apart(grown: Path) -> None:
    split = pd.read_parquet(grown / "runs/nsc/split/split.parquet").set_index("cell_id")
    name = EXPERIMENT["changed"]
    found = predictions(grown, name, 2)
    parts = {part: set(rows["cell_id"]) for part, rows in found.groupby("part")}
    assert parts["test"] == set(split.index[split["reference_part"] == "test"])
    inner = split["reference_part"].isin(["train", "val"])
    assert parts["val"] == set(split.index[inner & (split["reference_fold"] == 2)])
    table = pd.read_csv(grown / "runs/nsc/baselines/experiments.csv").set_index("changed")
    assert table.loc[name, "changes"] == "partition: reference"
    assert not table.loc[name, "same_cells"]
    scores = [read_json(home(grown, name, fold) / "metrics.json") for fold in (0, 2)]
    mean = np.mean([score["macro_f1"] for score in scores])
    assert table.loc[name, "changed_mean"] == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize(
    ("stage", "model", "which", "said"),
    [
        ("train", "resnet50", Replicate(1, 42), "fold1-seed42 is not in"),
        ("train", EXPERIMENT["changed"], None, "is not in params.yaml `models`"),
        ("train", "vit_b_16", Replicate(0, 42), "is not in params.yaml `baselines.models`"),
        ("tune", "resnet50", Replicate(0, 42), "tune takes no --fold and --seed"),
        ("split", None, Replicate(0, 42), "split takes no --fold and --seed"),
    ],
)
def test_a_replicate_outside_the_grid_is_refused(
    grown: Path, stage: str, model: str | None, which: Replicate | None, said: str
) -> None:
    with pytest.raises(ParameterError, match=said):
        run_stage(stage, "nsc", model, root=grown, replicate=which)


points = st.lists(
    st.tuples(st.text("ab", min_size=1), st.floats(1, 9), st.floats(0, 1)), min_size=1, max_size=8
)


@given(points)
def test_nobody_beats_a_model_on_the_frontier(found: list[tuple[str, float, float]]) -> None:
    best = frontier(found)
    for _, cost, score in best:
        assert not any(c <= cost and s > score for _, c, s in found)
    for point in found:
        if point not in best:
            assert any(c <= point[1] and s >= point[2] for _, c, s in best)
