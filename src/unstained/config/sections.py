"""The sections of params.yaml that a recipe or a study may change."""

from __future__ import annotations

from pydantic import Field

from unstained.config.base import Params
from unstained.config.compare import CompareParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.explain import ExplainParams
from unstained.config.export import ExportParams
from unstained.config.ingest import IngestParams
from unstained.config.learning import TrainParams, TuneParams
from unstained.config.monitor import MonitorParams
from unstained.config.promote import PromoteParams
from unstained.config.register import RegisterParams
from unstained.config.report import ReportParams
from unstained.config.simulate import MonolayersParams, SlidesParams
from unstained.config.split import SplitParams
from unstained.config.study import CommonParams, SimulateParams
from unstained.config.uncertainty import UncertaintyParams
from unstained.config.validate import ValidateParams


class Sections(Params):
    """What is done with a study's cells under a recipe, section by section."""

    common: CommonParams
    simulate: SimulateParams | None = None
    simulate_slides: SlidesParams | None = None
    simulate_monolayers: MonolayersParams | None = None
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
