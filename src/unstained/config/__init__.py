"""Typed parameters: params.yaml parsed into frozen models, unknown keys refused.

Science comes only from params.yaml (or `dvc exp run -S`); deployment facts (addresses,
credentials) come only from the environment. A study's section holds what its data are; its
`recipes` hold how they are learnt: `demo` for two cores, `full` for a GPU, `paper` as published.
"""

from unstained.config.base import Count, Fraction, P, Params, Positive, parse, read_yaml
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
from unstained.config.project import ProjectParams, StudyParams, StudyRecipe, load_params
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
    "ProjectParams",
    "PromoteParams",
    "ProportionParams",
    "Range",
    "RegisterParams",
    "ReportParams",
    "SimulateParams",
    "SplitParams",
    "StudyData",
    "StudyParams",
    "StudyRecipe",
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
    "load_params",
    "parse",
    "read_yaml",
]
