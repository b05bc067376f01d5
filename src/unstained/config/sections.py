"""The sections of params.yaml that a recipe or a study may change."""

from __future__ import annotations

from pydantic import Field

from unstained.config.base import Params
from unstained.config.explain import ExplainParams
from unstained.config.learning import TrainParams, TuneParams
from unstained.config.stages import (
    CompareParams,
    EvaluateParams,
    ExportParams,
    IngestParams,
    MonitorParams,
    PromoteParams,
    RegisterParams,
    ReportParams,
    SplitParams,
    ValidateParams,
)
from unstained.config.study import CommonParams, SimulateParams
from unstained.config.uncertainty import UncertaintyParams


class Sections(Params):
    """What is done with a study's cells under a recipe, section by section."""

    common: CommonParams
    simulate: SimulateParams | None = None
    ingest: IngestParams
    validate_: ValidateParams = Field(alias="validate")
    split: SplitParams
    tune: TuneParams
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams = Field(alias="register")
    compare: CompareParams
    promote: PromoteParams
    report: ReportParams
    monitor: MonitorParams
    explain: ExplainParams
    uncertainty: UncertaintyParams
