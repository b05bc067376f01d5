"""Remedies of the stages after ingest: a message is provoked, what it says is done, and it helps.

One tiny project, from files to a champion, is copied for each message; the stage that a message is
about runs again, and those before it that the remedy reaches.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
from mlflow import MlflowClient

from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.registered import fresh_registry
from tests.synthetic import asked
from unstained.errors import UnstainedError
from unstained.pipeline.catalogue import STAGES, stage_definition
from unstained.pipeline.configure import configure
from unstained.pipeline.contract import Replicate, Report
from unstained.pipeline.grid import run_grid
from unstained.pipeline.grid_tasks import Work
from unstained.pipeline.runner import run_stage
from unstained.registry.registry import Registry

STUDY, MODEL = "toy", "resnet50"
OF_STUDY = ("studies", STUDY)
RULES = asked("abc")["blob"]

SETTINGS: dict[tuple[str, ...], Any] = {
    ("active",): [STUDY],
    ("models",): [MODEL],
    ("baselines", "models"): [MODEL],
    ("baselines", "experiments"): [],
    ("architectures", MODEL): {"depth": [1, 1, 1, 1], "width": 0.125, "stem_stride": 2},
    ("tune", "executor"): "inline",
    ("recipes", "demo", "tune", "trials"): 1,
    ("recipes", "demo", "tune", "epochs"): 1,
    ("recipes", "demo", "train", "epochs"): 1,
    ("recipes", "demo", "train", "patience"): 1,
    ("split", "folds"): 3,
    ("evaluate", "bootstrap"): 20,
    ("compare", "resamples"): 50,
    ("export", "latency_batches"): [1],
    ("export", "latency_repeats"): 2,
    ("validate", "min_cells_per_class"): 3,
    ("ingest", "workers"): 1,
    ("promote", "max_ece"): 0.99,
    ("promote", "min_class_recall"): 0.0,
    ("promote", "max_latency_ms"): 5000.0,
}


def write_sample(source: Path, sample: str, cells: int = 4) -> None:
    """Rough discs on a bright ground, the larger the later the class; no two are alike."""
    rng = np.random.default_rng([*sample.encode()])
    y, x = np.mgrid[:30, :30]
    for cell in range(cells):
        disc = np.hypot(y - 15, x - 15) < 5 + 2 * "abc".index(sample[0]) + rng.uniform(0, 2)
        rough = np.kron(rng.normal(0, 0.3, (6, 6)), np.ones((5, 5)))
        for channel, level in (("Ch1", 800), ("Ch2", 90)):
            image = level * (1 + (rough - 0.2) * disc) + rng.normal(0, 9, disc.shape)
            path = source / sample / f"{sample}_{cell}_{channel}.ome.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.rint(np.abs(image)).astype(np.uint16), metadata=None)


class Project:
    """A copy of the tiny project."""

    def __init__(self, root: Path, environment: pytest.MonkeyPatch | None = None) -> None:
        self.root, self.params = root, root / "params.yaml"
        self.source, self.runs = root / "source", root / "runs" / STUDY
        self.ledger = root / "ledger" / f"{STUDY}.jsonl"
        self.environment = environment or pytest.MonkeyPatch()

    def set(self, *keys: str, value: Any) -> None:
        edit(self.params, *keys, value=value)

    def run(self, *stages: str) -> Report:
        """Run stages one after the other, as `dvc repro` does after configuring."""
        configure(self.root)
        registry = Registry(None, self.root)
        for stage in stages:
            model = MODEL if stage_definition(stage).per == "model" else None
            report = run_stage(stage, STUDY, model, root=self.root, registry=registry)
        return report


pytestmark = pytest.mark.usefixtures("quick_exporter")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny project with a champion. Only to be copied."""
    project = Project(tmp_path_factory.mktemp("tiny"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, project.root)
    for sample in (f"{kind}_{number}" for kind in "abc" for number in range(5)):
        write_sample(project.source, sample)
    data = {
        "title": "Toy",
        "question": "Which?",
        "reader": "zhu_ifc",
        "source": str(project.source),
        "pixel_size_um": 0.3,
        "channels": ["Ch1"],
        "markers": {"DNA": "Ch2"},
        "tasks": asked("abc", DNA={"column": "marker_DNA"}),
        "group": "acquisition",
        "canvas": 32,
    }
    project.set("studies", STUDY, value={"data": data})
    for keys, value in SETTINGS.items():
        project.set(*keys, value=value)
    fresh_registry(project.root)
    project.run(*STAGES)
    return project.root


@pytest.fixture
def project(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy that may be changed; the source moves along."""
    root = tmp_path / "project"
    shutil.copytree(finished, root)
    copied = Project(root, monkeypatch)
    copied.set(*OF_STUDY, "data", "source", value=str(copied.source))
    return copied


class Case(NamedTuple):
    """What is wrong; stages that run, of which the last one fails; what is said; what is done.

    `then` are the stages that run afterwards, where these are not the same ones.
    """

    spoil: Callable[[Project], object]
    stages: tuple[str, ...]
    said: str
    advice: str
    do: Callable[[Project], object]
    then: tuple[str, ...] = ()


def setting(*keys: str, value: Any) -> Callable[[Project], None]:
    return lambda project: project.set(*keys, value=value)


def of_study(*keys: str, value: Any) -> Callable[[Project], None]:
    return setting(*OF_STUDY, *keys, value=value)


def only(**values: Any) -> Callable[[Project], None]:
    """The study's tasks, and no others."""
    return of_study("data", "tasks", value=values)


def both(*changes: Callable[[Project], object]) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        for one in changes:
            one(project)

    return change


def samples(*names: str) -> Callable[[Project], None]:
    def add(project: Project) -> None:
        for name in names:
            write_sample(project.source, name)

    return add


def without(*names: str) -> Callable[[Project], None]:
    def remove(project: Project) -> None:
        for name in names:
            shutil.rmtree(project.source / name)

    return remove


def without_stain(project: Project) -> None:
    for path in project.source.rglob("*_Ch2.ome.tif"):
        path.unlink()


def brighter(project: Project) -> None:
    """Classes recorded under other lamps."""
    for path in project.source.glob("a_*/*_Ch1.ome.tif"):
        tifffile.imwrite(path, tifffile.imread(path) * np.uint16(2) + np.uint16(1), metadata=None)


def emptied_blocks(project: Project) -> None:
    for chunk in (project.runs / "ingest" / "store" / "blocks").glob("*/c/0/0/0/0"):
        chunk.write_bytes(b"")


def searched(**space: Any) -> Callable[[Project], None]:
    rules = {name.replace("__", "."): rule for name, rule in space.items()}
    return both(
        setting("recipes", "demo", "tune", "network_space", value=rules),
        setting("recipes", "demo", "tune", "trials", value=2),
    )


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def whole_lines(path: Path) -> str:
    return "".join(line for line in path.read_text().splitlines(True) if line.endswith("\n"))


def client(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")


def deleted_experiment(project: Project) -> None:
    deleted_version(project)
    client(project).delete_experiment(experiment_id(project))


def restored_experiment(project: Project) -> None:
    client(project).restore_experiment(experiment_id(project))


def experiment_id(project: Project) -> str:
    return str(client(project).get_experiment_by_name("unstained").experiment_id)


def deleted_version(project: Project) -> None:
    client(project).delete_registered_model_alias("unstained-toy", "champion")
    client(project).delete_model_version("unstained-toy", "1")


LEARNT = ("ingest", "validate", "split", "tune")
ONE_TRIAL = setting("recipes", "demo", "tune", "trials", value=1)
LOW_RATES = {"low": 1e-6, "high": 1e-5, "log": True}
FEW = [f"{kind}_{number}" for kind in "ab" for number in range(2, 5)]
DNA = asked(DNA={"column": "marker_DNA"})["DNA"]
NEW_ALONE = of_study("data", "external", value=["^[abc]_9"])

CASES = {
    "shortcut": Case(
        both(brighter, setting("validate", "on_shortcut", value="fail")),
        ("ingest", "validate"),
        "verdict 'shortcut'",
        "setting validate.on_shortcut to report",
        setting("validate", "on_shortcut", value="report"),
    ),
    "few cells": Case(
        setting("validate", "min_cells_per_class", value=30),
        ("validate",),
        "has at least 30 cells",
        "lower validate.min_cells_per_class",
        setting("validate", "min_cells_per_class", value=20),
    ),
    "external alone": Case(
        both(without("a_0", "b_0"), of_study("data", "external", value=["."])),
        ("ingest", "validate"),
        "all cells of the source are external",
        "`unstained run monitor toy`",
        samples("a_9", "b_9"),
        ("ingest", "monitor"),
    ),
    "nothing new": Case(
        lambda _: None,
        ("monitor",),
        "nothing is new",
        "add acquisitions to the source",
        samples("a_9", "b_9"),
        ("ingest", "monitor"),
    ),
    "few groups": Case(
        without(*FEW),
        ("ingest", "validate", "split"),
        "class a has 2 independent groups (a_0, a_1), and 3 parts need one each",
        "record more acquisitions of this class",
        samples("a_7", "a_8", "a_9", "b_7", "b_8", "b_9"),
    ),
    "few groups, stratified": Case(
        without(*FEW),
        ("ingest", "validate", "split"),
        "3 parts need one each",
        "set split.strategy to stratified",
        setting("split", "strategy", value="stratified"),
    ),
    "folds": Case(
        setting("split", "folds", value=40),
        ("split",),
        "fewer than 40 folds",
        "and baselines.folds to folds below that number, [0, 1, 2]",
        lambda project: fewer_folds(project),
    ),
    "no space": Case(
        searched(),
        ("tune",),
        "the search space is empty",
        "set tune.trials to 1",
        ONE_TRIAL,
    ),
    "outside of the space": Case(
        searched(train__learning_rate=LOW_RATES),
        ("tune",),
        "outside its search range",
        "widen the range",
        searched(train__learning_rate=LOW_RATES | {"high": 0.1}),
    ),
    "no such parameter": Case(
        searched(train__learning_speed=LOW_RATES),
        ("tune",),
        "'train.learning_speed' is no parameter",
        "train.learning_rate",
        searched(train__learning_rate=LOW_RATES | {"high": 0.1}),
    ),
    "no classes to balance": Case(
        both(only(DNA=DNA), setting("recipes", "demo", "train", "sampling", value="balanced")),
        (*LEARNT, "train"),
        "train.sampling is balanced, but no task has classes",
        "set train.sampling to natural",
        setting("recipes", "demo", "train", "sampling", value="natural"),
    ),
    "no value": Case(
        without_stain,
        ("ingest", "validate"),
        "Every target is recorded for at least one cell",
        "take its task out of studies.<study>.data.tasks",
        only(blob=RULES),
    ),
    "class outside": Case(
        of_study("data", "external", value=["^c_"]),
        (*LEARNT, "train"),
        "no training cell belongs to: c",
        "add cells of it that are not external",
        both(samples("c_7", "c_8", "c_9"), of_study("data", "external", value=["^c_[0-4]"])),
    ),
    "three planes": Case(
        both(
            of_study("data", "channels", value=["Ch1", "Ch2"]),
            of_study("data", "markers", value={}),
            only(blob=RULES),
            setting("network", "grey_as", value="three"),
        ),
        (*LEARNT, "train"),
        "grey_as is three, but the images have 2 planes",
        "set studies.<study>.models.<model>.grey_as to one",
        of_study("models", MODEL, value={"grey_as": "one"}),
    ),
    "weights": Case(
        setting("network", "weights", value="imagenet"),
        ("tune", "train"),
        "is not there",
        "studies.<study>.models.<model>.weights to none",
        of_study("models", MODEL, value={"weights": "none"}),
    ),
    "diverged": Case(
        setting("recipes", "demo", "train", "learning_rate", value=1e30),
        ("tune", "train"),
        "became",
        "learning_rate",
        setting("recipes", "demo", "train", "learning_rate", value=1e-3),
    ),
    "tolerance": Case(
        setting("export", "logit_tolerance", value=1e-30),
        ("export",),
        "does not reproduce the trained model",
        "raise export.logit_tolerance",
        setting("export", "logit_tolerance", value=1e-4),
    ),
    "not yet split": Case(
        lambda project: shutil.rmtree(project.runs / "split"),
        ("tune",),
        "stage split has not finished",
        "`unstained run split toy`",
        lambda project: project.run("split"),
    ),
    "a damaged store": Case(
        emptied_blocks,
        ("evaluate",),
        "lacks its file",
        "`dvc repro` ingests again",
        lambda project: project.run("ingest"),
    ),
    "no experiment": Case(
        deleted_experiment,
        ("register",),
        "the MLflow experiment 'unstained' was deleted",
        "mlflow experiments restore --experiment-id",
        restored_experiment,
    ),
    "another experiment": Case(
        deleted_experiment,
        ("register",),
        "was deleted",
        "register.experiment in params.yaml",
        setting("register", "experiment", value="other"),
    ),
    "no version": Case(
        deleted_version,
        ("compare",),
        "holds no version of unstained-toy that is a candidate",
        "run `dvc repro`",
        lambda project: project.run("register"),
    ),
    "a torn ledger": Case(
        lambda project: append(project.ledger, '{"study": "to'),
        ("promote",),
        "is torn",
        "delete that last, unfinished line; then `unstained history toy --pull`",
        lambda project: project.ledger.write_text(whole_lines(project.ledger)),
    ),
    "not yet compared": Case(
        lambda project: shutil.rmtree(project.runs / "compare"),
        ("report",),
        "stage compare has not finished",
        "`unstained run compare toy`",
        lambda project: project.run("compare"),
    ),
    "results of a model lost": Case(
        lambda project: shutil.rmtree(project.runs / "evaluate" / MODEL),
        ("report",),
        "stage evaluate has not finished",
        f"`unstained run evaluate toy --model {MODEL}`",
        lambda project: project.run("evaluate"),
    ),
    "a store for models": Case(
        lambda project: project.environment.setenv("UNSTAINED_MODEL_STORE", "/mnt/models"),
        ("promote",),
        "UNSTAINED_MODEL_STORE='/mnt/models' is no place for models",
        "s3://bucket/prefix",
        lambda project: project.environment.delenv("UNSTAINED_MODEL_STORE"),
    ),
}


def fewer_folds(project: Project) -> None:
    """What the message says."""
    with pytest.raises(UnstainedError) as error:
        project.run("split")
    (most,) = re.findall(r"studies.<study>.split.folds to at most (\d+)", error.value.remedy)
    project.set(*OF_STUDY, "split", value={"folds": int(most)})
    project.set("baselines", "folds", value=[0, 1, 2])


SLOW = (
    "few cells",
    "shortcut",
    "few groups, stratified",
    "class outside",
    "tolerance",
    "three planes",
    "not yet compared",
    "results of a model lost",
)
"""Cases that take seconds."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.minutes) if n in SLOW else n for n in CASES]
)
def test_what_the_remedy_says_helps(project: Project, name: str) -> None:
    case = CASES[name]
    case.spoil(project)
    with pytest.raises(UnstainedError) as error:
        project.run(*case.stages)
    assert case.said in error.value.message
    assert case.advice in error.value.remedy
    case.do(project)
    project.run(*(case.then or case.stages))


class Reached(Exception):  # noqa: N818  (no error: the grid has come as far as training)
    """Carries the names of the replicates that would be trained."""


def grid(project: Project) -> list[str]:
    """Replicates that `unstained grid` would train, which is not done here."""

    def reached(left: dict[Work, Any], *_: object) -> None:
        raise Reached([work.name for work in left])

    project.environment.setattr("unstained.pipeline.grid.train_on_ray", reached)
    with pytest.raises(Reached) as found:
        run_grid(project.root, STUDY)
    return list(found.value.args[0])


GRID: dict[str, tuple[Callable[[Project], object], Callable[[Project], object], str, str]] = {
    "not active": (
        setting("active", value=["nsc"]),
        setting("active", value=["nsc", STUDY]),
        "'toy' is not among the active studies",
        "or add it to params.yaml `active`",
    ),
    "another split": (
        setting("split", "fractions", value=[0.6, 0.2, 0.2]),
        lambda project: project.run("split"),
        "was not made with this code and these parameters",
        "`unstained run split toy`",
    ),
    "no store": (
        lambda project: shutil.rmtree(project.runs / "ingest"),
        lambda project: project.run("ingest"),
        "was not made with this code and these parameters",
        "`unstained run ingest toy`",
    ),
}


@pytest.fixture
def copied(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy that reads the source where it was: its results are of its parameters."""
    shutil.copytree(finished, tmp_path / "copied")
    return Project(tmp_path / "copied", monkeypatch)


@pytest.mark.parametrize("name", GRID)
def test_what_the_grid_s_remedy_says_helps(copied: Project, name: str) -> None:
    project = copied
    project.set("baselines", "folds", value=[0, 1])
    spoil, do, said, advice = GRID[name]
    spoil(project)
    with pytest.raises(UnstainedError) as error:
        grid(project)
    assert said in error.value.message
    assert advice in error.value.remedy
    do(project)
    assert grid(project) == [f"toy/{MODEL} fold{fold}-seed42" for fold in (0, 1)]


def test_what_a_replicate_s_remedies_say_helps(project: Project) -> None:
    """The names of its fold and seed, and the stage of the study that is missing."""

    def train(fold: int) -> None:
        run_stage(
            "train", STUDY, MODEL, root=project.root, registry=None, replicate=Replicate(fold, 42)
        )

    with pytest.raises(UnstainedError, match="fold9-seed42 is not in params") as error:
        train(9)
    assert error.value.remedy == "folds: 0, 1, 2; seeds: 42"
    train(2)
    assert (project.runs / "replicates" / "train" / MODEL / "fold2-seed42").is_dir()
    with pytest.raises(UnstainedError, match="stage train has not finished") as error:
        project.run("baselines")
    assert "`unstained grid`" in error.value.remedy
