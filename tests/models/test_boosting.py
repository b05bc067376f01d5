import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tests.synthetic import blobs, tasks
from unstained.config.feature_models import BoostingParams, FeatureModelBase
from unstained.errors import TrainingError
from unstained.models.features.boosting import fit_boosting
from unstained.models.features.examples import Cells
from unstained.models.features.extract import Features
from unstained.models.features.feature_boosting import FeatureBoosting
from unstained.tasks.study import Tasks

COUNT = len(Features().names)
PARAMS = BoostingParams(
    architecture="features_boosting",
    iterations=6,
    learning_rate=0.2,
    max_leaf_nodes=9,
    min_samples_leaf=4,
    l2_regularization=0.5,
    max_features=0.3,
)
OPTIONS = PARAMS.model_dump(
    exclude={*FeatureModelBase.model_fields, "architecture", "iterations"}
) | {
    "max_iter": PARAMS.iterations,
    "random_state": 5,
    "early_stopping": False,
}


def cells(count: int = 240, classes: int = 3, seed: int = 0) -> Cells:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, COUNT))
    signal = features[:, 0] + features[:, 1] * features[:, 2]
    labels = np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    targets = np.stack([signal, features[:, 3] ** 2], axis=1)
    targets[::7, 1] = np.nan
    return Cells(features, np.column_stack([labels, targets]))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_probabilities_are_those_of_scikit_learn(classes):
    train, fresh = cells(classes=classes), cells(seed=1)
    model = HistGradientBoostingClassifier(**OPTIONS).fit(train.features, train.truth[:, 0])
    network = fit_boosting(train, blobs(classes, 2), PARAMS, seed=5)
    scores = network.scores(torch.from_numpy(fresh.features))[:, :classes]
    expected = model.predict_proba(fresh.features)
    np.testing.assert_allclose(scores.softmax(dim=1).numpy(), expected, rtol=0, atol=1e-12)
    assert (scores.argmax(dim=1).numpy() == model.predict(fresh.features)).all()


def test_targets_are_those_of_scikit_learn_on_the_cells_that_have_them():
    train, fresh = cells(), cells(seed=1)
    network = fit_boosting(train, blobs(3, 2), PARAMS, seed=5)
    scores = network.scores(torch.from_numpy(fresh.features))[:, 3:].numpy()
    for index in range(2):
        known = ~np.isnan(train.truth[:, 1 + index])
        model = HistGradientBoostingRegressor(**OPTIONS)
        model.fit(train.features[known], train.truth[known, 1 + index])
        expected = model.predict(fresh.features)
        np.testing.assert_allclose(scores[:, index], expected, rtol=0, atol=1e-12)


def test_a_value_on_a_threshold_goes_the_same_way():
    train = cells()
    network = fit_boosting(train, blobs(3, 2), PARAMS, seed=5)
    model = HistGradientBoostingClassifier(**OPTIONS).fit(train.features, train.truth[:, 0])
    on_edge = train.features[:100].copy()
    split = network.left != torch.arange(len(network.left))
    for feature, threshold in zip(network.feature[split], network.threshold[split], strict=True):
        on_edge[:, feature] = np.where(np.arange(100) % 2, on_edge[:, feature], threshold)
    scores = network.scores(torch.from_numpy(on_edge))[:, :3].softmax(dim=1)
    np.testing.assert_allclose(scores.numpy(), model.predict_proba(on_edge), rtol=0, atol=1e-12)


def test_a_state_dict_brings_the_trees_to_a_new_model():
    network = fit_boosting(cells(), blobs(3, 2), PARAMS, seed=5)
    empty = FeatureBoosting(PARAMS, 3, 2)
    features = torch.from_numpy(cells(seed=1).features)
    assert (empty.scores(features) == 0).all()
    empty.load_state_dict(network.state_dict())
    assert torch.equal(empty.scores(features), network.scores(features))


def test_a_state_dict_of_another_number_of_outputs_is_refused():
    state = fit_boosting(cells(), blobs(3, 2), PARAMS, seed=5).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        FeatureBoosting(PARAMS, 4, 2).load_state_dict(state)


def test_validation_stops_the_growth():
    train = cells()
    noise = np.random.default_rng(9)
    truth = np.column_stack([noise.integers(0, 3, 80), noise.normal(size=(80, 2))])
    held = Cells(train.features[:80], truth)
    long = PARAMS.model_copy(update={"iterations": 200})
    stopped = fit_boosting(train, blobs(3, 2), long, seed=5, validation=held, patience=3)
    assert len(stopped.root) < 200 * 5 / 4


def test_a_target_unknown_in_validation_is_grown_to_the_end():
    train = cells()
    held = Cells(train.features[:80], train.truth[:80].copy())
    held.truth[:, 1:] = np.nan
    stopped = fit_boosting(train, blobs(3, 2), PARAMS, seed=5, validation=held, patience=500)
    assert len(stopped.root) == 6 * 5


def test_a_class_without_cells_is_refused():
    train = cells()
    with pytest.raises(TrainingError, match="class class3 of blob has no training cell"):
        fit_boosting(train, blobs(4, 2), PARAMS, seed=5)


def test_a_target_without_values_is_refused():
    train = cells()
    train.truth[:, 2] = np.nan
    with pytest.raises(TrainingError, match="value1 is unknown"):
        fit_boosting(train, blobs(3, 2), PARAMS, seed=5)


def test_no_targets():
    train = cells()
    network = fit_boosting(Cells(train.features, train.truth[:, :1]), blobs(3, 0), PARAMS, seed=5)
    outputs = network(torch.randn(2, 1, 24, 24))
    assert outputs.targets.shape == (2, 0)
    assert outputs.embedding.shape == (2, COUNT)


def test_same_seed_same_trees():
    one, two = (fit_boosting(cells(), blobs(3, 2), PARAMS, seed=5).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_values_alone():
    train, fresh = cells(), cells(seed=1)
    network = fit_boosting(Cells(train.features, train.truth[:, 1:]), blobs(0, 2), PARAMS, seed=5)
    both = fit_boosting(train, blobs(3, 2), PARAMS, seed=5)
    features = torch.from_numpy(fresh.features)
    torch.testing.assert_close(network.scores(features), both.scores(features)[:, 3:])
    assert network(torch.randn(2, 1, 24, 24)).logits.shape == (2, 0)


@pytest.mark.parametrize("columns", [["x"], ["x", "y"], ["x", "y", "z"]])
def test_shares_are_learnt_and_missing_ones_left_out(columns: list[str]):
    parts = ["x", "y", "z"][: max(2, len(columns))]
    mix = Tasks.of(tasks({"mix": {"kind": "proportion", "parts": parts, "columns": columns}}))
    train, fresh = cells(600), cells(seed=1)

    def shares(features: np.ndarray) -> np.ndarray:
        odds = np.exp(np.stack([features[:, 0], -features[:, 0], 0 * features[:, 0]], axis=1))
        return odds[:, : len(parts)] / odds[:, : len(parts)].sum(axis=1, keepdims=True)

    truth = shares(train.features)
    truth[::3] = np.nan
    long = PARAMS.model_copy(update={"iterations": 60, "max_features": 1.0})
    network = fit_boosting(Cells(train.features, truth), mix, long, seed=5)
    scores = network.scores(torch.from_numpy(fresh.features)).numpy()
    found = mix.proportions[0].link(scores)
    assert np.abs(found - shares(fresh.features)).mean() < 0.05
