"""A toy study in params.yaml, and jobs of its stages."""

from __future__ import annotations

from pathlib import Path

from tests.config.test_config import edit
from tests.registered import CLASSES, NAME, STUDY
from tests.synthetic import asked
from unstained.config.compare import CompareParams, CompareStageParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.promote import PromoteParams
from unstained.config.register import RegisterParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import write_json
from unstained.pipeline.contract import Job, Replicate
from unstained.registry.registration import registration_content
from unstained.registry.registry import Registry
from unstained.registry.submission import RegisteredVersion
from unstained.stages.promote import PromoteStageParams

MODELS = ("cg_recnet", "resnet50")


def study_data() -> StudyData:
    return StudyData(
        title="Toy cells",
        question="Which?",
        reader="zhu_ifc",
        source="simulator",
        pixel_size_um=0.3,
        channels=("Ch1",),
        tasks=asked(CLASSES, DNA={"column": "marker_DNA"}),
        group="acquisition",
        canvas=32,
    )


REGISTER = RegisterParams(experiment="unstained", registered_model="unstained-{study}")
COMPARE = CompareParams(metric="macro_f1", resamples=200, alpha=0.05, correction="holm")
EVALUATE = EvaluateParams(
    bootstrap=100,
    confidence=0.95,
    ece_bins=15,
    conformal_alpha=0.1,
)


def compare_params(**changes: object) -> CompareStageParams:
    return CompareStageParams(
        common=CommonParams(seed=1),
        data=study_data(),
        register_=REGISTER,
        evaluate=EVALUATE,
        compare=COMPARE.model_copy(update=changes),
    )


def promote_params(**changes: object) -> PromoteStageParams:
    limits = PromoteParams(
        mode="enforce",
        alpha=0.05,
        max_ece=0.3,
        min_class_recall=0.5,
        max_latency_ms=50,
        beats_mean=True,
    )
    return PromoteStageParams(register_=REGISTER, promote=limits.model_copy(update=changes))


def make_job(
    root: Path,
    registry: Registry,
    model: str | None = None,
    *,
    models: tuple[str, ...] = MODELS,
    replicate: Replicate | None = None,
    replicates: tuple[Replicate, ...] = (),
    git_commit: str = "abc",
) -> Job:
    return Job(
        study=STUDY,
        model=model,
        recipe="demo",
        models=models,
        scratch=root,
        fingerprint="f" * 64,
        registry=registry,
        root=root,
        git_commit=git_commit,
        replicates=replicates,
        replicate=replicate,
    )


def no_cells(root: Path) -> dict[str, Path]:
    """Inputs of the stage compare that only a champion on other cells needs."""
    return {"store": root / "no-store", "split": root / "no-split"}


def write_registrations(directory: Path, *versions: RegisteredVersion) -> Path:
    """What the stage register wrote for the models of a run."""
    for model, version in zip(MODELS, versions, strict=True):
        (directory / model).mkdir(parents=True, exist_ok=True)
        write_json(directory / model / "registration.json", registration_content(version))
    return directory


def add_toy_study(params_file: Path, study: StudyData | None = None) -> None:
    """Put the toy study, or another by its name, into a params.yaml."""
    data = (study or study_data()).model_dump(mode="json", exclude_none=True)
    edit(params_file, "studies", STUDY, value={"data": data})
    assert f"unstained-{STUDY}" == NAME
