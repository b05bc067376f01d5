"""Parameters of the comparison of versions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unstained.config.base import Count, Fraction, Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.register import RegisterParams
from unstained.config.study import CommonParams, StudyData


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


class CompareStageParams(Params):
    """All that the leaderboard depends on."""

    common: CommonParams
    data: StudyData
    register_: RegisterParams
    evaluate: EvaluateParams
    compare: CompareParams
