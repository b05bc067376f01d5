"""Parameters of the stages that are the same for every study."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unstained.config.base import Count, Fraction, Params, Positive


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


class EvaluateParams(Params):
    """Metrics, intervals, controls, calibration."""

    bootstrap: Count
    confidence: Fraction
    ece_bins: Count
    conformal_alpha: Fraction


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

    def name_of(self, study: str) -> str:
        """Name of a study's registered model."""
        return self.registered_model.replace("{study}", study)


class CompareParams(Params):
    """Paired comparison of registered versions on the same test cells."""

    metric: Literal["macro_f1", "accuracy", "balanced_accuracy"] = Field(
        description="where a study's primary task is classes"
    )
    value_metric: Literal["r", "r2", "mae"] = Field(
        default="r2", description="where its primary task is a value"
    )
    proportion_metric: Literal["mae", "divergence", "cross_entropy", "r"] = Field(
        default="mae", description="where its primary task is a proportion"
    )
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


class ReportParams(Params):
    """Pages of a study."""

    examples_per_class: Count = Field(description="cells of each class that the report shows")


class MonitorParams(Params):
    """Watch for drift between new cells and the champion's test cells."""

    alpha: Fraction = Field(description="significance over all quantities together")
    least_distance: Fraction = Field(
        description="Kolmogorov-Smirnov distance below which a shift does not matter"
    )
    permutations: Count
    max_cells: Count = Field(description="new cells that are looked at, in whole acquisitions")


class Experiment(Params):
    """A question that two models of the grid answer, which differ in one thing."""

    question: str
    usual: str
    changed: str


class CompanionsParams(Params):
    """The grid of companion models: every model on every fold with every seed."""

    models: tuple[str, ...] = Field(description="keys of the recipe's `models`")
    folds: tuple[Annotated[int, Field(ge=0)], ...] = Field(description="validation folds")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]
    experiments: tuple[Experiment, ...] = ()

    @model_validator(mode="after")
    def _experiments_are_in_the_grid(self) -> CompanionsParams:
        for experiment in self.experiments:
            for name in (experiment.usual, experiment.changed):
                if name not in self.models:
                    raise ValueError(
                        f"companions.experiments: {name!r} is not in companions.models"
                    )
        return self

    @property
    def contenders(self) -> tuple[str, ...]:
        """The models that are compared with each other: those that are no experiment."""
        changed = {experiment.changed for experiment in self.experiments}
        return tuple(name for name in self.models if name not in changed)
