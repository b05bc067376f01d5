"""A network asked for a number: its scores and maps, and measures of a planted one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import rankdata

from tests.evaluation.planted import SIDE, StripeDetector
from tests.explain.test_measured import PARAMS, RESNET, sample
from tests.synthetic import tasks
from unstained.explain.cells import thirds
from unstained.explain.gradcam import agreement
from unstained.explain.measure import Measured, measure
from unstained.explain.questions import ask_number
from unstained.explain.results import Asked, Explained
from unstained.explain.signed_answer import SignedAnswer
from unstained.models.build import build_model
from unstained.models.outputs import Outputs
from unstained.models.trained import ModelSpec, TrainedModel
from unstained.report.explanation.findings import findings
from unstained.statistics.intervals import Estimate, resample_groups

SIZE = {"size": {"kind": "value", "column": "s"}, "age": {"kind": "value", "column": "a"}}
TWO = {"mix": {"kind": "proportion", "parts": ["x", "y"], "columns": ["x"]}}
THREE = {"stain": {"kind": "proportion", "parts": ["p", "q", "r"], "columns": ["p", "q", "r"]}}


class Stripes(StripeDetector):
    """One value: how much more upright than level a cell's stripes are."""

    def forward(self, contrast: torch.Tensor) -> Outputs:
        found = super().forward(contrast)
        return Outputs(found.logits[:, :0], found.logits[:, :1], found.cam[:, :1], found.embedding)


class Mirrored(Stripes):
    """The same, with a map of the opposite side."""

    def forward(self, contrast: torch.Tensor) -> Outputs:
        found = super().forward(contrast)
        return found._replace(cam=found.cam.flip(-1, -2))


def model(asking: dict[str, Any], network: torch.nn.Module | None = None) -> TrainedModel:
    torch.manual_seed(1)
    values = sum(task["kind"] == "value" for task in asking.values())
    spec = ModelSpec(
        model=RESNET,
        canvas=SIDE,
        scale=1.0,
        channels=("Ch1",),
        tasks=tasks(asking),
        target_mean=(7.0, -20.0)[:values],
        target_std=(3.0, 0.5)[:values],
        has_cam=True,
        seed=0,
        data_digest="none",
    )
    made = network or build_model(RESNET, spec.asked.logits, spec.asked.targets)
    return TrainedModel(made.eval(), spec)


IMAGES = sample(10).canvases.contrast(slice(None), 1.0)


@pytest.mark.parametrize("asking", [SIZE, TWO, THREE, {**TWO, **SIZE}])
def test_scores_are_the_number_and_its_negative_and_add_up_from_the_map(
    asking: dict[str, Any],
) -> None:
    trained, (name, *_) = model(asking), asking
    network = SignedAnswer(trained, name).eval()
    with torch.inference_mode():
        plain, signed = trained.network(IMAGES), network(IMAGES)
    scores = plain.targets[:, 0] if asking is SIZE else plain.logits[:, 0]
    if asking is THREE:
        scores = plain.logits[:, 0] - plain.logits.mean(dim=1)
    np.testing.assert_allclose(signed.logits[:, 0], scores, atol=1e-6)
    np.testing.assert_allclose(signed.logits[:, 1], -scores, atol=1e-6)
    called = np.arange(10) % 2
    same = agreement(network, IMAGES, called)
    assert max(same.gradient, same.logit) < 1e-10
    if "size" in asking:  # whose map is that of the scores, where there are any
        assert SignedAnswer(trained, "size").mapped == (asking is SIZE)


@pytest.mark.parametrize("asking", [SIZE, TWO, THREE])
def test_the_number_is_what_is_served_and_followed_from_an_empty_image(
    asking: dict[str, Any],
) -> None:
    trained, (name, *_) = model(asking), asking
    question = ask_number(name)(trained, IMAGES, 4)
    with torch.inference_mode():
        found, empty = trained.network(IMAGES), trained.network(torch.zeros_like(IMAGES[:1]))

    def told(outputs: Outputs) -> np.ndarray:
        if asking is SIZE:
            return outputs.targets[:, 0].double().numpy()
        logits = outputs.logits.double().numpy()
        return expit(logits[:, 0]) if asking is TWO else softmax(logits, axis=1)[:, 0]

    served = told(found) * 3.0 + 7.0 if asking is SIZE else told(found)
    np.testing.assert_allclose(question.answer.number, served, rtol=1e-5)
    change = told(found) - told(empty)
    np.testing.assert_allclose(question.answer.scores[:, 0], change, atol=1e-6)
    assert (question.answer.called == (change < 0)).all()


def explained(network: Stripes) -> tuple[Measured, Explained]:
    cells = sample()
    ask = ask_number("size")
    one = measure(model({"size": SIZE["size"]}, network), cells, ask, PARAMS, 0)
    asked = Asked("size", ("lowest third", "middle third", "highest third"), "R²", 0.0)
    draws = resample_groups(cells.groups, np.zeros(48, int), 200, 0)
    skill = {"net": Estimate(0.4, -0.1, 0.6)}
    return one, Explained(
        {"net": one}, {}, ("net",), cells, draws, 0.95, asked, skill, {"net": 0.5}
    )


def test_a_map_of_what_moves_the_number_beats_every_control() -> None:
    one, found = explained(Stripes())
    upright = found.sample.labels == 0
    assert (one.answer.called == np.where(upright, 0, 1)).all()
    for measured in ("insertion", "deletion", "lift", "pointing"):
        assert found.beats("net", (measured,))
    _, wrong = explained(Mirrored())
    assert not wrong.beats("net", ("insertion",))
    assert not wrong.beats("net", ("pointing",))
    items = {item.title: item.text for item in findings(found)}
    said = items["net: predictions that cannot be told from guessing"]
    assert said.startswith("R² on all test cells: net 0.40; guessing gives 0.00.")


def test_cells_come_from_thirds_of_the_known_numbers_of_test_cells() -> None:
    rng = np.random.default_rng(0)
    truth, test = rng.normal(size=300), rng.random(300) < 0.5
    truth[rng.random(300) < 0.2] = np.nan
    found, known = thirds(truth, test), ~np.isnan(truth)
    assert (found[~known] == -1).all()
    order = rankdata(truth[test & known]) - 1
    naive = (order * 3 / len(order)).astype(int)
    assert (found[test & known] != naive).mean() < 0.02
    assert (thirds(np.full(4, np.nan), np.ones(4, bool)) == 0).all()
