"""Models that answer together: the mean of their scores, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import softmax

from tests.models.sizes import TINY, lively, parse
from tests.models.test_build import BOOSTING, LINEAR
from unstained.models.build import build_model
from unstained.models.complexity import complexity
from unstained.models.ensemble import Ensemble
from unstained.models.outputs import Outputs


def together(*models: dict, names: tuple[str, ...] | None = None, **changes: object) -> dict:
    named = names or tuple(str(model["architecture"]) for model in models)
    return {"architecture": "ensemble", "members": named, "models": models, **changes}


class Fixed(torch.nn.Module):
    """A member that says the same of every image."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.from_numpy(logits)

    def forward(self, contrast: torch.Tensor) -> Outputs:
        return Outputs(self.logits, self.logits[:, :0], None, self.logits)


@given(
    st.integers(2, 4).flatmap(
        lambda members: st.lists(
            st.lists(st.floats(-8, 8), min_size=3, max_size=3), min_size=members, max_size=members
        )
    ),
    st.floats(-5, 5),
)
def test_the_mean_of_scores_is_the_geometric_mean_of_probabilities(scores, constant):
    logits = [np.array([row]) for row in scores]
    logits[0] = logits[0] + constant
    found = Ensemble([Fixed(one) for one in logits])(torch.zeros(1, 1, 4, 4)).logits.numpy()
    pooled = np.exp(np.mean([np.log(softmax(one, axis=1)) for one in logits], axis=0))
    np.testing.assert_allclose(softmax(found, axis=1), pooled / pooled.sum(), rtol=1e-9)


def test_members_weigh_the_same_and_the_first_gives_embedding_and_map():
    torch.manual_seed(0)
    network = build_model(parse(together(TINY["vgg16"], TINY["resnet50"], BOOSTING)), 3, 2).eval()
    lively(network)
    images = torch.randn(4, 1, 32, 32)
    with torch.inference_mode():
        found, alone = network(images), [member(images) for member in network.members]
    for head in ("logits", "targets"):
        mean = np.mean([getattr(one, head).double().numpy() for one in alone], axis=0)
        np.testing.assert_allclose(getattr(found, head), mean, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.embedding, alone[0].embedding)
    assert alone[0].cam is None
    assert torch.equal(found.cam, alone[1].cam)


def test_it_costs_what_its_networks_cost():
    parts = [complexity(parse(TINY[name]), 3, 2, 1, 32) for name in ("resnet50", "vgg16")]
    whole = complexity(parse(together(TINY["resnet50"], TINY["vgg16"], BOOSTING)), 3, 2, 1, 32)
    for count in ("parameters", "classifier_parameters", "multiply_accumulates"):
        assert getattr(whole, count) == sum(getattr(part, count) for part in parts)
    assert complexity(parse(together(BOOSTING, LINEAR)), 3, 2, 1, 32) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (together(TINY["vgg16"]), "at least 2"),
        (together(TINY["vgg16"], names=("vgg16", "resnet50")), "one each"),
        (together(TINY["vgg16"], TINY["resnet50"] | {"partition": "reference"}), "same cells"),
        (together(TINY["vgg16"], together(TINY["vgg16"], BOOSTING)), "ensemble"),
    ],
)
def test_what_cannot_answer_together_is_refused(content, message):
    with pytest.raises(ValidationError, match=message):
        parse(content)


def test_a_gpu_helps_where_there_is_a_network():
    assert parse(together(BOOSTING, TINY["vgg16"])).learns_by_gradient
    assert not parse(together(BOOSTING, LINEAR)).learns_by_gradient
