"""Typed parameters: params.yaml parsed into frozen models, unknown keys refused.

Science comes only from params.yaml (or `dvc exp run -S`); deployment facts (addresses,
credentials) come only from the environment. A study's section holds what its data are; its
`recipes` hold how much is spent on them: `demo` for two cores, `paper` for a GPU.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from unstained.errors import ParameterError

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Params(BaseModel):
    """A frozen section of params.yaml; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Sha256 of the canonical JSON form: equal parameters, equal digest."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class CommonParams(Params):
    """What every stage shares."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]


class ClassRule(Params):
    """One class and the directories that hold its cells."""

    name: str
    pattern: str = Field(description="regular expression on the sample directory's name")
    external: bool = Field(
        default=False, description="external test cells: never trained on, reported apart"
    )


class TargetRule(Params):
    """One continuous target, predicted from the label-free image."""

    name: str
    column: str = Field(description="column of the cell table that holds its value")
    transform: Literal["none", "log"] = "none"
    unit: str = ""


class StudyData(Params):
    """What a study's data are and what is asked of them."""

    title: str
    question: str
    reader: Literal["zhu_ifc", "jurkat_montage"]
    source: str | None = Field(description="'simulator', or the path of the real download")
    source_revision: str = Field(
        default="1", description="raise it to ingest again after the files at `source` changed"
    )
    pixel_size_um: Positive
    brightfield: str = Field(description="channel that the models see, e.g. 'Ch1'")
    markers: dict[str, str] = Field(
        default_factory=dict, description="marker name -> fluorescence channel"
    )
    classes: tuple[ClassRule, ...]
    targets: tuple[TargetRule, ...] = ()
    group: Literal["acquisition", "block"]
    block_size: Count = Field(default=30, description="tiles a block, where group is 'block'")
    canvas: Annotated[int, Field(ge=16, le=512)] = Field(
        description="side in pixels of the square that a cell is centred on, never rescaled"
    )
    expected: dict[str, int] | None = Field(
        default=None, description="cells a class in the complete source; counts must match"
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order; several rules may share a name."""
        return tuple(dict.fromkeys(rule.name for rule in self.classes))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Continuous targets in output order."""
        return tuple(rule.name for rule in self.targets)


class SimulateParams(Params):
    """Simulated imaging flow cytometry (`simulate/`)."""

    acquisitions_per_class: Count
    cells_per_acquisition: Count
    confound: Annotated[float, Field(ge=0, le=1)] = Field(
        description="strength of a planted brightness shortcut between class and acquisition"
    )
    debris: Annotated[float, Field(ge=0, lt=1)]
    doublets: Annotated[float, Field(ge=0, lt=1)]
    focus_drift_um: Annotated[float, Field(ge=0)]
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        description="0: lineages far apart in morphology, 1: indistinguishable"
    )


class IngestParams(Params):
    """Packing of a raw layout."""

    on_error: Literal["fail", "quarantine"]
    workers: Annotated[int, Field(ge=0)] = Field(description="processes; 0 means all cores")
    cells_per_block: Annotated[int, Field(ge=64, le=65536)]


class ValidateParams(Params):
    """Expectations and the audit."""

    min_cells_per_class: Count
    near_duplicate_distance: Annotated[int, Field(ge=0, le=64)] = Field(
        description="perceptual-hash bits that may differ between near-duplicates"
    )
    folds: Annotated[int, Field(ge=2)]
    confidence: Fraction
    shortcut_margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="balanced accuracy above chance that the interval must exceed for a verdict"
    )
    on_shortcut: Literal["report", "fail"]
    max_cells: Count = Field(description="cells that the shortcut audit reads at the most")


class SplitParams(Params):
    """Partition of cells into train, val and test, and folds for cross-validation."""

    strategy: Literal["stratified", "grouped"]
    fractions: tuple[Fraction, Fraction, Fraction]
    folds: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitParams:
        if abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("split.fractions must add up to 1 (train, val, test)")
        return self


class NetworkParams(Params):
    """A convolutional network."""

    architecture: Literal["cg_recnet", "resnet50"]
    preset: Literal["text"] = "text"
    width: Positive = Field(description="multiplies every channel count; 1 is the paper's")
    depth: tuple[Count, Count, Count, Count] = Field(description="residual blocks a stage")
    stem_stride: Literal[1, 2] = Field(description="1 keeps resolution for cells up to 96 px")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class BoostingParams(Params):
    """Gradient boosting on hand-crafted features."""

    architecture: Literal["features_boosting"]
    iterations: Count
    learning_rate: Positive
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Count
    l2_regularization: Annotated[float, Field(ge=0)]
    max_features: Annotated[float, Field(gt=0, le=1)]


ModelParams = Annotated[NetworkParams | BoostingParams, Field(discriminator="architecture")]


class AugmentParams(Params):
    """Batched augmentation on the device; contrast units are fractions of the background."""

    dihedral: bool
    shift_px: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(ge=0, lt=0.5)] = Field(description="0.1: 0.9 to 1.1 times")
    gain: Annotated[float, Field(ge=0, lt=1)] = Field(description="contrast gain, plus or minus")
    offset: Annotated[float, Field(ge=0, lt=1)] = Field(description="background offset, sd")
    noise: Annotated[float, Field(ge=0, lt=1)] = Field(description="white noise, sd at most")
    blur_px: Annotated[float, Field(ge=0)] = Field(description="Gaussian blur, sigma at most")


class TrainParams(Params):
    """Optimisation; gradient-boosted models use `patience` and `seed` only."""

    epochs: Count
    batch_size: Count
    optimiser: Literal["adamw", "adam"]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["cosine", "plateau", "step", "constant"]
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(description="fraction of all steps")
    patience: Count = Field(description="epochs without a better validation loss before stopping")
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: Positive
    target_weight: Annotated[float, Field(ge=0)] = Field(
        description="weight of the continuous targets' loss beside the classes' loss"
    )
    class_weights: Literal["none", "balanced"]
    precision: Literal["auto", "float32", "bfloat16"]
    compile: Literal["auto", "on", "off"]
    workers: Count = Field(description="data-parallel processes; the global batch stays the same")
    loading: Literal["auto", "resident", "stream"]
    augment: AugmentParams


class Range(Params):
    """A searched parameter: a float range, log-uniform where `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and low > 0 where log is true")
        return self


class TuneParams(Params):
    """Search for `train` or model parameters; trials 1 keeps the parameters as they are."""

    executor: Literal["ray", "inline"]
    trials: Count
    epochs: Count = Field(description="epochs of a trial that ASHA does not stop")
    grace_epochs: Count
    reduction_factor: Annotated[int, Field(ge=2)]
    max_cells: Count = Field(description="training cells that a trial sees at the most")
    concurrent: Count
    network_space: dict[str, Range]
    boosting_space: dict[str, Range]


class EvaluateParams(Params):
    """Metrics, intervals, controls, calibration, explanation."""

    bootstrap: Count
    confidence: Fraction
    ece_bins: Count
    conformal_alpha: Fraction
    examples_per_class: Count


class ExportParams(Params):
    """ONNX export, parity and quantisation."""

    opset: Annotated[int, Field(ge=18, le=23)]
    logit_tolerance: Positive
    quantise: bool
    quantise_min_speedup: Positive
    quantise_max_loss: Annotated[float, Field(ge=0)] = Field(
        description="macro-F1 that INT8 may lose"
    )
    latency_batches: tuple[Count, ...]
    latency_repeats: Count


class RegisterParams(Params):
    """Registration in MLflow."""

    experiment: str
    registered_model: str = Field(description="name in the registry; '{study}' is replaced")


class CompareParams(Params):
    """Paired comparison of registered versions on the same test cells."""

    metric: Literal["macro_f1", "accuracy", "balanced_accuracy"]
    resamples: Count
    alpha: Fraction
    correction: Literal["holm", "fdr_bh", "bonferroni"]


class PromoteParams(Params):
    """The gate between a challenger and the alias `champion`."""

    mode: Literal["off", "dry-run", "enforce"]
    alpha: Fraction
    max_ece: Fraction
    min_class_recall: Annotated[float, Field(ge=0, le=1)]
    max_latency_ms: Positive = Field(description="median latency of a batch of one")


class StudyRecipe(Params):
    """How much is spent on a study."""

    simulate: SimulateParams | None = None
    models: dict[str, ModelParams]
    tune: TuneParams
    train: TrainParams


class StudyParams(Params):
    """A dataset with a question, and its recipes."""

    data: StudyData
    recipes: dict[str, StudyRecipe]


class ProjectParams(Params):
    """All of params.yaml."""

    recipe: str
    active: tuple[str, ...]
    models: tuple[str, ...]
    common: CommonParams
    studies: dict[str, StudyParams]
    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")
    split: SplitParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams = Field(alias="register")
    compare: CompareParams
    promote: PromoteParams

    @model_validator(mode="after")
    def _names_exist(self) -> ProjectParams:
        for study in self.active:
            if study not in self.studies:
                raise ValueError(f"active: {study!r} is no study ({', '.join(self.studies)})")
            if self.studies[study].data.source is None:
                raise ValueError(
                    f"active: {study!r} has no source; run: unstained source {study} PATH"
                )
            recipes = self.studies[study].recipes
            if self.recipe not in recipes:
                raise ValueError(
                    f"recipe: {study!r} has no recipe {self.recipe!r} ({', '.join(recipes)})"
                )
            missing = set(self.models) - set(recipes[self.recipe].models)
            if missing:
                raise ValueError(
                    f"models: {study!r}, recipe {self.recipe!r}, does not define {sorted(missing)}"
                )
        return self


P = TypeVar("P", bound=Params)


def load_params(path: Path) -> ProjectParams:
    """Parse params.yaml.

    Raises:
        ParameterError: the file is missing, no YAML, or breaks the schema; the message names
            every offending key.
    """
    return parse(ProjectParams, read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    """The plain content of a YAML file.

    Raises:
        ParameterError: the file is missing or no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            f"{path} does not exist", "run from the project's root, or name it with --params"
        ) from None
    except YAMLError as error:
        raise ParameterError(f"{path} is no valid YAML: {error}", "correct the line") from None


def parse(kind: type[P], content: Any, where: str) -> P:
    """`content` as `kind`.

    Raises:
        ParameterError: unknown keys, wrong types or values out of range, each by its full path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "(top level)"
            text = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
            lines.append(f"{key}: {text}")
        raise ParameterError(
            f"{where}: " + "; ".join(lines), "correct these keys and run again"
        ) from None
