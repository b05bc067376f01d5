"""A value and what classes let expect of it: the penalty against a naive sum, and its effect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.learning.cases import STUDY, TRAIN, small_store, split_rows, train_small
from tests.learning.test_objective import case, loss, outputs, softmax, table
from tests.synthetic import asked, blobs, tasks
from unstained.config.learning import TrainParams
from unstained.data.canvas import load_canvases
from unstained.errors import TrainingError
from unstained.learning.coupling import couple
from unstained.learning.objective import Objective
from unstained.tasks.study import Tasks


def wanting(**changes: object) -> TrainParams:
    return TrainParams.model_validate(TRAIN.model_dump() | changes)


def learnt(seed: int = 1) -> torch.Tensor:
    """Truths (60, 2) of training cells: some classes and some values are missing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 60).astype(np.float32)
    values = (labels + rng.normal(0, 0.3, 60)).astype(np.float32)
    labels[::7], values[::5] = np.nan, np.nan
    return torch.from_numpy(np.stack([labels, values], axis=1))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), weight=st.floats(0.1, 3), tau=st.sampled_from([0.0, 1.0]))
def test_the_penalty_is_the_squared_distance_of_two_expectations(
    seed: int, weight: float, tau: float
) -> None:
    logits, predicted, labels, values = case(targets=1, seed=seed)
    truth, known = learnt(seed), table(labels, values)
    known[::4, 0] = torch.nan
    known[4] = torch.nan  # of one at least nothing is known
    both = [
        Objective.of(blobs(), wanting(coupling=one, logit_adjustment=tau), truth)
        for one in (0.0, weight)
    ]
    totals = []
    for objective in both:
        parts = objective.to("cpu").parts(outputs(logits, predicted), known)
        totals.append(objective.total(parts.sums, parts.weights).item())
    cells = pd.DataFrame(truth.numpy(), columns=["label", "value"]).astype(float)
    means = cells.dropna().groupby("label")["value"].mean().to_numpy()
    share = cells["label"].value_counts(normalize=True).sort_index().to_numpy()
    expected = softmax(logits.double().numpy() + tau * np.log(share)) @ means
    apart = (expected - predicted[:, 0].double().numpy()) ** 2
    told = ~np.isnan(known.numpy()).all(axis=1)
    assert 0 < told.sum() < len(told)
    assert totals[1] - totals[0] == pytest.approx(weight * apart[told].mean(), rel=1e-3)


def test_without_it_the_loss_has_no_further_term() -> None:
    assert couple(TRAIN, blobs(), learnt(), {}) is None
    plain = Objective.of(blobs(), TRAIN, learnt())
    logits, predicted, labels, values = case(targets=1)
    given_values = (logits, predicted, labels, values)
    assert torch.equal(loss(plain, *given_values), loss(Objective(blobs(), 0.3), *given_values))
    assert len(plain.terms) == 2


def test_a_class_without_a_value_is_expected_to_have_the_mean_of_all() -> None:
    truth = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, torch.nan], [2.0, -3.0]])
    found = couple(wanting(coupling=1.0), blobs(), truth, {})
    assert found is not None
    assert found.means.tolist() == [1.5, 0.0, -3.0]


def test_it_pulls_on_both_heads_and_the_more_the_further_a_mistake_leads() -> None:
    truth = torch.tensor([[0.0, -1.0], [1.0, 0.0], [2.0, 1.0]])
    coupling = couple(wanting(coupling=1.0), blobs(), truth, {})
    assert coupling is not None
    sure = 20 * torch.eye(3)
    value = torch.full((3, 1), -1.0)
    near = coupling.parts(outputs(sure, value), truth)[0].item()
    apart = [coupling.parts(outputs(sure[k : k + 1], value[:1]), truth[:1])[0] for k in range(3)]
    np.testing.assert_allclose(apart, [0, 1, 4], atol=1e-6)  # as far as the classes' values
    assert near == pytest.approx(5)
    scores, said = torch.zeros(1, 3, requires_grad=True), torch.ones(1, 1, requires_grad=True)
    coupling.parts(outputs(scores, said), truth[2:])[0].backward()
    assert said.grad is not None
    assert scores.grad is not None
    assert said.grad.item() == pytest.approx(2)
    assert (scores.grad[0].diff() < 0).all()  # a step down raises the classes of high values


def test_cells_of_which_neither_is_known_do_not_count() -> None:
    coupling = couple(wanting(coupling=1.0), blobs(), learnt(), {})
    assert coupling is not None
    nothing = torch.full((4, 2), torch.nan)
    total, weight = coupling.parts(outputs(torch.randn(4, 3), torch.randn(4, 1)), nothing)
    assert (total.item(), weight.item()) == (0, 0)


def test_two_tasks_are_named_where_a_study_has_several() -> None:
    several = Tasks.of(
        tasks(
            {
                **asked("ab", DNA={"column": "DNA"}, size={"column": "size"}),
                "kind": {"kind": "classes", "names": ["c", "d", "e"]},
            }
        )
    )
    truth = torch.tensor([[0.0, 5.0, 1.0, 2.0], [1.0, 5.0, 3.0, 0.0], [1.0, 5.0, 4.0, 0.0]])
    found = couple(wanting(coupling=1.0, coupled=["kind", "size"]), several, truth, {})
    assert found is not None
    assert (found.scores, found.target, found.label, found.value) == (slice(2, 5), 1, 3, 2)
    assert found.means.tolist() == [3.5, 0.0, 1.0]
    with pytest.raises(TrainingError, match="the study has 2 and 2") as refused:
        couple(wanting(coupling=1.0), several, truth, {})
    assert "train.coupled" in refused.value.remedy
    for pair in (["kind", "weight"], ["DNA", "kind"], ["mix", "DNA"]):
        with pytest.raises(TrainingError, match="no classes task and a value") as refused:
            couple(wanting(coupling=1.0, coupled=pair), several, truth, {})
        assert "choose of blob, kind and of DNA, size" in refused.value.remedy
    with pytest.raises(TrainingError, match="the study has 1 and 0"):
        couple(wanting(coupling=1.0), blobs(3, 0), truth, {})


def test_training_with_it_brings_both_answers_together(tmp_path: Path) -> None:
    store = small_store(tmp_path / "store")
    cells = load_canvases(store, split_rows(store)[1], STUDY.canvas)
    apart = []
    for weight in (0.0, 3.0):
        found = train_small(store, train={"coupling": weight, "target_weight": 0.3}).trained
        said = found.predict(cells)
        (mean,), (std,) = found.spec.target_mean, found.spec.target_std
        train_rows = split_rows(store)[0]
        truth = np.log(store.table["marker_DNA"].to_numpy()[train_rows])
        labels = store.labels("abc")[train_rows]
        means = [(np.nanmean(truth[labels == k]) - mean) / std for k in range(3)]
        distance = softmax(said["logits"]) @ means - (said["targets"][:, 0] - mean) / std
        apart.append(float(np.sqrt((distance**2).mean())))
    assert apart[1] < 0.7 * apart[0]
