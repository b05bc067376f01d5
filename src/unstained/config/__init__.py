"""Typed parameters: params.yaml composed and parsed into frozen models, unknown keys refused.

Science comes only from params.yaml (or `dvc exp run -S`); deployment facts (addresses,
credentials) come only from the environment. Each fact stands there once, see `compose`.
"""

from unstained.config.base import Count, Fraction, P, Params, Positive, parse
from unstained.config.explain import ExplainParams
from unstained.config.learning import AugmentParams, Range, TrainParams, TuneParams
from unstained.config.models import (
    AnyNetworkParams,
    BoostingParams,
    DenseNetParams,
    InputParams,
    MobileNetParams,
    ModelParams,
    NetworkBase,
    NetworkParams,
    VGGParams,
    ViTParams,
    XceptionParams,
)
from unstained.config.stages import (
    CompanionsParams,
    CompareParams,
    EvaluateParams,
    Experiment,
    ExportParams,
    IngestParams,
    MonitorParams,
    PromoteParams,
    RegisterParams,
    ReportParams,
    SplitParams,
    ValidateParams,
)
from unstained.config.study import CommonParams, SimulateParams, StudyData
from unstained.config.tasks import (
    ClassesParams,
    ClassRule,
    ProportionParams,
    TargetRule,
    TaskParams,
    ValueParams,
)
from unstained.config.uncertainty import UncertaintyParams

__all__ = [
    "AnyNetworkParams",
    "AugmentParams",
    "BoostingParams",
    "ClassRule",
    "ClassesParams",
    "CommonParams",
    "CompanionsParams",
    "CompareParams",
    "Count",
    "DenseNetParams",
    "EvaluateParams",
    "Experiment",
    "ExplainParams",
    "ExportParams",
    "Fraction",
    "IngestParams",
    "InputParams",
    "MobileNetParams",
    "ModelParams",
    "MonitorParams",
    "NetworkBase",
    "NetworkParams",
    "P",
    "Params",
    "Positive",
    "PromoteParams",
    "ProportionParams",
    "Range",
    "RegisterParams",
    "ReportParams",
    "SimulateParams",
    "SplitParams",
    "StudyData",
    "TargetRule",
    "TaskParams",
    "TrainParams",
    "TuneParams",
    "UncertaintyParams",
    "VGGParams",
    "ValidateParams",
    "ValueParams",
    "ViTParams",
    "XceptionParams",
    "parse",
]
