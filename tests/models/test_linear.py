"""Linear heads are scikit-learn's, also in an exported graph."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from tests.exported import CANVAS, EXPORTERS
from tests.synthetic import asked, blobs, tasks
from unstained.artifact.onnx_export import export_onnx
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.feature_models import LinearParams
from unstained.data.canvas import place
from unstained.errors import ParameterError, TrainingError
from unstained.models.build import build_model
from unstained.models.features.examples import Cells
from unstained.models.features.extract import Features
from unstained.models.features.linear import LEAST_SHARE, fit_linear
from unstained.models.trained import ModelSpec, TrainedModel
from unstained.tasks.study import Tasks

TIGHT = {"tol": 1e-6, "max_iter": 20_000}


def params(loss: str = "hinge", **changes: object) -> LinearParams:
    content = {"architecture": "features_linear", "loss": loss, "cost": 0.05, "measures": ["gabor"]}
    return LinearParams.model_validate({**content, **changes})


COUNT = len(Features(measures=("gabor",)).names)


def cells(count: int = 240, classes: int = 3, seed: int = 0) -> Cells:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, COUNT)) * generator.uniform(0.01, 9, COUNT)
    signal = features[:, 0] + features[:, 1] + 0.3 * generator.normal(size=count)
    labels = np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    features[:, 2] = 7.0
    targets = np.stack([signal, features[:, 3] - signal], axis=1)
    targets[::7, 1] = np.nan
    return Cells(features, np.column_stack([labels, targets]))


def classifier(loss: str):
    kind = LinearSVC(C=0.05, dual=False, **TIGHT) if loss == "hinge" else None
    return make_pipeline(StandardScaler(), kind or LogisticRegression(C=0.05, **TIGHT))


def regressor(loss: str):
    if loss == "likelihood":
        return Ridge(alpha=10.0)
    kind = "squared_epsilon_insensitive"
    return LinearSVR(C=0.05, epsilon=0.1, loss=kind, dual=False, **TIGHT)


@pytest.mark.parametrize("loss", ["hinge", "likelihood"])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_of_classes_are_scikit_learns_decision_function(loss: str, classes: int):
    train, fresh = cells(classes=classes), cells(seed=1)
    model = classifier(loss).fit(train.features, train.truth[:, 0])
    network = fit_linear(train, blobs(classes, 2), params(loss), seed=5)
    scores = network.scores(torch.from_numpy(fresh.features))[:, :classes].numpy()
    found = scores[:, 1] - scores[:, 0] if classes == 2 else scores
    np.testing.assert_allclose(found, model.decision_function(fresh.features), atol=1e-4)
    assert (scores.argmax(axis=1) == model.predict(fresh.features)).all()


@pytest.mark.parametrize("loss", ["hinge", "likelihood"])
def test_values_are_scikit_learns_on_the_cells_that_have_them(loss: str):
    train, fresh = cells(), cells(seed=1)
    scaler = StandardScaler().fit(train.features)
    network = fit_linear(train, blobs(3, 2), params(loss), seed=5)
    scores = network.scores(torch.from_numpy(fresh.features))[:, 3:].numpy()
    for index in range(2):
        known = ~np.isnan(train.truth[:, 1 + index])
        model = regressor(loss)
        model.fit(scaler.transform(train.features[known]), train.truth[known, 1 + index])
        expected = model.predict(scaler.transform(fresh.features))
        np.testing.assert_allclose(scores[:, index], expected, atol=1e-4)


def mixtures(parts: list[str], columns: list[str]) -> tuple[Tasks, Cells]:
    mix = Tasks.of(tasks({"mix": {"kind": "proportion", "parts": parts, "columns": columns}}))
    train = cells(400)
    odds = np.stack([train.features[:, k] * (k < 2) for k in range(len(parts))], axis=1)
    odds /= train.features.std(axis=0)[: len(parts)].clip(1e-9)
    truth = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return mix, Cells(train.features, truth)


@pytest.mark.parametrize("loss", ["hinge", "likelihood"])
@pytest.mark.parametrize("columns", [["x"], ["x", "y"], ["x", "y", "z"]])
def test_shares_are_learnt_and_missing_ones_left_out(loss: str, columns: list[str]):
    parts = ["x", "y", "z"][: max(2, len(columns))]
    mix, all_of_them = mixtures(parts, columns)
    truth = all_of_them.truth.copy()
    truth[::3] = np.nan
    network = fit_linear(Cells(all_of_them.features, truth), mix, params(loss, cost=10.0), seed=5)
    found = mix.proportions[0].link(network.scores(torch.from_numpy(all_of_them.features)).numpy())
    assert np.abs(found - all_of_them.truth)[::3].mean() < 0.02


def test_a_share_by_likelihood_minimises_the_cross_entropy_against_shares():
    mix, train = mixtures(["x", "y"], ["x"])
    network = fit_linear(train, mix, params("likelihood", cost=10.0), seed=5)
    task, features = mix.proportions[0], torch.from_numpy(train.features)
    scaled = (features - network.mean) / network.deviation
    weight = network.weight.clone().requires_grad_()
    loss = task.loss(scaled @ weight + network.bias, torch.from_numpy(train.truth))[0]
    total = 10.0 * loss + 0.5 * (weight * weight).sum()
    assert torch.autograd.grad(total, weight)[0].abs().max() < 1e-3 * float(loss.detach())
    log_ratio = regressor("hinge")  # the other loss is another line
    clipped = train.truth.clip(LEAST_SHARE)
    log_ratio.fit(scaled.numpy(), np.log(clipped[:, 0] / clipped[:, 1]))
    assert np.abs(log_ratio.coef_ - network.weight[:, 0].numpy()).max() > 1e-3


def test_a_class_without_cells_is_refused():
    with pytest.raises(TrainingError, match="class class3 of blob has no training cell"):
        fit_linear(cells(), blobs(4, 2), params(), seed=5)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    "measures", [["gabor"], pytest.param(["gabor", "motion"], marks=pytest.mark.minutes)]
)
def test_the_exported_graph_of_frames_gives_scikit_learns_decision_function(
    measures, exporter, tmp_path
):
    model = params(measures=measures, frames=3)
    rng = np.random.default_rng(2)
    frames = rng.integers(500, 900, (60, 3, CANVAS, CANVAS)).astype(np.uint16)
    extractor = Features(3, model.frames, model.measures)
    features = extractor(place(list(frames[:50]), CANVAS).contrast(slice(None), 0.2)).numpy()
    labels = rng.integers(0, 3, 50)
    network = fit_linear(Cells(features, labels[:, None] * 1.0), blobs(3, 0), model, 0, channels=3)
    spec = ModelSpec(
        model=model, canvas=CANVAS, scale=0.2, channels=("phase",), frames=3,
        tasks=tasks(asked(("a", "b", "c"))), has_cam=False, seed=0, data_digest="x",
    )  # fmt: skip
    graph = ServingGraph(TrainedModel(network, spec), {"blob": 1.0})
    path = tmp_path / "model.onnx"
    export_onnx(graph, path, dtype=np.dtype("uint16"), channels=3, opset=20, exporter=exporter)
    fresh = frames[50:]
    found = ort.InferenceSession(path).run(["logits"], {"pixels": fresh})[0]
    svm = classifier("hinge").fit(features, labels)
    contrast = place(list(fresh), CANVAS).contrast(slice(None), 0.2)
    np.testing.assert_allclose(found, svm.decision_function(extractor(contrast).numpy()), atol=1e-4)


def test_motion_of_one_frame_is_refused():
    with pytest.raises(ParameterError, match="measure motion, and a cell has one frame"):
        build_model(params(measures=["motion"]), 3, 0)
