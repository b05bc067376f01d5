import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from unstained.models.boosting import FeatureBoosting
from unstained.models.build import build_model
from unstained.models.cg_recnet import CGRecNet
from unstained.models.outputs import Outputs
from unstained.models.resnet import ResNet
from unstained.params import ModelParams

NETWORK = {"width": 0.125, "depth": [1, 1, 1, 1], "stem_stride": 2}
BOOSTING = {
    "iterations": 2,
    "learning_rate": 0.1,
    "max_leaf_nodes": 4,
    "min_samples_leaf": 2,
    "l2_regularization": 0.0,
    "max_features": 1.0,
}


def parse(**content) -> ModelParams:
    return TypeAdapter(ModelParams).validate_python(content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ResNet, {"architecture": "resnet50", **NETWORK}),
        (CGRecNet, {"architecture": "cg_recnet", **NETWORK}),
        (FeatureBoosting, {"architecture": "features_boosting", **BOOSTING}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_architecture_maps_contrast_to_outputs(kind, content, channels):
    network = build_model(parse(**content), classes=3, targets=2, channels=channels).eval()
    assert type(network) is kind
    with torch.inference_mode():
        outputs = network(torch.randn(5, channels, 32, 32))
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (5, 3)
    assert outputs.targets.shape == (5, 2)
    assert outputs.embedding.shape[0] == 5
    assert {part.dtype for part in outputs if part is not None} == {torch.float32}
    assert (outputs.cam is None) == (kind is FeatureBoosting)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValidationError, match="resnet51"):
        parse(architecture="resnet51", **NETWORK)


def test_same_seed_same_weights():
    content = parse(architecture="cg_recnet", **NETWORK)
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(build_model(content, 3, 1).state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True)
    )
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])
