"""Dotted overrides: applied, validated, and refused where they name nothing."""

from __future__ import annotations

import pytest

from tests.learning.cases import NETWORK, TRAIN
from unstained.config.feature_models import BoostingParams
from unstained.config.overrides import apply_overrides
from unstained.errors import ParameterError

BOOSTING = BoostingParams(
    architecture="features_boosting",
    iterations=5,
    learning_rate=0.1,
    max_leaf_nodes=7,
    min_samples_leaf=5,
    l2_regularization=1.0,
    max_features=0.5,
)


def test_overrides_reach_model_training_and_nested_parameters():
    values = {"model.dropout": 0.2, "train.learning_rate": 0.01, "train.augment.noise": 0.05}
    model, train = apply_overrides(NETWORK, TRAIN, values)
    assert model == NETWORK.model_copy(update={"dropout": 0.2})
    assert train.learning_rate == 0.01
    assert train.augment.noise == 0.05
    assert (
        train.model_copy(update={"learning_rate": TRAIN.learning_rate, "augment": TRAIN.augment})
        == TRAIN
    )


def test_no_overrides_change_nothing():
    assert apply_overrides(BOOSTING, TRAIN, {}) == (BOOSTING, TRAIN)


@pytest.mark.parametrize(
    "name", ["train.learnig_rate", "learning_rate", "train", "model.learning_rate", "train.a.b"]
)
def test_a_name_that_is_no_parameter_is_refused_by_name(name: str):
    with pytest.raises(ParameterError, match=name.replace(".", r"\.")):
        apply_overrides(NETWORK, TRAIN, {name: 0.1})


@pytest.mark.parametrize("value", [-1.0, "fast", None])
def test_a_value_that_breaks_the_schema_is_refused_with_its_place(value):
    with pytest.raises(ParameterError, match=r"best\.json: train\.learning_rate"):
        apply_overrides(NETWORK, TRAIN, {"train.learning_rate": value}, where="best.json")


def test_a_parameter_of_another_architecture_is_refused():
    with pytest.raises(ParameterError, match="l2_regularization"):
        apply_overrides(NETWORK, TRAIN, {"model.l2_regularization": 2.0})
    model, _ = apply_overrides(BOOSTING, TRAIN, {"model.l2_regularization": 2.0})
    assert model == BOOSTING.model_copy(update={"l2_regularization": 2.0})
